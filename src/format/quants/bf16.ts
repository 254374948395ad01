// BF16: float32 without its low 16 bits. The oracle for the kernel: values and the dot product's order of operations.
//
//   block of 1 weight, 2 bytes
//   offset  bytes  field
//   0       2      w: the high 16 bits of a float32, little-endian
//
//   weight = w

import { dotFloats } from './f32.js'

/**
 * BF16 blocks to float32. Exact.
 * @param blocks (out.length * 2 bytes)
 */
export function dequantizeBF16(blocks: Uint8Array, out: Float32Array): void {
  const bits = new Uint32Array(out.buffer, out.byteOffset, out.length)
  for (let i = 0; i < out.length; i++) bits[i] = (blocks[i * 2]! << 16) | (blocks[i * 2 + 1]! << 24)
}

/**
 * A row of BF16 blocks times float32 activations x, (columns): the weights become float32, and the rest is as in F32.
 */
export function dotBF16(row: Uint8Array, x: Float32Array): number {
  const weights = new Float32Array(x.length)
  dequantizeBF16(row, weights)
  return dotFloats(weights, x)
}
