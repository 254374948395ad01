// The windows of a text: where it is cut and which predictions count, as in llama-perplexity. The text's tokens in chunks of one context each,
// what is left over dropped; BOS in the first place of each, if the model has one there; and only the predictions of the second half
// of a chunk, which have at least half a context before them. Does not run a model.

import { MixtralError } from '../../base/errors.js'
import type { Tokenizer } from '../../text/tokenizer/tokenizer.js'

/** The fewest tokens of a chunk in which a prediction counts. */
export const SHORTEST_WINDOW = 3

export interface Windows {
  /** Tokens of a chunk. */
  readonly contextLength: number
  readonly chunks: number
  /** The text's own tokens: (chunks, contextLength). */
  readonly tokens: readonly number[]
}

/** The position in a chunk whose prediction, of the token after it, is the first that counts; the last is that of the last token but one. */
export function firstScored(contextLength: number): number {
  return Math.floor(contextLength / 2)
}

/** Predictions that count in a chunk. */
export function scoredPerChunk(contextLength: number): number {
  return contextLength - 1 - firstScored(contextLength)
}

/** Cuts tokens into windows, at most `most` of them. Throws `OPTION` for a text of less than two. */
export function cutWindows(tokens: readonly number[], contextLength: number, most = Number.POSITIVE_INFINITY): Windows {
  if (tokens.length < 2 * contextLength) {
    const found = `the text has ${tokens.length} tokens`
    throw new MixtralError('OPTION', `${found}, expected at least ${2 * contextLength}: two windows of ${contextLength}`)
  }
  return firstWindows({ contextLength, chunks: Math.floor(tokens.length / contextLength), tokens }, most)
}

/** At most `most` of the windows. */
export function firstWindows({ contextLength, chunks: all, tokens }: Windows, most = Number.POSITIVE_INFINITY): Windows {
  const chunks = Math.min(all, most)
  return { contextLength, chunks, tokens: tokens.slice(0, chunks * contextLength) }
}

/** A chunk as the model gets it (`input`), and the tokens that were there (`text`): (contextLength) both. */
export function windowAt(
  { contextLength, tokens }: Windows,
  index: number,
  { addBos, bosId }: Pick<Tokenizer, 'addBos' | 'bosId'>,
): { readonly input: number[]; readonly text: readonly number[] } {
  const text = tokens.slice(index * contextLength, (index + 1) * contextLength)
  return { input: addBos ? [bosId, ...text.slice(1)] : [...text], text }
}
