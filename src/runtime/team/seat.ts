// One thread's task: take a seat, run the commands that main issues, leave when told. Runs inside a worker.

import type { MessagePort } from 'node:worker_threads'
import { MixtralError, type MixtralErrorCode } from '../../base/errors.js'
import { LEAVE, word } from './control.js'
import { Cancelled, Crew, Stopped } from './crew.js'

export interface SeatTask {
  readonly control: Int32Array
  readonly seat: number
  /** Attendants are numbered on from here. */
  readonly seats: number
  readonly spin: boolean
  /** Whether the thread may look for the next command for a moment before it sleeps: where a core is left for main, which prepares it. */
  readonly linger: boolean
  /** The value of `word.command` before the first command of this task. */
  readonly since: number
  /** Seat 0 reports the end of each command here. */
  readonly port?: MessagePort
}

/** What a finished command was: its number, and whether it ended early because main asked. */
export interface Report {
  readonly command: number
  readonly cancelled: boolean
}

/** An error on its way to the main thread; structured clones would lose its code. */
export interface SeatError {
  readonly code: MixtralErrorCode
  readonly message: string
}

/** How often a lingering seat looks: for about 0.2 milliseconds, in which main samples a token. */
const LOOKS = 20_000
/** A sleeping seat wakes this often, in milliseconds, to see whether the team was stopped. */
const NAP = 100

/**
 * Runs commands until main says `LEAVE` or the team is stopped. A `MixtralError` ends the task with its code and message; any other error is thrown, and so ends up in
 * the team's hands.
 */
export function takeSeat(task: SeatTask, run: (code: number, crew: Crew) => void): SeatError | undefined {
  const { control, seat, seats, spin, linger, port } = task
  const crew = new Crew(control, seat, seats, spin)
  let command = task.since
  for (;;) {
    for (let i = linger ? LOOKS : 0; i > 0 && Atomics.load(control, word.command) === command; i--);
    while (Atomics.load(control, word.command) === command) {
      if (Atomics.load(control, word.stopped)) return undefined
      Atomics.wait(control, word.command, command, NAP)
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

/** What a task that ends with this error returns; what is not ours is thrown on. */
export function asSeatError(error: unknown): SeatError {
  if (error instanceof MixtralError) return { code: error.code, message: error.message }
  throw error
}
