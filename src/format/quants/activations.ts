// Activations quantized to 8 bits as ggml does it before an integer dot product: the oracle for the kernels, operation
// for operation. Every operation is rounded to float32. Owns the layout of quantized activations; knows nothing of
// weights.
//
// Edges, the same for all formats:
// - A block of zeros has d = 0 and q = 0.
// - A block with a NaN or an infinity in it has d = NaN (in Q8_0 and Q8_1: or infinity) and q = 0, so that every dot
//   product with it is NaN and nothing hides.
// - Where a reciprocal overflows (blocks whose largest magnitude is below 4e-37), q saturates to -128 or 127, as the
//   SIMD narrowing does (in Q8_1: to -127, since with -128 sums would not fit 16 bits); d is then zero or subnormal.

import { nearest } from './nearest.js'

/**
 * How a row of activations is rounded before a product. `q8_k`: to 8-bit blocks of 256 with sums, for formats in
 * superblocks of 256. `q8_0`: to 8-bit blocks of 32, for Q8_0. `q8_1`: to 8-bit blocks of 32 with sums, for the other
 * formats in blocks of 32. `f32`: not at all.
 */
export type ActivationKind = 'q8_k' | 'q8_0' | 'q8_1' | 'f32'

/** A row of activations in blocks of 256, for superblocks. x[c] is about d[c / 256] * q[c]. */
export interface ActivationQ8K {
  readonly d: Float32Array // (columns / 256)
  readonly q: Int8Array // (columns)
  readonly sums: Int16Array // (columns / 16), of each 16 q: Q4_K and Q5_K subtract their mins through them
}

/** A row of activations in blocks of 32, for Q8_0. x[c] is about d[c / 32] * q[c]. */
export interface ActivationQ80 {
  readonly d: Float32Array // (columns / 32); ggml rounds it to half, we keep float32
  readonly q: Int8Array // (columns)
}

/** A row of activations in blocks of 32, for the other formats in blocks of 32. x[c] is about d[c / 32] * q[c]. */
export interface ActivationQ81 extends ActivationQ80 {
  readonly sums: Int16Array // (columns / 32), of each 32 q: weights lose their offset or min through them
}

const { fround, abs, max, min } = Math

/**
 * Quantizes a row to Q8_K. The element of largest magnitude (the first, if several) becomes exactly -127, whatever its
 * sign.
 * @param x (columns), a multiple of 256
 */
export function quantizeQ8K(x: Float32Array): ActivationQ8K {
  const d = new Float32Array(x.length / 256)
  const q = new Int8Array(x.length)
  const sums = new Int16Array(x.length / 16)
  for (let block = 0; block < d.length; block++) {
    const values = x.subarray(block * 256, block * 256 + 256)
    const magnitude = largestMagnitude(values)
    if (magnitude === 0) continue
    const largest = values.find((value) => abs(value) === magnitude) ?? Number.NaN
    const inverse = fround(-127 / largest)
    d[block] = Number.isFinite(magnitude) ? fround(1 / inverse) : Number.NaN
    for (let i = 0; i < 256; i++) {
      const quant = saturate(nearest(fround(inverse * values[i]!)))
      q[block * 256 + i] = quant
      sums[block * 16 + (i >> 4)]! += quant
    }
  }
  return { d, q, sums }
}

/**
 * Quantizes a row to Q8_0, rounding ties to even (ggml's plain C rounds them away from zero, its SIMD code to even).
 * @param x (columns), a multiple of 32
 */
export function quantizeQ80(x: Float32Array): ActivationQ80 {
  const d = new Float32Array(x.length / 32)
  const q = new Int8Array(x.length)
  for (let block = 0; block < d.length; block++) {
    const values = x.subarray(block * 32, block * 32 + 32)
    const scale = fround(largestMagnitude(values) / 127)
    const inverse = scale === 0 ? 0 : fround(1 / scale)
    d[block] = scale
    for (let i = 0; i < 32; i++) q[block * 32 + i] = saturate(nearest(fround(inverse * values[i]!)))
  }
  return { d, q }
}

/**
 * Quantizes a row to Q8_1. The scale is the reciprocal of what the values were multiplied by, as in Q8_K.
 * @param x (columns), a multiple of 32
 */
export function quantizeQ81(x: Float32Array): ActivationQ81 {
  const d = new Float32Array(x.length / 32)
  const q = new Int8Array(x.length)
  const sums = new Int16Array(d.length)
  for (let block = 0; block < d.length; block++) {
    const values = x.subarray(block * 32, block * 32 + 32)
    const magnitude = largestMagnitude(values)
    const inverse = magnitude > 0 ? fround(127 / magnitude) : 0
    d[block] = magnitude > 0 ? fround(1 / inverse) : magnitude
    for (let i = 0; i < 32; i++) {
      const quant = max(-127, saturate(nearest(fround(inverse * values[i]!))))
      q[block * 32 + i] = quant
      sums[block]! += quant
    }
  }
  return { d, q, sums }
}

/** The largest |x|, or NaN if there is a NaN. */
function largestMagnitude(x: Float32Array): number {
  return x.reduce((largest, value) => max(largest, abs(value)), 0)
}

/** Into a signed byte, like i32x4.trunc_sat_f32x4_s followed by the saturating narrowings: NaN is 0. */
function saturate(x: number): number {
  return Number.isNaN(x) ? 0 : max(-128, min(127, x))
}
