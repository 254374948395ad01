// IQ1_M: IQ1_S's groups, each of eight weights moved for itself, and a scale for each 16. The oracle for the kernel:
// values and the dot product's order of operations.
//
//   block of 256 weights, 56 bytes
//   offset  bytes  field
//   0       32     for each 8 weights the low eight bits of group, a place in the grid
//   32      16     nibble i, low ones first, belongs to group[i]: its high three bits, and one bit: 1 to move down
//   48      8      four times 16 bits, little-endian: from bit 0 up four times three bits of scale, then four bits of
//                  d, a half, from its bit 0 up
//
//   weight = (d / 8 * (2 * scale[j] + 1)) * (8 * grid[group] + move[group])        j = the weight's sub-block of 16
//
// The division by 8 is exact, and so is every product.

import { halfToFloat } from './half.js'
import { writeMoved } from './iq1_s.js'
import { type ScaledSuperblock, scaledOracle } from './scaledSuperblock.js'

const blockBytes = 56

export const { dequantize: dequantizeIQ1M, dot: dotIQ1M } = scaledOracle(unpack)

function unpack(blocks: Uint8Array, block: number): ScaledSuperblock {
  const offset = block * blockBytes
  const scales = new Int8Array(16)
  const quants = new Int8Array(256)
  for (let i = 0; i < 32; i++) {
    const nibble = (blocks[offset + 32 + (i >> 1)]! >> (4 * (i & 1))) & 15
    writeMoved(blocks[offset + i]! | ((nibble & 7) << 8), nibble & 8 ? -1 : 1, quants, i * 8)
  }
  let half = 0
  for (let k = 0; k < 4; k++) {
    const bits = blocks[offset + 48 + k * 2]! | (blocks[offset + 49 + k * 2]! << 8)
    for (let l = 0; l < 4; l++) scales[k * 4 + l] = 2 * ((bits >> (3 * l)) & 7) + 1
    half |= (bits >> 12) << (4 * k)
  }
  return { d: halfToFloat(half) / 8, scales, quants }
}
