// IQ2_XXS: weights in groups of eight out of a grid, with a scale for each 32, about 2 bits each. The oracle for the
// kernel: values and the dot product's order of operations.
//
//   block of 256 weights, 66 bytes
//   offset  bytes  field
//   0       2      d: half, scale of the scales
//   2       64     for each 32 weights 8 bytes:
//                  0  4  group[l] of weights 8l to 8l + 7: a place in the grid
//                  4  4  32 bits, little-endian: from bit 0 up four times 7 bits of signs (grids.ts), then scale[j]
//
//   weight = (d / 8 * (2 * scale[j] + 1)) * sign * grid[group]        j = the weight's sub-block of 32
//
// The division by 8 is exact, and so is every product.

import { type GridSuperblock, gridEncoder, writeSignsAndScale } from './gridEncoder.js'
import { GridNeighbors } from './gridNeighbors.js'
import { evenSigns, gridIQ2XXS, lazily, writeGroup } from './grids.js'
import { readHalf, writeHalf } from './half.js'
import { type ScaledSuperblock, scaledOracle } from './scaledSuperblock.js'

const blockBytes = 66

export const { dequantize: dequantizeIQ2XXS, dot: dotIQ2XXS } = scaledOracle(unpack)

const nearIQ2XXS = lazily(() => new GridNeighbors(gridIQ2XXS()))
/** What its kernel looks up. */
export const tableIQ2XXS = lazily(() => nearIQ2XXS().table())

/**
 * Float32 to IQ2_XXS blocks.
 * @param blocks (values.length / 256 * 66 bytes)
 */
export const encodeIQ2XXS = gridEncoder({ grid: nearIQ2XXS, subBlock: 32, even: true, candidates: 3 }, pack)

function unpack(blocks: Uint8Array, block: number): ScaledSuperblock {
  const grid = gridIQ2XXS()
  const offset = block * blockBytes
  const scales = new Int8Array(8)
  const quants = new Int8Array(256)
  for (let j = 0; j < 8; j++) {
    const at = offset + 2 + j * 8
    const bits = (blocks[at + 4]! | (blocks[at + 5]! << 8) | (blocks[at + 6]! << 16) | (blocks[at + 7]! << 24)) >>> 0
    scales[j] = 2 * (bits >>> 28) + 1
    for (let l = 0; l < 4; l++) writeGroup(grid, blocks[at + l]!, evenSigns((bits >>> (7 * l)) & 127), 0, quants, j * 32 + l * 8)
  }
  return { d: readHalf(blocks, offset) / 8, scales, quants }
}

function pack(superblock: GridSuperblock, blocks: Uint8Array, block: number): void {
  for (let j = 0; j < 8; j++) {
    const at = block * blockBytes + 2 + j * 8
    blocks.set(superblock.groups.subarray(j * 4, j * 4 + 4), at)
    writeSignsAndScale(superblock, j, blocks, at + 4)
  }
  writeHalf(blocks, block * blockBytes, superblock.d)
}
