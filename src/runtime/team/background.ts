// A background thread of the team: takes no part in stages and barriers, may block for as long as it likes, and is
// woken when there may be work for it. Owns its way to sleep, wake and leave. Does not know what its work is.

import { announce, LEAVE, RECHECK_MS, word } from './control.js'
import { asSeatError, type SeatError, type SeatTask } from './seat.js'

export class BackgroundThread {
  readonly #words: Int32Array

  constructor(words: Int32Array) {
    this.#words = words
  }

  /** How often background threads have been woken. */
  get wakeCount(): number {
    return Atomics.load(this.#words, word.backgroundWork)
  }

  /** Whether main has told the threads to leave. */
  get mustLeave(): boolean {
    const words = this.#words
    return Atomics.load(words, word.stopped) === 1 || (Atomics.load(words, word.command) !== 0 && Atomics.load(words, word.code) === LEAVE)
  }

  /**
   * Sleeps until background threads are woken, if `wakeCount` is still `known`; or until it is time to look at
   * `mustLeave`.
   */
  sleep(known: number): void {
    Atomics.wait(this.#words, word.backgroundWork, known, RECHECK_MS)
  }

  /** Wakes the other background threads. */
  wakeBackground(): void {
    announce(this.#words, word.backgroundWork)
  }

  /** Wakes the threads that wait for a result of background work. */
  signalReady(): void {
    announce(this.#words, word.ready)
  }
}

/**
 * Runs `work`, which does all there is to do, whenever background threads are woken, until main tells the threads to
 * leave. Errors end as those of a seat do (seat.ts).
 */
export function runInBackground(task: SeatTask, work: (thread: BackgroundThread) => void): SeatError | undefined {
  Atomics.add(task.control, word.begun, 1)
  const thread = new BackgroundThread(task.control)
  try {
    while (!thread.mustLeave) {
      const known = thread.wakeCount
      work(thread)
      thread.sleep(known)
    }
  } catch (error) {
    return asSeatError(error)
  }
  return undefined
}
