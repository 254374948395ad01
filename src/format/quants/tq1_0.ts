// TQ1_0: ternary weights, five to a byte, with one scale per 256. The oracle for the kernel: values and the dot
// product's order of operations.
//
//   block of 256 weights, 54 bytes
//   offset  bytes  field
//   0       32     byte l holds weights l, 32 + l, 64 + l, 96 + l and 128 + l
//   32      16     byte l holds weights 160 + l, 176 + l, 192 + l, 208 + l and 224 + l
//   48      4      byte l holds weights 240 + l, 244 + l, 248 + l and 252 + l
//   52      2      d: half, the scale
//
//   weight = d * (q - 1)        q[n] of byte b, n = 0 for the first of its weights: (b * 3^n mod 256) * 3 / 256,
//                               rounded down. So a byte is a fraction in base 3, and q[n] is its digit n.

import { readHalf } from './half.js'
import { type ScaledSuperblock, scaledOracle } from './scaledSuperblock.js'
import { noScales } from './tq2_0.js'

const blockBytes = 54
/** [first byte, bytes, weights in a byte] */
const parts = [
  [0, 32, 5],
  [32, 16, 5],
  [48, 4, 4],
] as const

export const { dequantize: dequantizeTQ10, dot: dotTQ10 } = scaledOracle(unpack)

function unpack(blocks: Uint8Array, block: number): ScaledSuperblock {
  const offset = block * blockBytes
  const quants = new Int8Array(256)
  let i = 0
  for (const [start, bytes, digits] of parts) {
    for (let n = 0; n < digits; n++) {
      for (let l = 0; l < bytes; l++) quants[i++] = ((((blocks[offset + start + l]! * 3 ** n) & 255) * 3) >> 8) - 1
    }
  }
  return { d: readHalf(blocks, offset + 52), scales: noScales, quants }
}
