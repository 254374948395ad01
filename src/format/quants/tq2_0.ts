// TQ2_0: ternary weights in two bits each, with one scale per 256. The oracle for the kernel: values and the dot
// product's order of operations.
//
//   block of 256 weights, 66 bytes
//   offset  bytes  field
//   0       64     q: byte h * 32 + l holds, from bit 0 up, weights h * 128 + l, + 32, + 64 and + 96
//   64      2      d: half, the scale
//
//   weight = d * (q - 1)        q = 3 occurs in no model, but it has a value

import { readHalf } from './half.js'
import { type ScaledSuperblock, scaledOracle } from './scaledSuperblock.js'

const blockBytes = 66
/** One sub-block, with nothing but d as its scale. */
export const noScales = Int8Array.of(1)

export const { dequantize: dequantizeTQ20, dot: dotTQ20 } = scaledOracle(unpack)

function unpack(blocks: Uint8Array, block: number): ScaledSuperblock {
  const offset = block * blockBytes
  const quants = new Int8Array(256)
  for (let i = 0; i < 256; i++) quants[i] = ((blocks[offset + (i >> 7) * 32 + (i & 31)]! >> (2 * ((i >> 5) & 3))) & 3) - 1
  return { d: readHalf(blocks, offset + 64), scales: noScales, quants }
}
