// IQ4_NL: 4-bit weights that are places in a table, with one scale per 32. The oracle for the kernel: values and the
// dot product's order of operations.
//
//   block of 32 weights, 18 bytes
//   offset  bytes  field
//   0       2      d: half, the scale
//   2       16     q: nibbles, packed as in block32.ts
//
//   weight i = d * iq4Values[q[i]]

import { halfAt, readNibbles, scaledBlocks, scaledEncoder, writeNibbles } from './block32.js'
import { importanceWeights } from './importance.js'
import { findIQ4Scale, iq4Place, iq4Values } from './iq4Search.js'

const blockBytes = 18

export const { dequantize: dequantizeIQ4NL, dot: dotIQ4NL } = scaledBlocks(halfAt(blockBytes), unpack)

/**
 * Float32 to IQ4_NL blocks.
 * @param blocks (values.length / 32 * 18 bytes)
 */
export const encodeIQ4NL = scaledEncoder(blockBytes, scaleOf, iq4Place, writeNibbles)

function scaleOf(x: Float32Array, importance: Float32Array | undefined): number {
  return findIQ4Scale(x, importance && importanceWeights(x, importance, 2))
}

function unpack(blocks: Uint8Array, block: number): Int8Array {
  return Int8Array.from(readNibbles(blocks, block * blockBytes + 2), (q) => iq4Values[q]!)
}
