// The main thread's side of the team. Piscina owns the threads; each of them runs one long task, which runs command
// after command, synchronized through shared memory. The tasks end when there has been no command for a moment, so that
// a process can end. Owns starting, cancelling, ending and replacing threads, and the progress of a command that takes
// long; never blocks the main thread. Does not know what commands do.

import { availableParallelism } from 'node:os'
import { MessageChannel, type MessagePort } from 'node:worker_threads'
import type { Piscina } from 'piscina'
import { abortedError, closedError, MixtralError } from '../../base/errors.js'
import { onAbort, Told } from '../../base/onAbort.js'
import { announce, CONTROL_WORDS, LEAVE, word } from './control.js'
import type { Report, SeatError, SeatTask } from './seat.js'

export interface TeamOptions {
  readonly threads: number
  /** Threads beside them that take no part in stages (background.ts). Default: none. */
  readonly backgroundThreads?: number
  /** The worker's file, as a URL: a .js file whose default export takes a SeatTask. */
  readonly worker: string
  /** Makes the workerData: once for each set of threads, so that nothing of a broken step survives. */
  readonly shared: () => unknown
}

/** Milliseconds without a command after which the threads' tasks end. */
const IDLE_MS = 50
/** Milliseconds that threads which are told to end may take. */
const GRACE_MS = 2000
/** Milliseconds more for threads that have not begun: on a busy machine, starting takes as long as it takes. */
const STARTING_MS = 30_000

interface Seating {
  readonly pool: Piscina
  readonly control: Int32Array
  readonly port: MessagePort
  /** Settles when all tasks have ended; never rejects. */
  readonly ended: Promise<unknown>
}

export class Team {
  readonly #options: TeamOptions
  #pool: Piscina | undefined
  #seating: Seating | undefined
  /** The words of the last seating, whose threads may be starting. */
  #control: Int32Array | undefined
  /** Settles when threads that were told to leave have left. The next command waits for it. */
  #leaving: Promise<unknown> | undefined
  #idle: NodeJS.Timeout | undefined
  /** Ends the running command with an error. */
  #fail: ((error: MixtralError) => void) | undefined
  #closed: Promise<unknown> | undefined

  constructor(options: TeamOptions) {
    this.#options = options
  }

  /** Bytes that the threads have counted as done so far. */
  get progress(): number {
    return this.#seating ? Atomics.load(this.#seating.control, word.progress) * 4096 : 0
  }

  /**
   * Runs one command on all threads; call it for one at a time. Throws `ABORTED` when the signal fires (all threads
   * leave the command at the same point, and stay), `THREAD` when a thread throws or ends (the next command gets new
   * threads), `CLOSED` after close, and any MixtralError that a thread throws.
   */
  async run(code: number, signal?: AbortSignal): Promise<void> {
    if (this.#closed) throw closedError()
    if (signal?.aborted) throw abortedError(signal)
    clearTimeout(this.#idle)
    await this.#leaving
    const pools = this.#seating ? undefined : await import('piscina') // on demand: an import of the library should not wait for it
    if (this.#closed) throw closedError()
    this.#seating ??= this.#start(pools!.Piscina)
    const { control, port } = this.#seating
    Atomics.store(control, word.cancel, 0)
    Atomics.store(control, word.code, code)
    let finish: (report: Report) => void = () => {}
    const onReport = (report: Report) => finish(report)
    const cancel = () => Atomics.store(control, word.cancel, 1)
    signal?.addEventListener('abort', cancel)
    try {
      const { cancelled } = await new Promise<Report>((resolve, reject) => {
        this.#fail = reject
        finish = resolve
        port.ref()
        port.on('message', onReport)
        announce(control, word.command)
        if (signal?.aborted) cancel()
      })
      if (cancelled) throw this.#closed ? closedError() : abortedError(signal)
      this.#leaveLater()
    } catch (error) {
      if (error instanceof MixtralError && error.code === 'ABORTED') this.#leaveLater()
      throw error
    } finally {
      this.#fail = undefined
      port.off('message', onReport)
      port.unref()
      signal?.removeEventListener('abort', cancel)
    }
  }

  /** Here, because a timer made in `run` would hold what that knows: a signal, an error, and what these lead to. */
  #leaveLater(): void {
    this.#idle = setTimeout(() => this.#leave(), IDLE_MS)
  }

  /** Ends the threads. A running command fails with `CLOSED`. */
  async close(): Promise<void> {
    clearTimeout(this.#idle)
    this.#fail?.(closedError())
    this.#closed ??= Promise.all([this.#dismiss(), this.#leaving])
    await this.#closed
  }

  #start(Pool: typeof Piscina): Seating {
    const { threads, backgroundThreads = 0, worker, shared } = this.#options
    const pool = this.#pool ?? this.#openPool(Pool, worker, shared(), threads + backgroundThreads)
    this.#pool = pool
    const control = new Int32Array(new SharedArrayBuffer(CONTROL_WORDS * 4))
    this.#control = control
    const { port1, port2 } = new MessageChannel()
    const cores = availableParallelism()
    const tasks = Array.from({ length: threads + backgroundThreads }, (_, seat) => {
      const task: SeatTask = {
        control,
        seat,
        seats: threads,
        spin: threads <= cores,
        linger: threads < cores,
        since: 0,
        ...(seat === 0 && { port: port2 }),
      }
      const done: Promise<SeatError | undefined> = pool.run(task, seat === 0 ? { transferList: [port2] } : {})
      return done.then(
        (error) => error && this.#lose(seating, new MixtralError(error.code, error.message)),
        (cause: Error) => this.#lose(seating, new MixtralError('THREAD', `a worker thread ended in mid-step: ${cause.message}`, { cause })),
      )
    })
    const seating: Seating = { pool, control, port: port1, ended: Promise.all(tasks).finally(() => port1.close()) }
    return seating
  }

  #openPool(Pool: typeof Piscina, filename: string, workerData: unknown, threads: number): Piscina {
    const pool = new Pool({
      filename,
      workerData,
      minThreads: threads,
      maxThreads: threads,
      idleTimeout: Number.POSITIVE_INFINITY,
      atomics: 'disabled', // Deno cannot end a worker that waits in Atomics.wait
      recordTiming: false,
      env: {}, // threads read no variable; a copy of all would need Deno's permission for each
    })
    // without a listener, a worker that fails to start would end the process; its task's promise rejects all the same
    pool.on('error', () => {})
    // Piscina replaces a worker that ends without a task. The new one would lack the state of the others: use a new
    // pool
    pool.on('workerDestroy', () => {
      if (this.#pool !== pool || this.#seating) return
      this.#pool = undefined
      void pool.destroy()
    })
    return pool
  }

  /** Tells the tasks to end; the threads stay in the pool. */
  #leave(): void {
    const seating = this.#seating
    if (!seating) return
    this.#seating = undefined
    Atomics.store(seating.control, word.code, LEAVE)
    announce(seating.control, word.command)
    announce(seating.control, word.backgroundWork)
    this.#leaving = seating.ended
  }

  /**
   * Handles the loss of a thread, which may have been told to leave: fails the command and gives up its pool with all
   * threads.
   */
  #lose({ pool }: Seating, error: MixtralError): void {
    if (this.#pool !== pool) return
    this.#leaving = this.#dismiss()
    this.#fail?.(error)
  }

  async #dismiss(): Promise<void> {
    const seating = this.#seating
    const pool = this.#pool
    this.#seating = undefined
    this.#pool = undefined
    if (seating) {
      Atomics.store(seating.control, word.stopped, 1)
      Atomics.store(seating.control, word.cancel, 1)
      Atomics.notify(seating.control, word.generation)
      Atomics.notify(seating.control, word.command)
      announce(seating.control, word.backgroundWork)
    }
    // terminating a thread that is still starting can end the process (Node 20): wait until all tasks have ended
    const gone = Promise.all([seating?.ended, this.#leaving])
    if (!(await endsWithin(gone, GRACE_MS)) && this.#isStarting) await endsWithin(gone, STARTING_MS)
    await pool?.destroy()
  }

  /** Whether a thread of the last seating has not begun its task. */
  get #isStarting(): boolean {
    const { threads, backgroundThreads = 0 } = this.#options
    return this.#control !== undefined && Atomics.load(this.#control, word.begun) < threads + backgroundThreads
  }
}

/** Waits for a promise that never rejects, for at most that many milliseconds. Returns whether it has settled. */
async function endsWithin(promise: Promise<unknown>, milliseconds: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<boolean>((resolve) => (timer = setTimeout(resolve, milliseconds, false)))
  const settled = await Promise.race([promise.then(() => true), late])
  clearTimeout(timer)
  return settled
}

interface Reported {
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((progress: { loaded: number; total: number }) => void) | undefined
}

/**
 * Runs a command whose threads make `total` of progress, and tells it from none to all. Throws what `Team.run` throws,
 * and what `onProgress` throws: that ends the command, too.
 */
export async function runReported(team: Team, command: number, total: number, { signal, onProgress }: Reported): Promise<void> {
  const progress = new Told(onProgress)
  progress.next({ loaded: 0, total })
  const stop = new AbortController()
  let failed = false
  // what a timer throws, no caller catches
  const report = () => {
    try {
      progress.next({ loaded: Math.min(total, team.progress), total })
    } catch (error) {
      failed = true
      stop.abort(error)
    }
  }
  const timer = onProgress && setInterval(report, 100)
  const forget = onAbort(signal, () => stop.abort(signal?.reason))
  try {
    await team.run(command, stop.signal).catch((error: Error) => {
      throw failed ? stop.signal.reason : error
    })
  } finally {
    forget()
    clearInterval(timer)
  }
  progress.next({ loaded: total, total })
  await progress.end()
}
