// What every call on a model takes, options and tokens, and their check. Knows nothing of what a call does.

import { checkNames, checkObject, checkTokenList, listCopy, MixtralError, shown } from '../../base/errors.js'
import { limits } from '../../base/limits.js'
import { checkScale } from '../adapters/adapterSet.js'
import type { Progress } from './engineOptions.js'

export interface CallOptions {
  /** Ends the call with an `ABORTED` error, whose name is `AbortError`. */
  readonly signal?: AbortSignal
  /** Called after each step, in tokens or bytes: all that there are, and how many of them are done. */
  readonly onProgress?: (progress: Progress) => void
}

/** The options of a call that runs tokens. */
export interface ForwardOptions extends CallOptions {
  /**
   * How many experts each token has in a layer, 1 to all; their weights are renormalized. Default: the model's own
   * number, for which it was trained.
   */
  readonly expertsPerToken?: number
  /**
   * How much of each adapter of the model counts, in their order; 0, or no number, is none of it. Default: as the model
   * was loaded.
   */
  readonly adapters?: readonly number[]
}

/** What is known of a model where calls are checked. */
export interface CalledModel {
  readonly config: { readonly experts: number }
  /** The adapters of the model. */
  readonly adapters: readonly unknown[]
}

/**
 * A copy of the options of a forward pass, checked. Throws `OPTION` for what is no option of one of the model, or an
 * impossible one.
 */
export function checkForwardOptions<T extends ForwardOptions>(options: T, model: CalledModel, others: readonly string[] = []): T {
  const own = checkCallOptions(options, ['expertsPerToken', 'adapters', ...others])
  checkExpertsPerToken(own.expertsPerToken, model.config.experts)
  return own.adapters === undefined ? own : { ...own, adapters: checkScales(own.adapters, model) }
}

/**
 * A number for each adapter of a model. Throws `OPTION` for what is no list of numbers, and for more than there are.
 */
export function checkScales(given: unknown, { adapters }: CalledModel): number[] {
  const scales = checkScaleList(given)
  if (scales.length > adapters.length) {
    throw new MixtralError('OPTION', `adapters has ${scales.length} numbers, expected at most ${adapters.length}, one for each adapter`)
  }
  return adapters.map((_, i) => scales[i] ?? 0)
}

/** A copy of a list of finite numbers. Throws `OPTION` for what is none. */
export function checkScaleList(given: unknown): number[] {
  if (!Array.isArray(given)) throw new MixtralError('OPTION', `adapters is ${shown(given)}, expected a list of numbers`)
  const list = Array.from({ length: Math.min(given.length, limits.adapters.most + 1) }, (_, i): unknown => given[i])
  return list.map((scale, place) => checkScale(scale, (found) => `adapters has ${found} in place ${place}`))
}

/** Throws `OPTION` for a number of experts that a model of `experts` cannot use. */
export function checkExpertsPerToken(expertsPerToken: unknown, experts: number): void {
  if (expertsPerToken === undefined) return
  if (Number.isInteger(expertsPerToken) && (expertsPerToken as number) >= 1 && (expertsPerToken as number) <= experts) return
  throw new MixtralError('OPTION', `expertsPerToken is ${shown(expertsPerToken)}, expected a whole number from 1 to ${experts}`)
}

/**
 * A copy of options, checked: each is read once, since a getter may give another value the next time. Throws `OPTION`
 * for an option that is neither a call option nor in `others`, for a `signal` that is not an AbortSignal, and for an
 * `onProgress` that is not a function.
 */
export function checkCallOptions<T extends { readonly [Name in keyof CallOptions]?: unknown }>(
  options: T,
  others: readonly string[] = [],
): T {
  checkObject(options)
  const own = { ...options }
  checkNames(own, [...others, 'signal', 'onProgress'])
  const { signal, onProgress } = own
  if (signal !== undefined && !isSignal(signal)) throw new MixtralError('OPTION', 'signal is not an AbortSignal')
  if (onProgress !== undefined && typeof onProgress !== 'function') throw new MixtralError('OPTION', 'onProgress is not a function')
  return own
}

/** Whether it is an AbortSignal, and not merely an object with the prototype of one. */
function isSignal(value: unknown): value is AbortSignal {
  try {
    return value instanceof AbortSignal && typeof value.aborted === 'boolean'
  } catch {
    return false
  }
}

/** Token ids as a caller may give them: an array, or a typed array of whole numbers. */
export type TokenIds = ArrayLike<number>

/**
 * A copy of tokens, which a caller may change while a call waits or runs. Throws `OPTION` for no list of tokens,
 * `CONTEXT` when they do not fit, `TOKENIZER` for an id outside the vocabulary.
 */
export function checkTokens(tokens: TokenIds, vocabSize: number, contextLength: number, runsLast = true): number[] {
  checkTokenList(tokens)
  const { length } = tokens
  if (!length) throw new MixtralError('OPTION', 'no tokens, expected at least one')
  checkTokenCount(length, contextLength, runsLast)
  const ids = listCopy(tokens, { length })
  const wrong = ids.findIndex((id) => !Number.isInteger(id) || id < 0 || id >= vocabSize)
  if (wrong >= 0)
    throw new MixtralError('TOKENIZER', `token ${wrong} has id ${shown(ids[wrong])}, expected a whole number below ${vocabSize}`)
  return ids
}

/** Throws `CONTEXT` for more tokens than the context has room for; if the last one is not run, it needs none. */
export function checkTokenCount(count: number, contextLength: number, runsLast = true): void {
  if (count - (runsLast ? 0 : 1) <= contextLength) return
  const counts = { promptTokens: count, contextLength }
  const room = `the context has room for ${contextLength}${runsLast ? '' : ', and one more that is not run'}`
  throw new MixtralError('CONTEXT', `${count} tokens, ${room}`, counts)
}
