// Runs a model over windows, one at a time, and yields every prediction that counts. Knows nothing of what is measured,
// and keeps the logits of one window only.

import { checkKind, MixtralError } from '../../base/errors.js'
import { notFiniteLogit } from '../../runtime/sampler/job.js'
import type { Tokenizer } from '../../text/tokenizer/tokenizer.js'
import { type Normal, normalize } from './logProbabilities.js'
import { firstScored, scoredPerWindow, type WindowOptions, type Windows, windowAt } from './windows.js'

/** What a measurement asks of a forward pass. */
export type PassOptions = Pick<WindowOptions, 'signal' | 'expertsPerToken'>

/** What a measurement needs of a model; a MixtralModel has it. */
export interface EvaluatedModel {
  readonly config: { readonly vocabSize: number; readonly maxPositions: number }
  readonly contextLength: number
  readonly tokenizer: Pick<Tokenizer, 'encode' | 'addBos' | 'bosId'>
  logits(ids: readonly number[], options?: PassOptions): Promise<Float32Array>
  /** Log-probabilities of the tokens from `from` on. Where logits are not wanted, it saves copying them. */
  score?(ids: readonly number[], options: PassOptions & { readonly from: number }): Promise<readonly { readonly logprob: number }[]>
}

export type ScoringModel = EvaluatedModel & Required<Pick<EvaluatedModel, 'score'>>

/** Throws `OPTION` for what is no model. */
export function checkModel(model: EvaluatedModel): void {
  const isModel =
    typeof model?.config?.vocabSize === 'number' &&
    typeof model.contextLength === 'number' &&
    typeof model.tokenizer?.encode === 'function' &&
    typeof model.logits === 'function'
  checkKind('the model', model, isModel, 'a MixtralModel')
}

/** One prediction. */
export interface Prediction extends Normal {
  /** Index in the window, from 0. */
  readonly row: number
  /** (vocabulary) valid until the next window runs. */
  readonly logits: Float32Array
  /** The token that came. */
  readonly next: number
  /** The negative log-likelihood of that token. */
  readonly nll: number
}

/**
 * The negative log-likelihoods of the predictions that count, window by window, without their logits. Throws what
 * `evaluateWindows` throws.
 */
export async function* scoreWindows(model: ScoringModel, windows: Windows, options: PassOptions): AsyncGenerator<number[]> {
  checkContext(model, windows)
  for (let index = 0; index < windows.count; index++) {
    const { input, text } = windowAt(windows, index, model.tokenizer)
    const scored = await model.score(input, { from: firstScored(text.length) + 1, ...passOptions(options) })
    yield scored.map(({ logprob }) => -logprob)
  }
}

/**
 * The predictions that count, window by window, in order. Throws what `logits` throws, `CONTEXT` if the model's
 * context is shorter than a window, and `MODEL` for a logit that is not finite.
 */
export async function* evaluateWindows(
  model: EvaluatedModel,
  windows: Windows,
  options: PassOptions,
): AsyncGenerator<Iterable<Prediction>> {
  checkContext(model, windows)
  for (let index = 0; index < windows.count; index++) {
    const { input, text } = windowAt(windows, index, model.tokenizer)
    const logits = await model.logits(input, passOptions(options))
    yield predictions(logits, text, model.config.vocabSize)
  }
}

const passOptions = ({ signal, expertsPerToken }: PassOptions): PassOptions => ({
  ...(signal && { signal }),
  ...(expertsPerToken !== undefined && { expertsPerToken }),
})

function checkContext(model: EvaluatedModel, { contextLength }: Windows): void {
  if (contextLength <= model.contextLength) return
  throw new MixtralError('CONTEXT', `windows of ${contextLength} tokens, the context has room for ${model.contextLength}`)
}

function* predictions(all: Float32Array, text: readonly number[], vocabulary: number): Generator<Prediction> {
  for (let row = 0; row < scoredPerWindow(text.length); row++) {
    const position = firstScored(text.length) + row
    const logits = all.subarray(position * vocabulary, (position + 1) * vocabulary)
    const broken = logits.findIndex((logit) => !Number.isFinite(logit))
    if (broken >= 0) throw notFiniteLogit(broken, logits[broken]!)
    const { offset, top } = normalize(logits)
    const next = text[position + 1]!
    yield { row, logits, offset, top, next, nll: offset - logits[next]! }
  }
}
