// The perplexity of a text: e to the mean negative log-likelihood of its tokens, over the windows of llama-perplexity.
// Stores the logits too, if asked to.

import { exp } from '../../base/elementary.js'
import { checkText, MixtralError, shown } from '../../base/errors.js'
import { Told } from '../../base/onAbort.js'
import { checkModel, type EvaluatedModel, evaluateWindows, type ScoringModel, scoreWindows } from './evaluate.js'
import { LogitsFileWriter } from './logitsFile.js'
import { type Estimate, meanOf } from './statistics.js'
import { checkWindowOptions, cutWindows, SHORTEST_WINDOW, type WindowOptions, type Windows } from './windows.js'

export interface PerplexityOptions extends WindowOptions {
  /** Number of tokens in a window. Default: 512, or the model's context if that is shorter. */
  readonly contextLength?: number
  /** A file to store the logits in, for `measureDivergence` or llama-perplexity. */
  readonly saveLogits?: string
}

export interface PerplexityResult {
  /** Number of tokens in a window. */
  readonly contextLength: number
  /** Number of windows that ran. */
  readonly windows: number
  /** Number of predictions that counted. */
  readonly predictions: number
  readonly perplexity: Estimate
}

/** Default number of tokens in a window. */
export const USUAL_WINDOW = 512

/**
 * The perplexity of a text. The tokenizer puts BOS first if the model asks for it, and control tokens spelled in the
 * text do not count as such.
 *
 * Throws `OPTION` for what is no model and for a text of less than two windows; `CONTEXT` for a window that does not
 * fit the model's context; `IO` for logits that cannot be stored; and what `MixtralModel.logits` throws.
 * @example
 * const { perplexity } = await measurePerplexity(model, text, { contextLength: 256 })
 * console.log(`${perplexity.value} ± ${perplexity.error}`)
 */
export async function measurePerplexity(model: EvaluatedModel, text: string, asked: PerplexityOptions = {}): Promise<PerplexityResult> {
  checkModel(model)
  const options = checkWindowOptions(asked, ['contextLength', 'saveLogits'])
  const longest = Math.min(model.contextLength, model.config.maxPositions)
  const contextLength = options.contextLength ?? Math.min(USUAL_WINDOW, longest)
  if (!Number.isInteger(contextLength) || contextLength < SHORTEST_WINDOW) {
    throw new MixtralError('OPTION', `contextLength is ${shown(contextLength)}, expected a whole number from ${SHORTEST_WINDOW}`)
  }
  const windows = cutWindows(model.tokenizer.encode(text), contextLength, options.windows)
  const { saveLogits } = options
  const progress = new Told(options.onProgress)
  if (saveLogits !== undefined) checkText('saveLogits', saveLogits)
  const writer = saveLogits === undefined ? undefined : await LogitsFileWriter.create(saveLogits, model.config.vocabSize, windows)
  const nlls: number[] = []
  let done = 0
  try {
    for await (const ofWindow of nllsOf(model, windows, options, writer)) {
      for (const nll of ofWindow) nlls.push(nll)
      progress.next({ loaded: ++done, total: windows.count, perplexity: perplexityOf(nlls) })
    }
    await progress.end()
    await writer?.close()
  } catch (error) {
    await writer?.discard()
    throw error
  }
  return { contextLength, windows: windows.count, predictions: nlls.length, perplexity: perplexityOf(nlls) }
}

/** Negative log-likelihoods, window by window. Stores the logits if there is a writer. */
async function* nllsOf(model: EvaluatedModel, windows: Windows, options: PerplexityOptions, writer: LogitsFileWriter | undefined) {
  if (!writer && canScore(model)) {
    yield* scoreWindows(model, windows, options)
    return
  }
  for await (const predictions of evaluateWindows(model, windows, options)) {
    const nlls: number[] = []
    for (const prediction of predictions) {
      nlls.push(prediction.nll)
      writer?.set(prediction)
    }
    await writer?.writeWindow()
    yield nlls
  }
}

function canScore(model: EvaluatedModel): model is ScoringModel {
  return model.score !== undefined
}

/** e to the mean of `nlls`. The standard error is the mean's, times that. */
export function perplexityOf(nlls: readonly number[]): Estimate {
  const mean = meanOf(nlls)
  const value = exp(mean.value)
  return { value, error: mean.error * value }
}
