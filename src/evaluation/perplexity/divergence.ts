// How far a model's predictions are from stored ones of another model, or of other software, on the same tokens: what llama-perplexity
// calls `--kl-divergence`, with its definitions. Owns those.

import { exp } from '../../base/elementary.js'
import { MixtralError } from '../../base/errors.js'
import { type Evaluated, evaluateWindows, type Prediction } from './evaluate.js'
import type { LogitsFile } from './logitsFile.js'
import { perplexityOf } from './perplexity.js'
import { covarianceOfMeans, type Distribution, distributionOf, type Estimate, meanOf } from './statistics.js'
import { checkWindowOptions, type WindowOptions } from './windowOptions.js'
import { firstWindows } from './windows.js'

export interface DivergenceResult {
  readonly contextLength: number
  readonly chunks: number
  /** Predictions that counted. */
  readonly predictions: number
  readonly perplexity: Estimate
  /** From stored log-probabilities, so a token more than 16 nats below the likeliest counts as 16 below it. `perplexity` has no such bound. */
  readonly basePerplexity: Estimate
  /** Of the logarithms of both perplexities; 1 if they go together, NaN if one does not vary. */
  readonly correlation: number
  readonly lnRatio: Estimate
  readonly ratio: Estimate
  readonly difference: Estimate
  /** Kullback-Leibler divergence of the base's probabilities from the model's, in nats, per prediction. */
  readonly divergence: Distribution
  /** The model's probability of the token that came minus the base's. */
  readonly change: Distribution
  /** Root of the mean square of that. */
  readonly rmsChange: Estimate
  /** Share of predictions with the same most likely token. */
  readonly sameTop: Estimate
}

/** Base probabilities below e^-16 are left out. The packed form ends there or soon after, which also bounds what a surprise adds to the base's perplexity. */
const LEAST_LOG_PROBABILITY = -16

/** One number for each prediction. */
interface Samples {
  readonly nll: number[]
  readonly baseNll: number[]
  readonly divergence: number[]
  readonly change: number[]
  readonly sameTop: number[]
}

/** What the package exports under this name: described in index.ts. */
export async function measureDivergence(model: Evaluated, base: LogitsFile, options: WindowOptions = {}): Promise<DivergenceResult> {
  checkWindowOptions(options)
  const { vocabSize } = model.config
  if (base.vocabulary !== vocabSize) {
    throw new MixtralError('OPTION', `${base.path}: a vocabulary of ${base.vocabulary}, the model has one of ${vocabSize}`)
  }
  const windows = firstWindows(base.windows, options.chunks)
  const samples: Samples = { nll: [], baseNll: [], divergence: [], change: [], sameTop: [] }
  const logProbabilities = new Float64Array(vocabSize)
  let chunk = 0
  for await (const predictions of evaluateWindows(model, windows, options)) {
    const readRow = await base.chunk(chunk++)
    for (const prediction of predictions) {
      readRow(prediction.row, logProbabilities)
      compare(prediction, logProbabilities, samples)
    }
    options.onProgress?.({ loaded: chunk, total: windows.chunks, perplexity: perplexityOf(samples.nll) })
  }
  return summary(samples, windows.contextLength, windows.chunks)
}

function compare({ logits, offset, top, next, nll }: Prediction, base: Float64Array, samples: Samples): void {
  let divergence = 0
  let baseTop = 0
  for (let i = 0; i < base.length; i++) {
    const logProbability = base[i]!
    if (logProbability > base[baseTop]!) baseTop = i
    if (logProbability > LEAST_LOG_PROBABILITY) divergence += exp(logProbability) * (logProbability - (logits[i]! - offset))
  }
  samples.nll.push(nll)
  samples.baseNll.push(-base[next]!)
  samples.divergence.push(divergence)
  samples.change.push(exp(-nll) - exp(base[next]!))
  samples.sameTop.push(top === baseTop ? 1 : 0)
}

function summary({ nll, baseNll, divergence, change, sameTop }: Samples, contextLength: number, chunks: number): DivergenceResult {
  const [mean, baseMean] = [meanOf(nll), meanOf(baseNll)]
  const [perplexity, basePerplexity] = [perplexityOf(nll), perplexityOf(baseNll)]
  const covariance = covarianceOfMeans(nll, baseNll)
  const lnRatio = { value: mean.value - baseMean.value, error: errorOfDifference(mean, baseMean, covariance) }
  const ratio = exp(lnRatio.value)
  const square = meanOf(change.map((x) => x * x))
  const rms = Math.sqrt(square.value)
  return {
    contextLength,
    chunks,
    predictions: nll.length,
    perplexity,
    basePerplexity,
    correlation: covariance / (mean.error * baseMean.error),
    lnRatio,
    ratio: { value: ratio, error: ratio * lnRatio.error },
    difference: {
      value: perplexity.value - basePerplexity.value,
      error: errorOfDifference(perplexity, basePerplexity, perplexity.value * basePerplexity.value * covariance),
    },
    divergence: distributionOf(divergence),
    change: distributionOf(change),
    rmsChange: { value: rms, error: rms > 0 ? square.error / (2 * rms) : 0 },
    sameTop: meanOf(sameTop),
  }
}

/** Rounding may put the variance of two equal samples' difference below zero. */
function errorOfDifference(a: Estimate, b: Estimate, covariance: number): number {
  return Math.sqrt(Math.max(0, a.error * a.error + b.error * b.error - 2 * covariance))
}
