// Holds calls back that nobody waits for, such as those of a batch beside a chat: while it is closed, they take part in
// no step, and others have the places and the memory that they would take. They keep what they have written, and go on
// when it opens. A call has the hold of its signal, which all calls hand down anyway.

import { onAbort } from '../../base/onAbort.js'

const held = new WeakMap<AbortSignal, Hold>()

/** The hold of the calls that have this signal. */
export function holdOf(signal: AbortSignal | undefined): Hold | undefined {
  return signal && held.get(signal)
}

export class Hold {
  readonly #wakes = new Set<() => void>()
  #isClosed = false

  /** Calls that get this signal from now on are held back while this is closed. */
  take(signal: AbortSignal): void {
    held.set(signal, this)
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  /** The step that runs comes to its end. */
  close(): void {
    this.#isClosed = true
  }

  open(): void {
    this.#isClosed = false
    for (const wake of this.#wakes) wake()
  }

  /** Calls `wake` each time it opens. Returns a function that ends that. */
  onOpen(wake: () => void): () => void {
    const own = () => wake() // one function may be given twice
    this.#wakes.add(own)
    return () => this.#wakes.delete(own)
  }
}

/** Listens to a signal, and to its hold. Returns a function that ends the listening. */
export function onSignal(signal: AbortSignal | undefined, onEnd: () => void, onOpen: () => void): () => void {
  const forgetOpen = holdOf(signal)?.onOpen(onOpen)
  const forgetEnd = onAbort(signal, onEnd)
  return () => {
    forgetOpen?.()
    forgetEnd()
  }
}
