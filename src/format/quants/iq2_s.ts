// IQ2_S: weights in groups of eight out of a larger grid than IQ2_XS's, with all eight signs. The oracle for the
// kernel: values and the dot product's order of operations.
//
//   block of 256 weights, 82 bytes
//   offset  bytes  field
//   0       2      d: half, scale of the scales
//   2       32     for each 8 weights the low eight bits of group, a place in the grid
//   34      32     for each 8 weights a byte of signs (grids.ts)
//   66      8      byte k holds, from bit 0 up, the high two bits of group[4k] to group[4k + 3]
//   74      8      byte k holds scale[2k] in its low four bits and scale[2k + 1] in its high four
//
//   weight = (d / 8 * (2 * scale[j] + 1)) * sign * grid[group]        j = the weight's sub-block of 16
//
// The division by 8 is exact, and so is every product.

import { type GridSuperblock, gridEncoder, writeNibbleScales } from './gridEncoder.js'
import { GridNeighbors } from './gridNeighbors.js'
import { gridIQ2S, lazily, writeGroup } from './grids.js'
import { readHalf, writeHalf } from './half.js'
import { oddScales, type ScaledSuperblock, scaledOracle } from './scaledSuperblock.js'

const blockBytes = 82

export const { dequantize: dequantizeIQ2S, dot: dotIQ2S } = scaledOracle(unpack)

const nearIQ2S = lazily(() => new GridNeighbors(gridIQ2S()))
/** What its kernel looks up. */
export const tableIQ2S = lazily(() => nearIQ2S().table())

/**
 * Float32 to IQ2_S blocks.
 * @param blocks (values.length / 256 * 82 bytes)
 */
export const encodeIQ2S = gridEncoder({ grid: nearIQ2S, subBlock: 16, even: false, candidates: 3 }, pack)

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

function pack({ d, scales, groups, signs }: GridSuperblock, blocks: Uint8Array, block: number): void {
  const offset = block * blockBytes
  writeHalf(blocks, offset, d)
  blocks.set(signs, offset + 34)
  blocks.fill(0, offset + 66, offset + 74)
  for (let i = 0; i < 32; i++) {
    blocks[offset + 2 + i] = groups[i]!
    blocks[offset + 66 + (i >> 2)]! |= (groups[i]! >> 8) << (2 * (i & 3))
  }
  writeNibbleScales(scales, blocks, offset + 74)
}
