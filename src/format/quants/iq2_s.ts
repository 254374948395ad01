// IQ2_S: weights in groups of eight out of a larger grid than IQ2_XS's, with all eight signs. The oracle for the
// kernel: values and the dot product's order of operations.
//
//   block of 256 weights, 82 bytes
//   offset  bytes  field
//   0       2      d: half, scale of the scales
//   2       32     for each 8 weights the low eight bits of group, a place in the grid
//   34      32     for each 8 weights a byte of signs (gridSigns.ts)
//   66      8      byte k holds, from bit 0 up, the high two bits of group[4k] to group[4k + 3]
//   74      8      byte k holds scale[2k] in its low four bits and scale[2k + 1] in its high four
//
//   weight = (d / 8 * (2 * scale[j] + 1)) * sign * grid[group]        j = the weight's sub-block of 16
//
// The division by 8 is exact, and so is every product.

import { writeGroup } from './gridSigns.js'
import { gridIQ2S } from './grids.js'
import { readHalf } from './half.js'
import { oddScales, type ScaledSuperblock, scaledOracle } from './scaledSuperblock.js'

const blockBytes = 82

export const { dequantize: dequantizeIQ2S, dot: dotIQ2S } = scaledOracle(unpack)

function unpack(blocks: Uint8Array, block: number): ScaledSuperblock {
  const grid = gridIQ2S()
  const offset = block * blockBytes
  const quants = new Int8Array(256)
  for (let i = 0; i < 32; i++) {
    const high = (blocks[offset + 66 + (i >> 2)]! >> (2 * (i & 3))) & 3
    writeGroup(grid, blocks[offset + 2 + i]! | (high << 8), blocks[offset + 34 + i]!, 0, quants, i * 8)
  }
  return { d: readHalf(blocks, offset) / 8, scales: oddScales(blocks, offset + 74, 8), quants }
}
