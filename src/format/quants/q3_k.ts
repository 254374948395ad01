// Q3_K: 3-bit weights in superblocks of 256. The oracle for the kernel: values and the dot product's order of
// operations.
//
//   block of 256 weights, 110 bytes
//   offset  bytes  field
//   0       32     third bits: bit k of byte l belongs to weight k * 32 + l
//   32      64     low two bits: byte h * 32 + l holds, from bit 0 up, those of weights h * 128 + l, + 32, + 64, + 96
//   96      12     16 scales of 6 bits, one for each 16 weights, 32 too high:
//                  byte j, j = 0 to 7: low four bits of scale[j] (in bits 0-3) and of scale[j + 8] (in bits 4-7)
//                  byte 8 + k, k = 0 to 3: from bit 0 up, the high two bits of
//                                          scale[k], scale[k + 4], scale[k + 8] and scale[k + 12]
//   108     2      d: half, scale of the scales
//
//   weight = (d * scale[j]) * (q - 4)        j = the weight's sub-block of 16

import { readHalf, writeHalf } from './half.js'
import { importanceWeights } from './importance.js'
import { quantizeScaled, type ScaledSuperblock, scaledOracle } from './scaledSuperblock.js'
import { superblockAt } from './superblockOracle.js'

const blockBytes = 110

export const { dequantize: dequantizeQ3K, dot: dotQ3K } = scaledOracle(unpack)

/**
 * Float32 to Q3_K blocks.
 * @param blocks (values.length / 256 * 110 bytes)
 */
export function encodeQ3K(values: Float32Array, blocks: Uint8Array, importance?: Float32Array): void {
  for (let block = 0; block * 256 < values.length; block++) {
    const x = superblockAt(values, block)
    pack(quantizeScaled(x, 4, 32, importance && importanceWeights(x, superblockAt(importance, block), 2)), blocks, block)
  }
}

function unpack(blocks: Uint8Array, block: number): ScaledSuperblock {
  const offset = block * blockBytes
  const scales = new Int8Array(16)
  for (let j = 0; j < 16; j++) {
    const low = (blocks[offset + 96 + (j & 7)]! >> (j < 8 ? 0 : 4)) & 15
    const high = (blocks[offset + 104 + (j & 3)]! >> (2 * (j >> 2))) & 3
    scales[j] = (low | (high << 4)) - 32
  }
  const quants = new Int8Array(256)
  for (let i = 0; i < 256; i++) {
    const [half, place] = [i >> 7, (i >> 5) & 3]
    const low = (blocks[offset + 32 + half * 32 + (i & 31)]! >> (2 * place)) & 3
    const third = (blocks[offset + (i & 31)]! >> (i >> 5)) & 1
    quants[i] = (low | (third << 2)) - 4
  }
  return { d: readHalf(blocks, offset + 108), scales, quants }
}

function pack({ d, scales, quants }: ScaledSuperblock, blocks: Uint8Array, block: number): void {
  const offset = block * blockBytes
  blocks.fill(0, offset, offset + blockBytes)
  for (let j = 0; j < 16; j++) {
    const scale = scales[j]! + 32
    blocks[offset + 96 + (j & 7)]! |= (scale & 15) << (j < 8 ? 0 : 4)
    blocks[offset + 104 + (j & 3)]! |= (scale >> 4) << (2 * (j >> 2))
  }
  for (let i = 0; i < 256; i++) {
    const [half, place] = [i >> 7, (i >> 5) & 3]
    const quant = quants[i]! + 4
    blocks[offset + 32 + half * 32 + (i & 31)]! |= (quant & 3) << (2 * place)
    blocks[offset + (i & 31)]! |= (quant >> 2) << (i >> 5)
  }
  writeHalf(blocks, offset + 108, d)
}
