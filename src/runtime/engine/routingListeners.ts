// The listeners that are told the experts of every token that runs. Owns who listens, and what becomes of a listener
// that fails: it is not called again.

import { onRejection, warn } from '../../base/onAbort.js'
import type { FullRouting } from '../model/routes.js'

/** The experts of one token of a request, and the routers' logits. */
export interface RoutedToken extends FullRouting {
  /** The number of the request, counted from 0 in the life of the model. */
  readonly request: number
  /** The token's place in its sequence. */
  readonly position: number
  readonly token: number
}

export class RoutingListeners {
  readonly #listeners = new Set<(routed: RoutedToken) => unknown>()

  /** Returns a function that ends it. */
  add(listener: (routed: RoutedToken) => void): () => void {
    const own = (routed: RoutedToken) => listener(routed) // one function may listen twice
    this.#listeners.add(own)
    return () => {
      this.#listeners.delete(own)
    }
  }

  /**
   * Calls all listeners with each of the tokens, one listener after the other. One that throws or rejects is not called
   * again.
   */
  tell(tokens: () => Iterable<RoutedToken>): void {
    for (const listener of [...this.#listeners]) {
      const fail = (error: unknown) => {
        if (this.#listeners.delete(listener)) warn(error, 'a routing listener')
      }
      try {
        for (const routed of tokens()) onRejection(listener(routed), fail)
      } catch (error) {
        fail(error)
      }
    }
  }
}
