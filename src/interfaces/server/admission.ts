// How many requests run and wait, and whether more may come. The library keeps the queue; this bounds it. Knows nothing
// of what requests ask for.

import { ApiError } from './apiError.js'

export class Admission {
  readonly #most: number
  readonly #idle: (() => void)[] = []
  readonly #watchers: ((isBusy: boolean) => void)[] = []
  #inside = 0
  #closing = false

  /** @param most requests that may run or wait at one time */
  constructor(most: number) {
    this.#most = most
  }

  get inside(): number {
    return this.#inside
  }

  get closing(): boolean {
    return this.#closing
  }

  /** Lets a request in, and returns what to call when it is over, once. Throws an ApiError 503. */
  enter(): () => void {
    this.checkOpen()
    if (this.#inside >= this.#most) throw new ApiError(503, 'server busy, please try again: the queue is full')
    this.#inside++
    if (this.#inside === 1) for (const tell of this.#watchers) tell(true)
    let left = false
    return () => {
      if (left) return
      left = true
      this.#inside--
      if (this.#inside > 0) return
      for (const tell of this.#idle.splice(0)) tell()
      for (const tell of this.#watchers) tell(false)
    }
  }

  /** Throws an ApiError 503 if the server is about to end. */
  checkOpen(): void {
    if (this.#closing) throw new ApiError(503, 'the server is shutting down')
  }

  /** Lets nobody in from now on. */
  close(): void {
    this.#closing = true
  }

  /** Calls `tell` when the first request comes in, and when the last one has left. */
  watch(tell: (isBusy: boolean) => void): void {
    this.#watchers.push(tell)
  }

  /** When nobody is inside. */
  async empty(): Promise<void> {
    if (this.#inside > 0) await new Promise<void>((resolve) => this.#idle.push(resolve))
  }
}
