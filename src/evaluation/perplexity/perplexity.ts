// The perplexity of a text: e to the mean negative log-likelihood of its tokens, over the windows of llama-perplexity. Stores the logits on the
// way if asked to.

import { exp } from '../../base/elementary.js'
import { MixtralError } from '../../base/errors.js'
import { type Evaluated, evaluateWindows } from './evaluate.js'
import { LogitsFileWriter } from './logitsFile.js'
import { type Estimate, meanOf } from './statistics.js'
import { checkWindowOptions, type WindowOptions } from './windowOptions.js'
import { cutWindows, SHORTEST_WINDOW } from './windows.js'

export interface PerplexityOptions extends WindowOptions {
  /** Tokens of a chunk. Default: 512, or the model's context if that is shorter. */
  readonly contextLength?: number
  /** A file to store the logits in, for `measureDivergence` or llama-perplexity. */
  readonly saveLogits?: string
}

export interface PerplexityResult {
  readonly contextLength: number
  readonly chunks: number
  /** Predictions that counted. */
  readonly predictions: number
  readonly perplexity: Estimate
}

/** Tokens of a chunk where nobody says how many. */
export const USUAL_WINDOW = 512

/** What the package exports under this name: described in index.ts. */
export async function measurePerplexity(model: Evaluated, text: string, options: PerplexityOptions = {}): Promise<PerplexityResult> {
  checkWindowOptions(options, ['contextLength', 'saveLogits'])
  const longest = Math.min(model.contextLength, model.config.maxPositions)
  const contextLength = options.contextLength ?? Math.min(USUAL_WINDOW, longest)
  if (!Number.isInteger(contextLength) || contextLength < SHORTEST_WINDOW) {
    throw new MixtralError('OPTION', `contextLength is ${contextLength}, expected a whole number from ${SHORTEST_WINDOW}`)
  }
  const windows = cutWindows(model.tokenizer.encode(text), contextLength, options.chunks)
  const { saveLogits, onProgress } = options
  const writer = saveLogits === undefined ? undefined : await LogitsFileWriter.create(saveLogits, model.config.vocabSize, windows)
  const nlls: number[] = []
  let done = 0
  try {
    for await (const predictions of evaluateWindows(model, windows, options)) {
      for (const prediction of predictions) {
        nlls.push(prediction.nll)
        writer?.set(prediction)
      }
      await writer?.writeChunk()
      onProgress?.({ loaded: ++done, total: windows.chunks, perplexity: perplexityOf(nlls) })
    }
    await writer?.close()
  } catch (error) {
    await writer?.discard()
    throw error
  }
  return { contextLength, chunks: windows.chunks, predictions: nlls.length, perplexity: perplexityOf(nlls) }
}

/** e to the mean; its error is the mean's times that. */
export function perplexityOf(nlls: readonly number[]): Estimate {
  const mean = meanOf(nlls)
  const value = exp(mean.value)
  return { value, error: mean.error * value }
}
