// The main thread's side of the team. Piscina owns the threads; a seated team holds one task per thread that runs command after command, synchronised through shared
// memory, and leaves when there has been nothing to do for a moment, so that a process can end. The main thread never blocks. Knows nothing of what commands do.

import { availableParallelism } from 'node:os'
import { MessageChannel, type MessagePort } from 'node:worker_threads'
import type { Piscina } from 'piscina'
import { abortedError, closedError, MixtralError } from '../../base/errors.js'
import { announce, CONTROL_WORDS, LEAVE, word } from './control.js'
import type { Report, SeatError, SeatTask } from './seat.js'

export interface TeamOptions {
  readonly threads: number
  /** Threads beside them that take no part in stages (attendant.ts). Default: none. */
  readonly attendants?: number
  /** The worker's file, as a URL: a .js file whose default export takes a SeatTask. */
  readonly worker: string
  /** Makes what every worker gets as workerData: once for each set of threads, so that nothing of a broken step survives. */
  readonly shared: () => unknown
}

/** Milliseconds without a command after which the threads' tasks end. */
const IDLE = 50
/** Milliseconds that a thread which is told to end may take. */
const PATIENCE = 2000

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
  /** Settles when threads that were told to go have gone: the next command must not meet them. */
  #leaving: Promise<unknown> | undefined
  #idle: NodeJS.Timeout | undefined
  /** Ends the running command with an error. */
  #fail: ((error: MixtralError) => void) | undefined
  #closed: Promise<unknown> | undefined

  constructor(options: TeamOptions) {
    this.#options = options
  }

  /** Loaded bytes so far, as counted by the threads. */
  get progress(): number {
    return this.#seating ? Atomics.load(this.#seating.control, word.progress) * 4096 : 0
  }

  /**
   * Runs one command on all threads; one at a time. Throws `ABORTED` when the signal fires (every thread leaves at the same point, and the team stays), `THREAD` when a
   * thread throws or ends (the next command gets a fresh team), `CLOSED` after close, and whatever MixtralError a thread throws.
   */
  async run(code: number, signal?: AbortSignal): Promise<void> {
    if (this.#closed) throw closedError()
    if (signal?.aborted) throw abortedError(signal)
    clearTimeout(this.#idle)
    await this.#leaving
    const pools = this.#seating ? undefined : await import('piscina') // on demand: who only imports the library should not wait for it
    if (this.#closed) throw closedError()
    this.#seating ??= this.#sit(pools!.Piscina)
    const { control, port } = this.#seating
    Atomics.store(control, word.cancel, 0)
    Atomics.store(control, word.code, code)
    let finish: (report: Report) => void = () => {}
    const hear = (report: Report) => finish(report)
    const cancel = () => Atomics.store(control, word.cancel, 1)
    signal?.addEventListener('abort', cancel)
    try {
      const { cancelled } = await new Promise<Report>((resolve, reject) => {
        this.#fail = reject
        finish = resolve
        port.ref()
        port.on('message', hear)
        announce(control, word.command)
        if (signal?.aborted) cancel()
      })
      if (cancelled) throw this.#closed ? closedError() : abortedError(signal)
      this.#idle = setTimeout(() => this.#leave(), IDLE)
    } catch (error) {
      if (error instanceof MixtralError && error.code === 'ABORTED') this.#idle = setTimeout(() => this.#leave(), IDLE)
      throw error
    } finally {
      this.#fail = undefined
      port.off('message', hear)
      port.unref()
      signal?.removeEventListener('abort', cancel)
    }
  }

  /** Ends the threads. A running command fails with `CLOSED`. */
  async close(): Promise<void> {
    clearTimeout(this.#idle)
    this.#fail?.(closedError())
    this.#closed ??= Promise.all([this.#dismiss(), this.#leaving])
    await this.#closed
  }

  #sit(Pool: typeof Piscina): Seating {
    const { threads, attendants = 0, worker, shared } = this.#options
    const pool = this.#pool ?? this.#openPool(Pool, worker, shared(), threads + attendants)
    this.#pool = pool
    const control = new Int32Array(new SharedArrayBuffer(CONTROL_WORDS * 4))
    const { port1, port2 } = new MessageChannel()
    const cores = availableParallelism()
    const tasks = Array.from({ length: threads + attendants }, (_, seat) => {
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
      env: {}, // threads read none; a copy of it all would need Deno's permission for every variable
    })
    // without a listener, a worker that fails to start would end the process; its task's promise rejects all the same
    pool.on('error', () => {})
    // a worker that ends while nobody sits in it is replaced by one without the others' memory of what is where: better a whole new pool
    pool.on('workerDestroy', () => {
      if (this.#pool !== pool || this.#seating) return
      this.#pool = undefined
      void pool.destroy()
    })
    return pool
  }

  /** The tasks end by themselves; the threads stay in the pool. */
  #leave(): void {
    const seating = this.#seating
    if (!seating) return
    this.#seating = undefined
    Atomics.store(seating.control, word.code, LEAVE)
    announce(seating.control, word.command)
    announce(seating.control, word.errand)
    this.#leaving = seating.ended
  }

  /** A thread is lost, perhaps only after it was told to leave: fail the command and give up this pool, so that nothing of the broken step survives. */
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
      announce(seating.control, word.errand)
    }
    // a thread that is ended while it still starts can take the process with it (Node 20): let them all come and go first
    const gone = Promise.all([seating?.ended, this.#leaving])
    let timer: NodeJS.Timeout | undefined
    await Promise.race([gone, new Promise((resolve) => (timer = setTimeout(resolve, PATIENCE)))])
    clearTimeout(timer)
    await pool?.destroy()
  }
}
