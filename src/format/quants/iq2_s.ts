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

import type { ActivationQ8K } from './activations.js'
import { writeGroup } from './gridSigns.js'
import { gridIQ2S } from './grids.js'
import { readHalf } from './half.js'
import { addDotSuperblock, dequantizeScaled, oddScales, type ScaledSuperblock } from './scaledSuperblock.js'

const blockBytes = 82

/**
 * IQ2_S blocks to float32.
 * @param blocks (out.length / 256 * 82 bytes)
 */
export function dequantizeIQ2S(blocks: Uint8Array, out: Float32Array): void {
  for (let block = 0; block * 256 < out.length; block++) dequantizeScaled(unpack(blocks, block), out, block * 256)
}

/** A row of IQ2_S blocks times quantized activations: integers within a superblock, float32 across superblocks. */
export function dotIQ2S(row: Uint8Array, x: ActivationQ8K): number {
  let sum = 0
  for (let block = 0; block < x.d.length; block++) sum = addDotSuperblock(sum, unpack(row, block), x, block)
  return sum
}

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
