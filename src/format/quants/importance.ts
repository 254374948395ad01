// How much an error counts at each weight, where an importance matrix says how large the weights' inputs are. As in
// ggml: the importance of the weight's column, times the weight's magnitude, which a share of the block's mean square
// keeps away from zero.

const { fround, sqrt } = Math

/**
 * importance * sqrt(share * meanSquare + x^2) for each value of a block, every operation rounded to float32.
 * @param share how many times the block's mean square counts
 */
export function importanceWeights(values: Float32Array, importance: Float32Array, share: number): Float32Array {
  let squares = 0
  for (const value of values) squares = fround(squares + fround(value * value))
  const base = fround(squares * (share / values.length)) // exact factors: powers of two
  return values.map((value, i) => importance[i]! * fround(sqrt(fround(base + fround(value * value)))))
}
