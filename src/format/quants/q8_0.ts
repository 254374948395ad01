// Q8_0: 8-bit weights with one scale per 32. The oracle for the kernel: values and the dot product's order of
// operations.
//
//   block of 32 weights, 34 bytes
//   offset  bytes  field
//   0       2      d: half, the scale
//   2       32     q: int8, one per weight
//
//   weight i = d * q[i]

import { halfAt, scaledBlocks, scaledEncoder } from './block32.js'
import { nearestQuant } from './nearest.js'
import { largestOf } from './scaleSearch.js'

const blockBytes = 34

export const { dequantize: dequantizeQ80, dot: dotQ80 } = scaledBlocks(halfAt(blockBytes), (blocks, block) =>
  quantsAt(blocks, block * blockBytes + 2),
)

/**
 * Float32 to Q8_0 blocks: the largest weight of a block becomes 127 or -127.
 * @param blocks (values.length / 32 * 34 bytes)
 */
export const encodeQ80 = scaledEncoder(
  blockBytes,
  (x) => Math.abs(largestOf(x)) / 127,
  (value) => nearestQuant(value, -127, 127),
  (blocks, offset, quants) => quantsAt(blocks, offset).set(quants),
)

function quantsAt(blocks: Uint8Array, offset: number): Int8Array {
  return new Int8Array(blocks.buffer, blocks.byteOffset + offset, 32)
}
