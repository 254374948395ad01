// The line in which the calls on one model wait: one runs at a time, in the order in which they came. Whoever waits may give up, and is sent away when the model closes.
// Knows nothing of what a call does.

import { abortedError, closedError } from '../../base/errors.js'

export class CallQueue {
  /** Settles when everybody in line has left. */
  #last: Promise<void> = Promise.resolve()
  readonly #closing = new AbortController()

  /**
   * Waits for the calls before and takes the turn; calling the result leaves. Throws `ABORTED` when the signal fires first, and `CLOSED` when the queue was closed or is
   * closed meanwhile: the call before may never end.
   */
  async enter(signal?: AbortSignal): Promise<() => void> {
    const before = this.#last
    let leave = () => {}
    const left = new Promise<void>((resolve) => {
      leave = resolve
    })
    this.#last = before.then(() => left) // who gives up lets nobody pass
    try {
      await this.#turn(before, signal)
    } catch (error) {
      leave()
      throw error
    }
    return leave
  }

  /** Sends everybody away who waits or will come. */
  close(): void {
    this.#closing.abort()
  }

  #turn(before: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
    const closing = this.#closing.signal
    return new Promise((resolve, reject) => {
      const giveUp = () => reject(closing.aborted ? closedError() : abortedError(signal))
      if (closing.aborted || signal?.aborted) giveUp()
      closing.addEventListener('abort', giveUp)
      signal?.addEventListener('abort', giveUp)
      void before.then(() => {
        closing.removeEventListener('abort', giveUp)
        signal?.removeEventListener('abort', giveUp)
        resolve()
      })
    })
  }
}
