// The task of one thread of the team, which runs inside a worker: runs the commands that main issues until it is told
// to leave. Owns how errors and reports reach main. Does not know what the commands do.

import type { MessagePort } from 'node:worker_threads'
import { MixtralError, type MixtralErrorCode } from '../../base/errors.js'
import { LEAVE, RECHECK_MS, word } from './control.js'
import { Cancelled, Crew, Stopped } from './crew.js'

export interface SeatTask {
  readonly control: Int32Array
  /** The thread's number, from 0. */
  readonly seat: number
  /** Threads that share stages. Seats from this number on are background threads (background.ts). */
  readonly seats: number
  /** Whether a thread may spin while it waits for the others. */
  readonly spin: boolean
  /** Whether a thread may spin while it waits for a command: where a core is left for main, which prepares it. */
  readonly linger: boolean
  /** The value of `word.command` before the first command of this task. */
  readonly since: number
  /** Seat 0 reports the end of each command here. */
  readonly port?: MessagePort
}

/** The end of a command: its number, and whether it ended early because main asked. */
export interface Report {
  readonly command: number
  readonly cancelled: boolean
}

/** An error on its way to the main thread: a structured clone of it would lose its code. */
export interface SeatError {
  readonly code: MixtralErrorCode
  readonly message: string
}

/** How often a lingering thread looks before it sleeps: for about 0.2 milliseconds, in which main samples a token. */
const LOOKS = 20_000

/**
 * Runs commands until main issues `LEAVE` or the team is stopped. A `MixtralError` ends the task, which returns its
 * code and message; any other error is thrown, and rejects the task's promise.
 */
export function takeSeat(task: SeatTask, run: (code: number, crew: Crew) => void): SeatError | undefined {
  const { control, seat, seats, spin, linger, port } = task
  Atomics.add(control, word.begun, 1)
  const crew = new Crew(control, seat, seats, spin)
  let command = task.since
  for (;;) {
    for (let i = linger ? LOOKS : 0; i > 0 && Atomics.load(control, word.command) === command; i--);
    while (Atomics.load(control, word.command) === command) {
      if (Atomics.load(control, word.stopped)) return undefined
      Atomics.wait(control, word.command, command, RECHECK_MS)
    }
    command = Atomics.load(control, word.command)
    const code = Atomics.load(control, word.code)
    if (code === LEAVE) return undefined
    let cancelled = false
    try {
      run(code, crew)
      crew.barrier()
    } catch (error) {
      if (error instanceof Stopped) return undefined
      if (!(error instanceof Cancelled)) return asSeatError(error)
      cancelled = true
    }
    port?.postMessage({ command, cancelled } satisfies Report)
  }
}

/** What a task that ends with this error returns. Throws it again if it is no MixtralError. */
export function asSeatError(error: unknown): SeatError {
  if (error instanceof MixtralError) return { code: error.code, message: error.message }
  throw error
}
