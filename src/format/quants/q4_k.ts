// Q4_K: 4-bit weights in superblocks of 256. The oracle for the kernel: values and the dot product's order of
// operations.
//
//   block of 256 weights, 144 bytes
//   offset  bytes  field
//   0       2      d: half, scale of the sub-block scales
//   2       2      dmin: half, scale of the sub-block mins
//   4       12     8 scales and 8 mins of 6 bits: scaleMinSuperblock.ts
//   16      128    quants: byte c * 32 + l holds weight c * 64 + l in its low four bits
//                                         and weight c * 64 + 32 + l in its high four
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

const blockBytes = 144
const search: ScaleMinSearch = { most: 15, first: 14, candidates: 21, byDeviation: false, step: 0.1 }

export const { dequantize: dequantizeQ4K, dot: dotQ4K } = scaleMinOracle(unpack)

/**
 * Float32 to Q4_K blocks.
 * @param blocks (values.length / 256 * 144 bytes)
 */
export const encodeQ4K = scaleMinEncoder(search, pack)

function unpack(blocks: Uint8Array, block: number): ScaleMinSuperblock {
  const offset = block * blockBytes
  const quants = new Uint8Array(256)
  for (let c = 0; c < 4; c++) {
    for (let l = 0; l < 32; l++) {
      const pair = blocks[offset + 16 + c * 32 + l]!
      quants[c * 64 + l] = pair & 15
      quants[c * 64 + 32 + l] = pair >> 4
    }
  }
  return readScaleMinSuperblock(blocks, offset, quants)
}

function pack(superblock: ScaleMinSuperblock, blocks: Uint8Array, block: number): void {
  const offset = block * blockBytes
  writeScaleMinSuperblock(superblock, blocks, offset)
  for (let c = 0; c < 4; c++) {
    for (let l = 0; l < 32; l++)
      blocks[offset + 16 + c * 32 + l] = superblock.quants[c * 64 + l]! | (superblock.quants[c * 64 + 32 + l]! << 4)
  }
}
