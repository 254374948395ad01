// The check of the options that every long call takes.

import { MixtralError } from '../../base/errors.js'
import type { CallOptions } from '../../runtime/engine/engine.js'

/** Throws `OPTION` for an option that is neither of a long call nor one of `others`, a signal that is none, or a callback that cannot be called. */
export function checkCallOptions(options: { readonly [Name in keyof CallOptions]?: unknown }, others: readonly string[] = []): void {
  const known = [...others, 'signal', 'onProgress']
  const unknown = Object.keys(options).find((name) => !known.includes(name))
  if (unknown !== undefined) throw new MixtralError('OPTION', `unknown option ${unknown}, expected ${known.join(', ')}`)
  const { signal, onProgress } = options
  if (signal !== undefined && !(signal instanceof AbortSignal)) throw new MixtralError('OPTION', 'signal is not an AbortSignal')
  if (onProgress !== undefined && typeof onProgress !== 'function') throw new MixtralError('OPTION', 'onProgress is not a function')
}
