// Activations as a format's products see them, and these products: the result that kernels must reproduce. One function
// for each way in which activations are rounded.

import { type ActivationKind, type ActivationQ80, quantizeQ8K, quantizeQ80, quantizeQ81 } from './activations.js'

/** A row of activations. */
export interface RoundedActivations {
  /** (columns) */
  readonly values: Float32Array
  /** Half of the step to which each value was rounded, or 0: (columns). */
  readonly halfSteps: Float32Array
  /** Its dot product with a row of blocks: the kernels' result, bit for bit. */
  readonly dot: (row: Uint8Array) => number
}

/** How a format is multiplied. */
export interface Product {
  readonly activation: ActivationKind
  /** Rounds activations, (columns), to that kind. */
  readonly round: (x: Float32Array) => RoundedActivations
}

/** Formats of floats: nothing is rounded. */
export function floats(dot: (row: Uint8Array, x: Float32Array) => number): Product {
  return { activation: 'f32', round: (x) => ({ values: x, halfSteps: new Float32Array(x.length), dot: (row) => dot(row, x) }) }
}

/** Formats whose products are of integers: activations become integers in blocks, as `quantize` does it. */
function integers<Row extends ActivationQ80>(activation: ActivationKind, quantize: (x: Float32Array) => Row) {
  return (dot: (row: Uint8Array, x: Row) => number): Product => ({
    activation,
    round(x) {
      const quantized = quantize(x)
      const block = x.length / quantized.d.length
      const step = (column: number) => quantized.d[Math.floor(column / block)]!
      return {
        values: Float32Array.from(quantized.q, (q, column) => step(column) * q),
        halfSteps: Float32Array.from(quantized.q, (_, column) => Math.abs(step(column)) / 2),
        dot: (row) => dot(row, quantized),
      }
    },
  })
}

export const q8_k = integers('q8_k', quantizeQ8K)
export const q8_0 = integers('q8_0', quantizeQ80)
export const q8_1 = integers('q8_1', quantizeQ81)
