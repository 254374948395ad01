// A weight matrix and the three operations that every part of the network is made of. Weights are float32 because that
// is what a file dequantizes to; all arithmetic is JavaScript's own float64. Row vectors of several tokens stand one
// after another: (tokens, width).

import { exp } from '../../base/elementary.js'
import type { Matrix } from '../../runtime/weights/matrixSource.js'

/** y = W x for each row vector of x: (n, columns) -> (n, rows). */
export function linear(x: Float64Array, { rows, columns, values }: Matrix): Float64Array {
  const n = x.length / columns
  const y = new Float64Array(n * rows)
  for (let row = 0; row < rows; row++) {
    for (let i = 0; i < n; i++) {
      let sum = 0
      for (let column = 0; column < columns; column++) sum += values[row * columns + column]! * x[i * columns + column]!
      y[i * rows + row] = sum
    }
  }
  return y
}

/**
 * Scales each row vector to a root mean square of one, then each of its elements by a learned weight: (n, columns) ->
 * (n, columns).
 */
export function rmsNorm(x: Float64Array, { columns, values }: Matrix, eps: number): Float64Array {
  const y = new Float64Array(x.length)
  for (let start = 0; start < x.length; start += columns) {
    const vector = x.subarray(start, start + columns)
    const size = Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0) / columns + eps)
    for (let i = 0; i < columns; i++) y[start + i] = (vector[i]! / size) * values[i]!
  }
  return y
}

/**
 * Positive numbers that add up to one, in the proportions of e^x. Taking the largest off first keeps e^x from
 * overflowing.
 */
export function softmax(x: Float64Array): Float64Array {
  const largest = Math.max(...x)
  const powers = x.map((value) => exp(value - largest))
  const sum = powers.reduce((total, power) => total + power, 0)
  return powers.map((power) => power / sum)
}
