// Q5_K: 5-bit weights in superblocks of 256. The oracle for the kernel: values and the dot product's order of
// operations.
//
//   block of 256 weights, 176 bytes
//   offset  bytes  field
//   0       2      d: half, scale of the sub-block scales
//   2       2      dmin: half, scale of the sub-block mins
//   4       12     8 scales and 8 mins of 6 bits: scaleMinSuperblock.ts
//   16      32     fifth bits: bit j of byte l belongs to weight j * 32 + l
//   48      128    low four bits: byte c * 32 + l holds those of weight c * 64 + l in its low four bits
//                                                and those of weight c * 64 + 32 + l in its high four
//
//   weight = (d * scale[j]) * q - (dmin * min[j])        j = the weight's sub-block of 32

import type { ScaleMinSearch } from './scaleMinSearch.js'
import {
  readScaleMinSuperblock,
  type ScaleMinSuperblock,
  scaleMinEncoder,
  scaleMinOracle,
  writeScaleMinSuperblock,
} from './scaleMinSuperblock.js'

const blockBytes = 176
const search: ScaleMinSearch = { most: 31, first: 30.5, candidates: 16, byDeviation: false, step: 0.1 }

export const { dequantize: dequantizeQ5K, dot: dotQ5K } = scaleMinOracle(unpack)

/**
 * Float32 to Q5_K blocks.
 * @param blocks (values.length / 256 * 176 bytes)
 */
export const encodeQ5K = scaleMinEncoder(search, pack)

function unpack(blocks: Uint8Array, block: number): ScaleMinSuperblock {
  const offset = block * blockBytes
  const quants = new Uint8Array(256)
  for (let c = 0; c < 4; c++) {
    for (let l = 0; l < 32; l++) {
      const pair = blocks[offset + 48 + c * 32 + l]!
      const fifthBits = blocks[offset + 16 + l]! >> (c * 2)
      quants[c * 64 + l] = (pair & 15) | ((fifthBits & 1) << 4)
      quants[c * 64 + 32 + l] = (pair >> 4) | ((fifthBits & 2) << 3)
    }
  }
  return readScaleMinSuperblock(blocks, offset, quants)
}

function pack(superblock: ScaleMinSuperblock, blocks: Uint8Array, block: number): void {
  const offset = block * blockBytes
  writeScaleMinSuperblock(superblock, blocks, offset)
  blocks.fill(0, offset + 16, offset + 48)
  for (let c = 0; c < 4; c++) {
    for (let l = 0; l < 32; l++) {
      const [low, high] = [superblock.quants[c * 64 + l]!, superblock.quants[c * 64 + 32 + l]!]
      blocks[offset + 48 + c * 32 + l] = (low & 15) | ((high & 15) << 4)
      blocks[offset + 16 + l]! |= ((low >> 4) | ((high >> 4) << 1)) << (c * 2)
    }
  }
}
