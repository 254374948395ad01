// IQ2_XS: weights in groups of eight out of a grid, with a scale for each 16. The oracle for the kernel: values and the
// dot product's order of operations.
//
//   block of 256 weights, 74 bytes
//   offset  bytes  field
//   0       2      d: half, scale of the scales
//   2       64     for each 8 weights 16 bits, little-endian: from bit 0 up 9 bits of group, a place in the grid, and 7
//                  bits of signs (grids.ts)
//   66      8      byte k holds scale[2k] in its low four bits and scale[2k + 1] in its high four
//
//   weight = (d / 8 * (2 * scale[j] + 1)) * sign * grid[group]        j = the weight's sub-block of 16
//
// The division by 8 is exact, and so is every product.

import { type GridSuperblock, gridEncoder, writeNibbleScales } from './gridEncoder.js'
import { GridNeighbors } from './gridNeighbors.js'
import { evenSigns, gridIQ2XS, lazily, writeGroup } from './grids.js'
import { readHalf, writeHalf } from './half.js'
import { oddScales, type ScaledSuperblock, scaledOracle } from './scaledSuperblock.js'

const blockBytes = 74

export const { dequantize: dequantizeIQ2XS, dot: dotIQ2XS } = scaledOracle(unpack)

const nearIQ2XS = lazily(() => new GridNeighbors(gridIQ2XS()))
/** What its kernel looks up. */
export const tableIQ2XS = lazily(() => nearIQ2XS().table())

/**
 * Float32 to IQ2_XS blocks.
 * @param blocks (values.length / 256 * 74 bytes)
 */
export const encodeIQ2XS = gridEncoder({ grid: nearIQ2XS, subBlock: 16, even: true, candidates: 3 }, pack)

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

function pack({ d, scales, groups, signs }: GridSuperblock, blocks: Uint8Array, block: number): void {
  const offset = block * blockBytes
  writeHalf(blocks, offset, d)
  for (let i = 0; i < 32; i++) {
    const bits = groups[i]! | ((signs[i]! & 127) << 9)
    blocks[offset + 2 + i * 2] = bits
    blocks[offset + 3 + i * 2] = bits >> 8
  }
  writeNibbleScales(scales, blocks, offset + 66)
}
