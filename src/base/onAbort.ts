// Listening to what callers hold. An AbortSignal that many calls share has one listener, however many wait for it, so
// that the runtime does not warn of a leak at the eleventh. A promise that a caller's function gives is listened to, so
// that its error does not end the process.

import process from 'node:process'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { abortedError, shown } from './errors.js'

const listeners = new WeakMap<AbortSignal, Set<() => void>>()

/**
 * Calls `then` when the signal fires; at once if it has. Returns a function that ends the listening. Without a signal,
 * nothing is done.
 */
export function onAbort(signal: AbortSignal | undefined, then: () => void): () => void {
  if (signal === undefined) return () => {}
  if (signal.aborted) {
    then()
    return () => {}
  }
  const calls = listeners.get(signal) ?? new Set()
  if (!listeners.has(signal)) {
    listeners.set(signal, calls)
    signal.addEventListener('abort', () => callAll(calls), { once: true })
  }
  const call = () => then() // of its own, so that one function may listen twice
  calls.add(call)
  return () => {
    calls.delete(call)
  }
}

function callAll(calls: Set<() => void>): void {
  for (const call of [...calls]) call()
  calls.clear()
}

/** What a promise gives; or an `ABORTED` error if the signal fires first. */
export async function unless<V>(signal: AbortSignal | undefined, promise: Promise<V>): Promise<V> {
  if (!signal) return promise
  let stop = () => {}
  const left = new Promise<never>((_, reject) => {
    stop = onAbort(signal, () => reject(abortedError(signal)))
  })
  return Promise.race([promise, left]).finally(() => stop())
}

/** Calls `then` with the error of what a caller's function gave, if that is a promise and is rejected. */
export function onRejection(given: unknown, then: (error: unknown) => void): void {
  if (isPromise(given)) Promise.resolve(given).catch(then)
}

/** Says what a caller's function threw where no call can. */
export function warn(error: unknown, what: string): void {
  process.emitWarning(error instanceof Error ? error : `${what} threw ${shown(error)}`)
}

/** Whether a value is a promise, of any library. */
export function isPromise(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as PromiseLike<unknown> | null | undefined)?.then === 'function'
}

/**
 * Tells a caller's function of progress. Where that is asynchronous, its error does not end the process: the next
 * telling throws it, as it would have thrown it itself, or `end`; later ones become a warning.
 */
export class Told<P> {
  readonly #tell: ((progress: P) => unknown) | undefined
  #failure: { readonly error: unknown } | undefined
  #isAsync = false
  #isOver = false

  constructor(tell: ((progress: P) => unknown) | undefined) {
    this.#tell = tell
  }

  next(progress: P): void {
    this.#throwFailure()
    const given = this.#tell?.(progress)
    this.#isAsync ||= isPromise(given)
    onRejection(given, (error) => {
      if (this.#isOver) warn(error, 'a function for progress')
      else this.#failure ??= { error }
    })
  }

  /** Throws also what the last telling is rejected with at once. */
  async end(): Promise<void> {
    if (this.#isAsync) await nextTurn()
    this.#isOver = true
    this.#throwFailure()
  }

  #throwFailure(): void {
    if (this.#failure) throw this.#failure.error
  }
}
