// MXFP4: 4-bit floats (E2M1) with one power of two per 32 as scale, as the OCP Microscaling specification has them. The
// oracle for the kernel: values and the dot product's order of operations.
//
//   block of 32 weights, 17 bytes
//   offset  bytes  field
//   0       1      e: exponent of the scale
//   1       16     q: nibbles, packed as in block32.ts
//
//   weight i = 2^(e - 128) * mxfp4Values[q[i]]
//
// The values are twice the floats, so that they are integers: hence 128 where the specification has 127. With e above
// 252 a weight can exceed float32, so that such a scale counts as not finite.

import { readNibbles, scaledBlocks } from './block32.js'

/** Twice the values of the sixteen 4-bit floats. Minus zero, code 8, is 0. */
const mxfp4Values = Int8Array.of(0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12)

const blockBytes = 17

export const { dequantize: dequantizeMXFP4, dot: dotMXFP4 } = scaledBlocks(scaleOf, unpack)

function scaleOf(blocks: Uint8Array, block: number): number {
  return 2 ** (blocks[block * blockBytes]! - 128)
}

function unpack(blocks: Uint8Array, block: number): Int8Array {
  return Int8Array.from(readNibbles(blocks, block * blockBytes + 1), (q) => mxfp4Values[q]!)
}
