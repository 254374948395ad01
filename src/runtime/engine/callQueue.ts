// The queue of the calls that need a model for themselves: one runs at a time, in the order in which they came. A
// waiting call may be aborted, and fails when the model closes. Does not know what a call does.

import { abortedError, closedError } from '../../base/errors.js'
import { onAbort } from '../../base/onAbort.js'

export class CallQueue {
  /** Settles when all calls in the queue have left it. */
  #last: Promise<void> = Promise.resolve()
  readonly #closing = new AbortController()
  #waiting = 0

  /** How many calls wait. */
  get waiting(): number {
    return this.#waiting
  }

  /**
   * Waits until all earlier calls have left. The caller leaves by calling the result. Throws `ABORTED` when the signal
   * fires first, and `CLOSED` when the queue was closed or is closed meanwhile: an earlier call may never end.
   */
  async enter(signal?: AbortSignal): Promise<() => void> {
    const before = this.#last
    let leave = () => {}
    const left = new Promise<void>((resolve) => {
      leave = resolve
    })
    this.#last = before.then(() => left) // a call that gives up does not let later ones overtake earlier ones
    try {
      await this.#wait(before, signal)
    } catch (error) {
      leave()
      throw error
    }
    return leave
  }

  /** Fails all calls that wait or will come. */
  close(): void {
    this.#closing.abort()
  }

  #wait(before: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
    const closing = this.#closing.signal
    this.#waiting++
    return new Promise<void>((resolve, reject) => {
      const giveUp = () => reject(closing.aborted ? closedError() : abortedError(signal))
      const forget = [onAbort(closing, giveUp), onAbort(signal, giveUp)]
      void before.then(() => {
        for (const each of forget) each()
        resolve()
      })
    }).finally(() => {
      this.#waiting--
    })
  }
}
