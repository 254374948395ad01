// The search for the scale of a sub-block without a min (Q3_K, Q6_K). The oracle of assembly/encode/scaleSearch.ts,
// every operation rounded to float32 in this order. The method is that of ggml (make_qx_quants): try scales around the
// one that fits the largest weight exactly, each with its best rounding, correct each by least squares, and keep the
// one that explains most of the weights, which count with their own squares, or as an importance matrix says.

import { nearestQuant } from './nearest.js'

const { fround, abs } = Math

/** The largest weight is to be `most` - 0.9 quants, - 0.8, ..., + 0.9. */
const CANDIDATES = 19
/** Rounds in which quants move. */
const ROUNDS = 5
/** Below this a scale is zero as a half, and float32 would run out of digits. */
const LEAST = 1e-30

/**
 * The signed scale s for which s * q, q whole from -most to most - 1, is nearest to the sub-block x. 0 for zeros.
 * @param weights how much each value of x counts; default: with its square
 */
export function findScale(x: Float32Array, most: number, weights?: Float32Array): number {
  const largest = largestOf(x)
  if (!(abs(largest) >= LEAST)) return 0
  const inverse = fround(1 / largest)
  const shares = x.map((value) => value * inverse) // -1 to 1, so that squares of sums stay in range
  const counts = weights ?? shares.map((share) => share * share)
  let bestProducts = 0
  let bestSquares = 1
  const first = fround(most - fround(0.9))
  for (let candidate = 0; candidate < CANDIDATES; candidate++) {
    const multiplier = -fround(first + fround(candidate * fround(0.1)))
    let products = 0
    let squares = 0
    for (const [i, share] of shares.entries()) {
      const quant = nearestQuant(fround(multiplier * share), -most, most - 1)
      const weighted = fround(counts[i]! * quant)
      products = fround(products + fround(weighted * share))
      squares = fround(squares + fround(weighted * quant))
    }
    // least squares: the scale is products / squares, and products^2 / squares of the sum is explained
    if (fround(fround(products * products) * bestSquares) > fround(fround(bestProducts * bestProducts) * squares)) {
      bestProducts = products
      bestSquares = squares
    }
  }
  return fround(fround(bestProducts / bestSquares) * largest)
}

/**
 * The same for few quants (Q3_K), by ggml's other method (make_q3_quants). It starts from the obvious scale. Quants
 * move one after the other to where they fit the scale of all the others, if that explains more, in five rounds. As in
 * ggml they move only if the largest weight is negative, which makes the blocks those of llama-quantize.
 */
export function findCoarseScale(x: Float32Array, most: number): number {
  const largest = largestOf(x)
  if (!(abs(largest) >= LEAST)) return 0
  const inverse = fround(1 / largest)
  const shares = x.map((value) => value * inverse)
  const quants = shares.map((share) => nearestQuant(fround(-most * share), -most, most - 1))
  let [products, squares] = [0, 0]
  for (const [i, share] of shares.entries()) {
    const weighted = fround(fround(share * share) * quants[i]!)
    products = fround(products + fround(weighted * share))
    squares = fround(squares + fround(weighted * quants[i]!))
  }
  for (let round = 0; largest < 0 && round < ROUNDS; round++) {
    for (const [i, share] of shares.entries()) {
      const weight = fround(share * share)
      const weighted = fround(weight * quants[i]!)
      const otherProducts = fround(products - fround(weighted * share))
      const otherSquares = fround(squares - fround(weighted * quants[i]!))
      if (!(otherProducts < 0)) continue
      const quant = nearestQuant(fround(fround(share * otherSquares) / otherProducts), -most, most - 1)
      if (quant === quants[i]) continue
      const moved = fround(weight * quant)
      const newProducts = fround(otherProducts + fround(moved * share))
      const newSquares = fround(otherSquares + fround(moved * quant))
      if (!(fround(fround(newProducts * newProducts) * squares) > fround(fround(products * products) * newSquares))) continue
      quants[i] = quant
      products = newProducts
      squares = newSquares
    }
  }
  return fround(fround(products / squares) * largest)
}

/** The value of largest magnitude, with its sign: the first, if several. */
export function largestOf(x: Float32Array): number {
  return x.reduce((largest, value) => (abs(value) > abs(largest) ? value : largest), 0)
}
