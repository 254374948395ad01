// IQ3_S: weights in groups of four out of a larger grid than IQ3_XXS's, with all signs. The oracle for the kernel:
// values and the dot product's order of operations.
//
//   block of 256 weights, 110 bytes
//   offset  bytes  field
//   0       2      d: half, scale of the scales
//   2       64     for each 4 weights the low eight bits of group, a place in the grid
//   66      8      bit l of byte j is the ninth bit of group[8j + l]
//   74      32     for each 8 weights a byte of signs (grids.ts)
//   106     4      byte k holds scale[2k] in its low four bits and scale[2k + 1] in its high four
//
//   weight = (d * (2 * scale[j] + 1)) * sign * grid[group]        j = the weight's sub-block of 32
//
// Every product is exact.

import { type GridSuperblock, gridEncoder, writeNibbleScales } from './gridEncoder.js'
import { GridNeighbors } from './gridNeighbors.js'
import { gridIQ3S, lazily, writeGroup } from './grids.js'
import { readHalf, writeHalf } from './half.js'
import { oddScales, type ScaledSuperblock, scaledOracle } from './scaledSuperblock.js'

const blockBytes = 110

export const { dequantize: dequantizeIQ3S, dot: dotIQ3S } = scaledOracle(unpack)

const nearIQ3S = lazily(() => new GridNeighbors(gridIQ3S()))
/** What its kernel looks up. */
export const tableIQ3S = lazily(() => nearIQ3S().table())

/**
 * Float32 to IQ3_S blocks.
 * @param blocks (values.length / 256 * 110 bytes)
 */
export const encodeIQ3S = gridEncoder({ grid: nearIQ3S, subBlock: 32, even: false, candidates: 3 }, pack)

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

function pack({ d, scales, groups, signs }: GridSuperblock, blocks: Uint8Array, block: number): void {
  const offset = block * blockBytes
  writeHalf(blocks, offset, d)
  blocks.set(signs, offset + 74)
  blocks.fill(0, offset + 66, offset + 74)
  for (let i = 0; i < 64; i++) {
    blocks[offset + 2 + i] = groups[i]!
    blocks[offset + 66 + (i >> 3)]! |= (groups[i]! >> 8) << (i & 7)
  }
  writeNibbleScales(scales, blocks, offset + 106)
}
