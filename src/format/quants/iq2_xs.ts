// IQ2_XS: weights in groups of eight out of a grid, with a scale for each 16. The oracle for the kernel: values and the
// dot product's order of operations.
//
//   block of 256 weights, 74 bytes
//   offset  bytes  field
//   0       2      d: half, scale of the scales
//   2       64     for each 8 weights 16 bits, little-endian: from bit 0 up 9 bits of group, a place in the grid, and 7
//                  bits of signs (gridSigns.ts)
//   66      8      byte k holds scale[2k] in its low four bits and scale[2k + 1] in its high four
//
//   weight = (d / 8 * (2 * scale[j] + 1)) * sign * grid[group]        j = the weight's sub-block of 16
//
// The division by 8 is exact, and so is every product.

import { evenSigns, writeGroup } from './gridSigns.js'
import { gridIQ2XS } from './grids.js'
import { readHalf } from './half.js'
import { oddScales, type ScaledSuperblock, scaledOracle } from './scaledSuperblock.js'

const blockBytes = 74

export const { dequantize: dequantizeIQ2XS, dot: dotIQ2XS } = scaledOracle(unpack)

function unpack(blocks: Uint8Array, block: number): ScaledSuperblock {
  const grid = gridIQ2XS()
  const offset = block * blockBytes
  const quants = new Int8Array(256)
  for (let i = 0; i < 32; i++) {
    const bits = blocks[offset + 2 + i * 2]! | (blocks[offset + 3 + i * 2]! << 8)
    writeGroup(grid, bits & 511, evenSigns(bits >> 9), 0, quants, i * 8)
  }
  return { d: readHalf(blocks, offset) / 8, scales: oddScales(blocks, offset + 66, 8), quants }
}
