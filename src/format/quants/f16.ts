// F16: half precision weights. The oracle for the kernel: values and the dot product's order of operations.
//
//   block of 1 weight, 2 bytes
//   offset  bytes  field
//   0       2      w: half, little-endian
//
//   weight = w

import { dotFloats } from './f32.js'
import { readHalf, writeHalf } from './half.js'

/**
 * F16 blocks to float32. Exact.
 * @param blocks (out.length * 2 bytes)
 */
export function dequantizeF16(blocks: Uint8Array, out: Float32Array): void {
  for (let i = 0; i < out.length; i++) out[i] = readHalf(blocks, i * 2)
}

/** Float32 to F16 blocks, to nearest, ties to even. */
export function encodeF16(values: Float32Array, blocks: Uint8Array): void {
  for (const [i, value] of values.entries()) writeHalf(blocks, i * 2, value)
}

/**
 * A row of F16 blocks times float32 activations x, (columns): the weights become float32, and the rest is as in F32.
 */
export function dotF16(row: Uint8Array, x: Float32Array): number {
  const weights = new Float32Array(x.length)
  dequantizeF16(row, weights)
  return dotFloats(weights, x)
}
