// F16: half precision weights. The oracle for the kernel: values and the dot product's order of operations.
//
//   block of 1 weight, 2 bytes
//   offset  bytes  field
//   0       2      w: half, little-endian
//
//   weight = w

import { dotFloats } from './f32.js'
import { readHalf } from './half.js'

/**
 * F16 blocks to float32. Exact.
 * @param blocks (out.length * 2 bytes)
 */
export function dequantizeF16(blocks: Uint8Array, out: Float32Array): void {
  for (let i = 0; i < out.length; i++) out[i] = readHalf(blocks, i * 2)
}

/** A row of F16 blocks times float32 activations x, (columns): the weights become float32, and the rest is as in F32. */
export function dotF16(row: Uint8Array, x: Float32Array): number {
  const weights = new Float32Array(x.length)
  dequantizeF16(row, weights)
  return dotFloats(weights, x)
}
