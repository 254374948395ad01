// The distance of a model's predictions from stored ones, of another model or other software, on the same tokens: what
// llama-perplexity calls `--kl-divergence`. Owns the definitions, which are llama-perplexity's.

import { exp } from '../../base/elementary.js'
import { checkKind, MixtralError } from '../../base/errors.js'
import { Told } from '../../base/onAbort.js'
import { checkModel, type EvaluatedModel, evaluateWindows, type Prediction } from './evaluate.js'
import { LogitsFile } from './logitsFile.js'
import { perplexityOf } from './perplexity.js'
import { covarianceOfMeans, type Distribution, distributionOf, type Estimate, meanOf } from './statistics.js'
import { checkWindowOptions, firstWindows, type WindowOptions, type Windows } from './windows.js'

/** What `measureDivergence` finds. `base` is the model whose logits were stored. */
export interface DivergenceResult {
  /** Number of tokens in a window. */
  readonly contextLength: number
  /** Number of windows that ran. */
  readonly windows: number
  /** Number of predictions that counted. */
  readonly predictions: number
  readonly perplexity: Estimate
  /**
   * Stored log-probabilities end 16 nats below the likeliest token's, so a less likely token counts as 16 below.
   * `perplexity` has no such bound.
   */
  readonly basePerplexity: Estimate
  /** Correlation of the logarithms of both perplexities: 1 if they vary together, NaN if one does not vary. */
  readonly correlation: number
  /** Natural logarithm of `ratio`. */
  readonly lnRatio: Estimate
  /** `perplexity` divided by `basePerplexity`. */
  readonly ratio: Estimate
  /** `perplexity` minus `basePerplexity`. */
  readonly difference: Estimate
  /** Kullback-Leibler divergence of the base's probabilities from the model's, in nats, per prediction. */
  readonly divergence: Distribution
  /** The model's probability of the token that came, minus the base's. */
  readonly change: Distribution
  /** Root mean square of `change`. */
  readonly rmsChange: Estimate
  /** Share of predictions with the same most likely token. */
  readonly sameTop: Estimate
}

/** Base probabilities below e^-16 are left out: the packed form ends there, or little below. */
const LEAST_LOG_PROBABILITY = -16

/** One number for each prediction. */
interface Samples {
  readonly nll: number[]
  readonly baseNll: number[]
  readonly divergence: number[]
  readonly change: number[]
  readonly sameTop: number[]
}

/**
 * Runs a model over the tokens in a file of stored logits, and compares its predictions with the stored ones.
 *
 * Throws `OPTION` for what is no model or no LogitsFile, and if the file's vocabulary has another size; `CONTEXT` if
 * its windows do not fit the model's context; `IO` if it cannot be read; and what `MixtralModel.logits` throws.
 * @example
 * const base = await LogitsFile.open('F16.kld')
 * const { divergence, sameTop } = await measureDivergence(model, base)
 * await base.close()
 */
export async function measureDivergence(model: EvaluatedModel, base: LogitsFile, asked: WindowOptions = {}): Promise<DivergenceResult> {
  checkModel(model)
  checkKind('the base', base, base instanceof LogitsFile, 'a LogitsFile')
  const options = checkWindowOptions(asked)
  const { vocabSize } = model.config
  if (base.vocabulary !== vocabSize) {
    throw new MixtralError('OPTION', `${base.path}: a vocabulary of ${base.vocabulary}, the model has one of ${vocabSize}`)
  }
  const windows = firstWindows(base.windows, options.windows)
  const samples: Samples = { nll: [], baseNll: [], divergence: [], change: [], sameTop: [] }
  const logProbabilities = new Float64Array(vocabSize)
  const progress = new Told(options.onProgress)
  let done = 0
  for await (const predictions of evaluateWindows(model, windows, options)) {
    const readRow = await base.window(done++)
    for (const prediction of predictions) {
      readRow(prediction.row, logProbabilities)
      compare(prediction, logProbabilities, samples)
    }
    progress.next({ loaded: done, total: windows.count, perplexity: perplexityOf(samples.nll) })
  }
  await progress.end()
  return summary(samples, windows)
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

function summary({ nll, baseNll, divergence, change, sameTop }: Samples, { contextLength, count }: Windows): DivergenceResult {
  const [mean, baseMean] = [meanOf(nll), meanOf(baseNll)]
  const [perplexity, basePerplexity] = [perplexityOf(nll), perplexityOf(baseNll)]
  const covariance = covarianceOfMeans(nll, baseNll)
  const lnRatio = { value: mean.value - baseMean.value, error: errorOfDifference(mean, baseMean, covariance) }
  const ratio = exp(lnRatio.value)
  const square = meanOf(change.map((x) => x * x))
  const rms = Math.sqrt(square.value)
  return {
    contextLength,
    windows: count,
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
