// Activations as a format's products see them, and those products: what a kernel is held to. One function for each way in which activations are rounded.

import { type ActivationQ80, quantizeQ8K, quantizeQ80, quantizeQ81 } from './activations.js'

/** A row of activations. */
export interface RoundedActivations {
  /** (columns) */
  readonly values: Float32Array
  /** Half of the step to which each value was rounded, or 0: (columns). */
  readonly halfSteps: Float32Array
  /** Its dot product with a row of blocks: the kernels' result, bit for bit. */
  readonly dot: (row: Uint8Array) => number
}

type Round = (x: Float32Array) => RoundedActivations

/** Formats of floats: nothing is rounded. */
export function plain(dot: (row: Uint8Array, x: Float32Array) => number): Round {
  return (x) => ({ values: x, halfSteps: new Float32Array(x.length), dot: (row) => dot(row, x) })
}

/** Formats whose products are of integers: activations become integers in blocks, as `quantize` does it. */
function via<Row extends ActivationQ80>(quantize: (x: Float32Array) => Row) {
  return (dot: (row: Uint8Array, x: Row) => number): Round =>
    (x) => {
      const quantized = quantize(x)
      const block = x.length / quantized.d.length
      const step = (column: number) => quantized.d[Math.floor(column / block)]!
      return {
        values: Float32Array.from(quantized.q, (q, column) => step(column) * q),
        halfSteps: Float32Array.from(quantized.q, (_, column) => Math.abs(step(column)) / 2),
        dot: (row) => dot(row, quantized),
      }
    }
}

export const viaQ8K = via(quantizeQ8K)
export const viaQ80 = via(quantizeQ80)
export const viaQ81 = via(quantizeQ81)
