// IQ3_XXS: weights in groups of four out of a grid, with a scale for each 32, about 3 bits each. The oracle for the
// kernel: values and the dot product's order of operations.
//
//   block of 256 weights, 98 bytes
//   offset  bytes  field
//   0       2      d: half, scale of the scales
//   2       64     for each 4 weights group, a place in the grid
//   66      32     for each 32 weights 32 bits, little-endian: from bit 0 up four times 7 bits of signs (grids.ts),
//                  each of 8 weights, then scale[j]
//
//   weight = (d / 4 * (2 * scale[j] + 1)) * sign * grid[group]        j = the weight's sub-block of 32
//
// The division by 4 is exact, and so is every product.

import { type GridSuperblock, gridEncoder, writeSignsAndScale } from './gridEncoder.js'
import { GridNeighbors } from './gridNeighbors.js'
import { evenSigns, gridIQ3XXS, lazily, writeGroup } from './grids.js'
import { readHalf, writeHalf } from './half.js'
import { type ScaledSuperblock, scaledOracle } from './scaledSuperblock.js'

const blockBytes = 98

export const { dequantize: dequantizeIQ3XXS, dot: dotIQ3XXS } = scaledOracle(unpack)

const nearIQ3XXS = lazily(() => new GridNeighbors(gridIQ3XXS()))
/** What its kernel looks up. */
export const tableIQ3XXS = lazily(() => nearIQ3XXS().table())

/**
 * Float32 to IQ3_XXS blocks.
 * @param blocks (values.length / 256 * 98 bytes)
 */
export const encodeIQ3XXS = gridEncoder({ grid: nearIQ3XXS, subBlock: 32, even: true, candidates: 5 }, pack)

function unpack(blocks: Uint8Array, block: number): ScaledSuperblock {
  const grid = gridIQ3XXS()
  const offset = block * blockBytes
  const scales = new Int8Array(8)
  const quants = new Int8Array(256)
  for (let j = 0; j < 8; j++) {
    const at = offset + 66 + j * 4
    const bits = (blocks[at]! | (blocks[at + 1]! << 8) | (blocks[at + 2]! << 16) | (blocks[at + 3]! << 24)) >>> 0
    scales[j] = 2 * (bits >>> 28) + 1
    for (let l = 0; l < 8; l++) {
      const signs = evenSigns((bits >>> (7 * (l >> 1))) & 127)
      writeGroup(grid, blocks[offset + 2 + j * 8 + l]!, signs, 4 * (l & 1), quants, j * 32 + l * 4)
    }
  }
  return { d: readHalf(blocks, offset) / 4, scales, quants }
}

function pack(superblock: GridSuperblock, blocks: Uint8Array, block: number): void {
  const offset = block * blockBytes
  writeHalf(blocks, offset, superblock.d)
  blocks.set(superblock.groups, offset + 2)
  for (let j = 0; j < 8; j++) writeSignsAndScale(superblock, j, blocks, offset + 66 + j * 4)
}
