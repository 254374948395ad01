// IQ3_S: weights in groups of four out of a larger grid than IQ3_XXS's, with all signs. The oracle for the kernel:
// values and the dot product's order of operations.
//
//   block of 256 weights, 110 bytes
//   offset  bytes  field
//   0       2      d: half, scale of the scales
//   2       64     for each 4 weights the low eight bits of group, a place in the grid
//   66      8      bit l of byte j is the ninth bit of group[8j + l]
//   74      32     for each 8 weights a byte of signs (gridSigns.ts)
//   106     4      byte k holds scale[2k] in its low four bits and scale[2k + 1] in its high four
//
//   weight = (d * (2 * scale[j] + 1)) * sign * grid[group]        j = the weight's sub-block of 32
//
// Every product is exact.

import { writeGroup } from './gridSigns.js'
import { gridIQ3S } from './grids.js'
import { readHalf } from './half.js'
import { oddScales, type ScaledSuperblock, scaledOracle } from './scaledSuperblock.js'

const blockBytes = 110

export const { dequantize: dequantizeIQ3S, dot: dotIQ3S } = scaledOracle(unpack)

function unpack(blocks: Uint8Array, block: number): ScaledSuperblock {
  const grid = gridIQ3S()
  const offset = block * blockBytes
  const quants = new Int8Array(256)
  for (let i = 0; i < 64; i++) {
    const ninth = (blocks[offset + 66 + (i >> 3)]! >> (i & 7)) & 1
    writeGroup(grid, blocks[offset + 2 + i]! | (ninth << 8), blocks[offset + 74 + (i >> 1)]!, 4 * (i & 1), quants, i * 4)
  }
  return { d: readHalf(blocks, offset), scales: oddScales(blocks, offset + 106, 4), quants }
}
