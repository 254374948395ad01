// Runs a model over windows, chunk by chunk, and hands on every prediction that counts. Knows nothing of what is measured, and keeps no chunk
// longer than it takes.

import { MixtralError } from '../../base/errors.js'
import type { Tokenizer } from '../../text/tokenizer/tokenizer.js'
import { type Normal, normalize } from './logProbabilities.js'
import { firstScored, scoredPerChunk, type Windows, windowAt } from './windows.js'

/** What of a MixtralModel is needed. */
export interface Evaluated {
  readonly config: { readonly vocabSize: number; readonly maxPositions: number }
  readonly contextLength: number
  readonly tokenizer: Pick<Tokenizer, 'encode' | 'addBos' | 'bosId'>
  logits(ids: readonly number[], options?: { readonly signal?: AbortSignal }): Promise<Float32Array>
}

/** One prediction. */
export interface Prediction extends Normal {
  /** Its number in the chunk, from 0. */
  readonly row: number
  /** (vocabulary), for now only: the memory goes with the chunk. */
  readonly logits: Float32Array
  /** The token that came. */
  readonly next: number
  /** The negative log-likelihood of that token. */
  readonly nll: number
}

/** The predictions of each chunk that count, in order. Throws what `logits` throws, and `CONTEXT` if the model's context is shorter than a chunk. */
export async function* evaluateWindows(
  model: Evaluated,
  windows: Windows,
  { signal }: { readonly signal?: AbortSignal },
): AsyncGenerator<Iterable<Prediction>> {
  const { contextLength, chunks } = windows
  if (contextLength > model.contextLength) {
    throw new MixtralError('CONTEXT', `windows of ${contextLength} tokens, the context has room for ${model.contextLength}`)
  }
  for (let chunk = 0; chunk < chunks; chunk++) {
    const { input, text } = windowAt(windows, chunk, model.tokenizer)
    const logits = await model.logits(input, signal === undefined ? {} : { signal })
    yield predictions(logits, text, model.config.vocabSize)
  }
}

function* predictions(all: Float32Array, text: readonly number[], vocabulary: number): Generator<Prediction> {
  for (let row = 0; row < scoredPerChunk(text.length); row++) {
    const position = firstScored(text.length) + row
    const logits = all.subarray(position * vocabulary, (position + 1) * vocabulary)
    const { offset, top } = normalize(logits)
    const next = text[position + 1]!
    yield { row, logits, offset, top, next, nll: offset - logits[next]! }
  }
}
