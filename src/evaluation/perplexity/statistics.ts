// Means with their standard errors, covariance, percentiles. Knows nothing of language models.

/** A value and its standard error. */
export interface Estimate {
  readonly value: number
  readonly error: number
}

/** The mean of a sample; the error is sqrt((E[x^2] - E[x]^2) / (n - 1)), 0 for a sample of one. */
export function meanOf(sample: readonly number[]): Estimate {
  return { value: mean(sample), error: Math.sqrt(covarianceOfMeans(sample, sample)) }
}

/** The covariance of the means of two paired samples: (E[xy] - E[x] E[y]) / (n - 1), 0 for samples of one. */
export function covarianceOfMeans(xs: readonly number[], ys: readonly number[]): number {
  const count = xs.length
  if (count < 2) return 0
  const [xMean, yMean] = [mean(xs), mean(ys)]
  let sum = 0
  for (let i = 0; i < count; i++) sum += (xs[i]! - xMean) * (ys[i]! - yMean)
  return sum / count / (count - 1)
}

const PERCENTS = [0.1, 1, 5, 10, 25, 50, 75, 90, 95, 99, 99.9] as const

/** The distribution of a sample. Percentiles are keyed by their percentage: `percentiles['50']` is the median. */
export interface Distribution {
  readonly mean: Estimate
  readonly minimum: number
  readonly maximum: number
  readonly percentiles: Readonly<Record<`${(typeof PERCENTS)[number]}`, number>>
}

export function distributionOf(sample: readonly number[]): Distribution {
  const sorted = Float64Array.from(sample).sort()
  const percentiles = Object.fromEntries(PERCENTS.map((percent) => [percent, percentile(sorted, percent / 100)]))
  return {
    mean: meanOf(sample),
    minimum: percentile(sorted, 0),
    maximum: percentile(sorted, 1),
    percentiles: percentiles as Distribution['percentiles'],
  }
}

/** The value below which `share` of an ascending sample lies, on the line between the two values next to it. */
function percentile(sorted: Float64Array, share: number): number {
  const place = share * (sorted.length - 1)
  const below = Math.floor(place)
  const low = sorted[below]!
  return low + (place - below) * ((sorted[below + 1] ?? low) - low)
}

function mean(sample: readonly number[]): number {
  let sum = 0
  for (const x of sample) sum += x
  return sum / sample.length
}
