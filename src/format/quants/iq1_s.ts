// IQ1_S: weights in groups of eight out of a grid of -1, 0 and 1, all of 32 moved up or down by an eighth. The oracle
// for the kernel: values and the dot product's order of operations.
//
//   block of 256 weights, 50 bytes
//   offset  bytes  field
//   0       2      d: half, scale of the scales
//   2       32     for each 8 weights the low eight bits of group, a place in the grid
//   34      16     for each 32 weights 16 bits, little-endian: from bit 0 up the high three bits of each of the four
//                  groups, three bits of scale[j], and one bit: 1 to move down
//
//   weight = (d / 8 * (2 * scale[j] + 1)) * (8 * grid[group] + move[j])        j = the weight's sub-block of 32
//
// The division by 8 is exact, and so is every product.

import { gridIQ1 } from './grids.js'
import { readHalf } from './half.js'
import { type ScaledSuperblock, scaledOracle } from './scaledSuperblock.js'

const blockBytes = 50

export const { dequantize: dequantizeIQ1S, dot: dotIQ1S } = scaledOracle(unpack)

function unpack(blocks: Uint8Array, block: number): ScaledSuperblock {
  const offset = block * blockBytes
  const scales = new Int8Array(8)
  const quants = new Int8Array(256)
  for (let j = 0; j < 8; j++) {
    const bits = blocks[offset + 34 + j * 2]! | (blocks[offset + 35 + j * 2]! << 8)
    scales[j] = 2 * ((bits >> 12) & 7) + 1
    for (let l = 0; l < 4; l++) {
      const group = blocks[offset + 2 + j * 4 + l]! | (((bits >> (3 * l)) & 7) << 8)
      writeMoved(group, bits & 0x8000 ? -1 : 1, quants, j * 32 + l * 8)
    }
  }
  return { d: readHalf(blocks, offset) / 8, scales, quants }
}

/** Eight times the values of a group, moved up or down by 1, to `quants` from `start` on. */
export function writeMoved(group: number, move: number, quants: Int8Array, start: number): void {
  const { values } = gridIQ1()
  for (let k = 0; k < 8; k++) quants[start + k] = 8 * values[group * 8 + k]! + move
}
