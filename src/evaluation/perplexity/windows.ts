// The windows of a text: where it is cut and which predictions count, as in llama-perplexity; the options of a
// measurement over windows, their check, and the progress that it reports. The text's tokens are cut into windows of
// one context each, and the rest is dropped. BOS takes the first place of each window, if the model has one there. Only
// the predictions of the second half of a window count: they have at least half a context before them. Does not run a
// model.

import { MixtralError, shown } from '../../base/errors.js'
import { checkCallOptions } from '../../runtime/engine/callArguments.js'
import type { Tokenizer } from '../../text/tokenizer/tokenizer.js'
import type { Estimate } from './statistics.js'

/** The fewest tokens of a window in which a prediction counts. */
export const SHORTEST_WINDOW = 3

/** A text cut into windows. */
export interface Windows {
  /** Number of tokens in a window. */
  readonly contextLength: number
  /** Number of windows. */
  readonly count: number
  /** The text's own tokens: (count, contextLength). */
  readonly tokens: readonly number[]
}

/**
 * The first position in a window whose prediction counts. A position predicts the token after it, so the last one that
 * counts is the last but one.
 */
export function firstScored(contextLength: number): number {
  return Math.floor(contextLength / 2)
}

/** Number of predictions that count in a window. */
export function scoredPerWindow(contextLength: number): number {
  return contextLength - 1 - firstScored(contextLength)
}

/** Cuts tokens into windows, at most `most` of them. Throws `OPTION` for a text of less than two. */
export function cutWindows(tokens: readonly number[], contextLength: number, most = Number.POSITIVE_INFINITY): Windows {
  if (tokens.length < 2 * contextLength) {
    const found = `the text has ${tokens.length} tokens`
    throw new MixtralError('OPTION', `${found}, expected at least ${2 * contextLength}: two windows of ${contextLength}`)
  }
  return firstWindows({ contextLength, count: Math.floor(tokens.length / contextLength), tokens }, most)
}

/** The first windows, at most `most` of them. */
export function firstWindows({ contextLength, count: all, tokens }: Windows, most = Number.POSITIVE_INFINITY): Windows {
  const count = Math.min(all, most)
  return { contextLength, count, tokens: tokens.slice(0, count * contextLength) }
}

/** One window: what the model gets (`input`), and the text's own tokens (`text`), both (contextLength). */
export function windowAt(
  { contextLength, tokens }: Windows,
  index: number,
  { addBos, bosId }: Pick<Tokenizer, 'addBos' | 'bosId'>,
): { readonly input: number[]; readonly text: readonly number[] } {
  const text = tokens.slice(index * contextLength, (index + 1) * contextLength)
  return { input: addBos ? [bosId, ...text.slice(1)] : [...text], text }
}

/** Progress of a measurement. */
export interface WindowProgress {
  /** Windows done. */
  readonly loaded: number
  /** Windows to run. */
  readonly total: number
  /** The model's perplexity so far. */
  readonly perplexity: Estimate
}

export interface WindowOptions {
  /** Largest number of windows to run. Default: all. */
  readonly windows?: number
  /** How many experts each token has in a layer. Default: the model's own number. */
  readonly expertsPerToken?: number
  readonly signal?: AbortSignal
  /** Called after each window. */
  readonly onProgress?: (progress: WindowProgress) => void
}

/** A copy of options. Throws `OPTION` for an impossible one, and for one that is neither of windows nor in `others`. */
export function checkWindowOptions<T extends WindowOptions>(options: T, others: readonly string[] = []): T {
  const own = checkCallOptions(options, ['windows', 'expertsPerToken', ...others])
  const { windows } = own
  if (windows !== undefined && !(Number.isInteger(windows) && windows >= 1)) {
    throw new MixtralError('OPTION', `windows is ${shown(windows)}, expected a whole number from 1`)
  }
  return own
}
