// Q2_K: 2-bit weights in superblocks of 256. The oracle for the kernel: values and the dot product's order of
// operations.
//
//   block of 256 weights, 84 bytes
//   offset  bytes  field
//   0       16     one byte for each 16 weights: scale in its low four bits, min in its high four
//   16      64     quants: byte h * 32 + l holds, from bit 0 up, weights h * 128 + l, + 32, + 64 and + 96
//   80      2      d: half, scale of the scales
//   82      2      dmin: half, scale of the mins
//
//   weight = (d * scale[j]) * q - (dmin * min[j])        j = the weight's sub-block of 16

import { readHalf, writeHalf } from './half.js'
import { importanceWeights } from './importance.js'
import { quantizeScaleMins, type ScaleMinSearch, weighedSearch } from './scaleMinSearch.js'
import { type ScaleMinSuperblock, scaleMinOracle } from './scaleMinSuperblock.js'
import { superblockAt } from './superblockOracle.js'

const blockBytes = 84
const search: ScaleMinSearch = { most: 3, first: 2.5, candidates: 16, step: 0.1, byDeviation: true }

export const { dequantize: dequantizeQ2K, dot: dotQ2K } = scaleMinOracle(unpack)

/**
 * Float32 to Q2_K blocks. An error counts with the magnitude of its weight.
 * @param blocks (values.length / 256 * 84 bytes)
 */
export function encodeQ2K(values: Float32Array, blocks: Uint8Array, importance?: Float32Array): void {
  for (let block = 0; block * 256 < values.length; block++) {
    const x = superblockAt(values, block)
    const superblock = importance
      ? quantizeScaleMins(x, importanceWeights(x, superblockAt(importance, block), 1), weighedSearch(search.most), 16, 15)
      : quantizeScaleMins(x, x.map(Math.abs), search, 16, 15)
    pack(superblock, blocks, block)
  }
}

function unpack(blocks: Uint8Array, block: number): ScaleMinSuperblock {
  const offset = block * blockBytes
  const pairs = blocks.subarray(offset, offset + 16)
  const quants = new Uint8Array(256)
  for (let i = 0; i < 256; i++) {
    const [half, place] = [i >> 7, (i >> 5) & 3]
    quants[i] = (blocks[offset + 16 + half * 32 + (i & 31)]! >> (2 * place)) & 3
  }
  return {
    d: readHalf(blocks, offset + 80),
    dmin: readHalf(blocks, offset + 82),
    scales: pairs.map((pair) => pair & 15),
    mins: pairs.map((pair) => pair >> 4),
    quants,
  }
}

function pack({ d, dmin, scales, mins, quants }: ScaleMinSuperblock, blocks: Uint8Array, block: number): void {
  const offset = block * blockBytes
  blocks.fill(0, offset, offset + blockBytes)
  for (let j = 0; j < 16; j++) blocks[offset + j] = scales[j]! | (mins[j]! << 4)
  for (let i = 0; i < 256; i++) blocks[offset + 16 + (i >> 7) * 32 + (i & 31)]! |= quants[i]! << (2 * ((i >> 5) & 3))
  writeHalf(blocks, offset + 80, d)
  writeHalf(blocks, offset + 82, dmin)
}
