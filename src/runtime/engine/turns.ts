// Turns of calls that cannot share steps: those that need the model for themselves, and those that hold pages of the
// KV cache which belong to no request. One of each kind at a time, in the order in which they came.

import { CallQueue } from './callQueue.js'
import type { StepLoop } from './stepLoop.js'

export class Turns {
  readonly #model = new CallQueue()
  readonly #pages = new CallQueue()
  readonly #loop: StepLoop

  constructor(loop: StepLoop) {
    this.#loop = loop
  }

  /**
   * Waits for a turn in which no steps run, and holds the model until the result is called. Throws `ABORTED` when the
   * signal fires first, and `CLOSED`.
   */
  async enter(signal?: AbortSignal): Promise<() => void> {
    const leave = await this.#model.enter(signal)
    await this.#loop.pause()
    return () => {
      this.#loop.resume()
      leave()
    }
  }

  /** Holds the model while `call` runs. */
  async exclusive<T>(call: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    const leave = await this.enter(signal)
    try {
      return await call()
    } finally {
      leave()
    }
  }

  /**
   * Waits for a turn to hold pages, while steps run: each call finds all pages that it needs, as there is no other.
   * Throws as `enter` does. A call that needs both turns takes this one first.
   */
  enterPages(signal?: AbortSignal): Promise<() => void> {
    return this.#pages.enter(signal)
  }

  /** A turn with pages, in which no steps run. */
  async enterBoth(signal?: AbortSignal): Promise<() => void> {
    const leavePages = await this.enterPages(signal)
    try {
      const leave = await this.enter(signal)
      return () => {
        leave()
        leavePages()
      }
    } catch (error) {
      leavePages()
      throw error
    }
  }

  /** Whether somebody waits for what a turn holds: a turn of either kind, or a step. */
  get isWanted(): boolean {
    return this.#model.waiting + this.#pages.waiting > 0 || this.#loop.hasWork
  }

  /** Fails all calls that wait or will come. */
  close(): void {
    this.#model.close()
    this.#pages.close()
  }
}
