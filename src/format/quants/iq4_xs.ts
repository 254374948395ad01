// IQ4_XS: IQ4_NL's weights in superblocks of 256. The oracle for the kernel: values and the dot product's order of
// operations.
//
//   block of 256 weights, 136 bytes
//   offset  bytes  field
//   0       2      d: half, scale of the scales
//   2       2      high two bits of 8 scales of 6 bits, 32 too high: those of scale[j] in bits 2j and 2j + 1
//   4       4      low four bits: byte k holds scale[2k] in its low four bits and scale[2k + 1] in its high four
//   8       128    q: for each 32 weights 16 bytes of nibbles, packed as in block32.ts
//
//   weight i = (d * scale[j]) * iq4Values[q[i]]        j = the weight's sub-block of 32
//
// It is multiplied with blocks of 256 activations, as in ggml: products with the table's values are as exact as with
// any other integers.

import { readNibbles } from './block32.js'
import { readHalf } from './half.js'
import { iq4Values } from './iq4_nl.js'
import { type ScaledSuperblock, scaledOracle } from './scaledSuperblock.js'

const blockBytes = 136

export const { dequantize: dequantizeIQ4XS, dot: dotIQ4XS } = scaledOracle(unpack)

function unpack(blocks: Uint8Array, block: number): ScaledSuperblock {
  const offset = block * blockBytes
  const highBits = blocks[offset + 2]! | (blocks[offset + 3]! << 8)
  const scales = new Int8Array(8)
  const quants = new Int8Array(256)
  for (let j = 0; j < 8; j++) {
    const low = (blocks[offset + 4 + (j >> 1)]! >> (4 * (j & 1))) & 15
    scales[j] = (low | (((highBits >> (2 * j)) & 3) << 4)) - 32
    for (const [i, q] of readNibbles(blocks, offset + 8 + j * 16).entries()) quants[j * 32 + i] = iq4Values[q]!
  }
  return { d: readHalf(blocks, offset), scales, quants }
}
