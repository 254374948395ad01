// The search for the scale and the min of a sub-block (Q2_K, Q4_K, Q5_K). The oracle of
// assembly/encode/scaleMinSearch.ts, every operation rounded to float32 in this order. The method is that of ggml
// (make_qkx2_quants): try scales around range / quants, each with its best rounding, correct scale and min by weighted
// least squares, and keep the pair that leaves the least error.

import { floatToHalf, halfToFloat } from './half.js'
import { inverseOf, nearestQuant } from './nearest.js'

const { fround, abs, max, min } = Math

/** How a format searches. */
export interface ScaleMinSearch {
  /** Largest quant. */
  readonly most: number
  /** Candidates divide the range by `first`, `first` + `step` and so on, `candidates` of them. */
  readonly first: number
  readonly step: number
  readonly candidates: number
  /** Whether the pair with the least sum of weighted deviations, not squares, is kept: better for coarse quants. */
  readonly byDeviation: boolean
  /** Whether an importance matrix says how much errors count. Then scales and mins are weighed, too. */
  readonly weighed?: true
}

/** The search where an importance matrix says how much errors count: as ggml's, finer and wider. */
export function weighedSearch(most: number): ScaleMinSearch {
  return { most, first: fround(most - fround(0.9)), step: 0.05, candidates: 37, byDeviation: false, weighed: true }
}

/** A value is about scale * quant - min; neither is negative. */
export interface ScaleMin {
  readonly scale: number
  readonly min: number
}

/** Below this a scale is zero as a half, and float32 would run out of digits. */
const LEAST = 1e-30

/** @param x the sub-block @param weights how much an error counts at each of its values */
export function findScaleMin(
  x: Float32Array,
  weights: Float32Array,
  { most, first, step, candidates, byDeviation }: ScaleMinSearch,
): ScaleMin {
  const least = x.reduce((smallest, value) => min(smallest, value), 0)
  const range = fround(x.reduce((largest, value) => max(largest, value), x[0]!) - least)
  if (!(range >= LEAST)) return { scale: 0, min: max(0, -least) }
  const inverse = fround(1 / range)
  const shares = x.map((value) => fround(value - least) * inverse) // 0 to 1
  const zero = fround(-least * inverse) // where the value 0 is: no min may lie above
  let sumW = 0
  let sumX = 0
  for (const [i, weight] of weights.entries()) {
    sumW = fround(sumW + weight)
    sumX = fround(sumX + fround(weight * shares[i]!))
  }

  let [bestScale, bestStart] = [fround(1 / most), 0]
  let leastError = errorOf(shares, weights, quantsOf(shares, most, 0, most), bestScale, bestStart, byDeviation)
  for (let candidate = 0; candidate < candidates; candidate++) {
    // from the best start so far: each line found may lead to better quants
    const multiplier = fround(fround(first + fround(candidate * fround(step))) / fround(1 - bestStart))
    const quants = quantsOf(shares, multiplier, bestStart, most)
    let [sumQ, sumQQ, sumQX] = [0, 0, 0]
    for (const [i, weight] of weights.entries()) {
      const weighted = fround(weight * quants[i]!)
      sumQ = fround(sumQ + weighted)
      sumQQ = fround(sumQQ + fround(weighted * quants[i]!))
      sumQX = fround(sumQX + fround(weighted * shares[i]!))
    }
    // the straight line share = scale * quant + start through all points,
    // or through the value 0 if it would start above it
    const determinant = fround(fround(sumW * sumQQ) - fround(sumQ * sumQ))
    if (!(determinant > 0)) continue
    let scale = fround(fround(fround(sumW * sumQX) - fround(sumX * sumQ)) / determinant)
    let start = fround(fround(fround(sumQQ * sumX) - fround(sumQ * sumQX)) / determinant)
    if (start > zero) {
      start = zero
      scale = fround(fround(sumQX - fround(zero * sumQ)) / sumQQ)
    }
    const error = errorOf(shares, weights, quants, scale, start, byDeviation)
    if (error < leastError) [bestScale, bestStart, leastError] = [scale, start, error]
  }
  return { scale: fround(bestScale * range), min: max(0, -fround(least + fround(bestStart * range))) }
}

/** 256 values as d * scale * quant - dmin * min. */
export interface ScaleMinQuants {
  readonly d: number // as a half
  readonly dmin: number // as a half
  readonly scales: Uint8Array // (sub-blocks)
  readonly mins: Uint8Array // (sub-blocks)
  readonly quants: Uint8Array // (256)
}

/**
 * Finds scales and mins for 256 values in sub-blocks of `size`, makes integers of them from 0 to `mostScale`, and finds
 * the quants that go with these.
 */
export function quantizeScaleMins(
  values: Float32Array,
  weights: Float32Array,
  search: ScaleMinSearch,
  size: number,
  mostScale: number,
): ScaleMinQuants {
  const fits = Array.from({ length: 256 / size }, (_, j) =>
    findScaleMin(values.subarray(j * size, (j + 1) * size), weights.subarray(j * size, (j + 1) * size), search),
  )
  const sums = Array.from(fits, (_, j) => weights.subarray(j * size, (j + 1) * size).reduce((sum, weight) => fround(sum + weight), 0))
  const shared = (part: readonly number[]) => {
    if (search.weighed) return weighedIntegers(part, sums, mostScale)
    const largest = max(...part)
    const d = halfToFloat(floatToHalf(largest / mostScale))
    const inverse = largest > 0 ? fround(mostScale / largest) : 0
    return { d, integers: Uint8Array.from(part, (fit) => nearestQuant(fround(fit * inverse), 0, mostScale)) }
  }
  const { d, integers: scales } = shared(fits.map(({ scale }) => scale))
  const { d: dmin, integers: mins } = shared(fits.map((fit) => fit.min))
  const inverses = Float32Array.from(scales, (scale) => inverseOf(fround(d * scale)))
  const starts = Float32Array.from(mins, (integer) => dmin * integer)
  const quants = Uint8Array.from(values, (value, i) => {
    const j = Math.floor(i / size)
    return nearestQuant(fround(fround(value + starts[j]!) * inverses[j]!), 0, search.most)
  })
  return { d, dmin, scales, mins, quants }
}

/**
 * Integers from 0 to `most` for the scales or the mins of sub-blocks, and their scale. A sub-block counts with the sum
 * of its weights: where the largest counts for little, the others may have finer steps.
 */
function weighedIntegers(part: readonly number[], sums: readonly number[], most: number): { d: number; integers: Uint8Array } {
  const largest = max(...part)
  if (!(largest >= LEAST)) return { d: 0, integers: new Uint8Array(part.length) }
  const inverse = fround(1 / largest)
  let [bestScale, bestMultiplier, explained] = [0, 0, 0]
  for (let candidate = 0; candidate < 17; candidate++) {
    const multiplier = fround(most * fround(fround(0.9) + fround(candidate * fround(0.05))))
    let [products, squares] = [0, 0]
    for (const [j, value] of part.entries()) {
      const share = fround(value * inverse)
      const integer = nearestQuant(fround(share * multiplier), 0, most)
      const weighted = fround(sums[j]! * integer)
      products = fround(products + fround(weighted * share))
      squares = fround(squares + fround(weighted * integer))
    }
    const scale = fround(products / squares)
    const gain = fround(scale * products)
    if (gain > explained) [bestScale, bestMultiplier, explained] = [scale, multiplier, gain]
  }
  const integers = Uint8Array.from(part, (value) => nearestQuant(fround(fround(value * inverse) * bestMultiplier), 0, most))
  return { d: halfToFloat(floatToHalf(fround(bestScale * largest))), integers }
}

function quantsOf(shares: Float32Array, multiplier: number, start: number, most: number): Float32Array {
  return shares.map((share) => nearestQuant(fround(multiplier * fround(share - start)), 0, most))
}

/** The weighted sum of squared errors, or of their magnitudes, of a line. */
function errorOf(
  shares: Float32Array,
  weights: Float32Array,
  quants: Float32Array,
  scale: number,
  start: number,
  byDeviation: boolean,
): number {
  let sum = 0
  for (const [i, share] of shares.entries()) {
    const error = fround(fround(fround(scale * quants[i]!) + start) - share)
    sum = fround(sum + fround(weights[i]! * (byDeviation ? abs(error) : fround(error * error))))
  }
  return sum
}
