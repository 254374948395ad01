// The options that every call on a model takes, and their check. Knows nothing of what a call does.

import { checkNames, MixtralError } from '../../base/errors.js'
import type { Progress } from './engineOptions.js'

export interface CallOptions {
  /** Ends the call with an `ABORTED` error, whose name is `AbortError`. */
  readonly signal?: AbortSignal
  /** Called after each step, in tokens or bytes: all that there are, and how many of them are done. */
  readonly onProgress?: (progress: Progress) => void
}

/**
 * Throws `OPTION` for an option that is neither a call option nor in `others`, for a `signal` that is not an
 * AbortSignal, and for an `onProgress` that is not a function.
 */
export function checkCallOptions(options: { readonly [Name in keyof CallOptions]?: unknown }, others: readonly string[] = []): void {
  checkNames(options, [...others, 'signal', 'onProgress'])
  const { signal, onProgress } = options
  if (signal !== undefined && !(signal instanceof AbortSignal)) throw new MixtralError('OPTION', 'signal is not an AbortSignal')
  if (onProgress !== undefined && typeof onProgress !== 'function') throw new MixtralError('OPTION', 'onProgress is not a function')
}
