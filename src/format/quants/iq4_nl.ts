// IQ4_NL: 4-bit weights that are places in a table, with one scale per 32. The oracle for the kernel: values and the
// dot product's order of operations.
//
//   block of 32 weights, 18 bytes
//   offset  bytes  field
//   0       2      d: half, the scale
//   2       16     q: nibbles, packed as in block32.ts
//
//   weight i = d * iq4Values[q[i]]

import type { ActivationQ81 } from './activations.js'
import { addDotScaled, blockAt, readNibbles, writeNibbles } from './block32.js'
import { readHalf, writeHalf } from './half.js'
import { importanceWeights } from './importance.js'
import { findIQ4Scale, iq4Place, iq4Values } from './iq4Search.js'
import { inverseOf } from './nearest.js'

const blockBytes = 18
const { fround } = Math

/**
 * IQ4_NL blocks to float32.
 * @param blocks (out.length / 32 * 18 bytes)
 */
export function dequantizeIQ4NL(blocks: Uint8Array, out: Float32Array): void {
  for (let block = 0; block * 32 < out.length; block++) {
    const d = readHalf(blocks, block * blockBytes)
    const values = unpack(blocks, block)
    for (let i = 0; i < 32; i++) out[block * 32 + i] = d * values[i]!
  }
}

/**
 * Float32 to IQ4_NL blocks.
 * @param blocks (values.length / 32 * 18 bytes)
 */
export function encodeIQ4NL(values: Float32Array, blocks: Uint8Array, importance?: Float32Array): void {
  for (let block = 0; block * 32 < values.length; block++) {
    const offset = block * blockBytes
    const x = blockAt(values, block)
    const scale = findIQ4Scale(x, importance && importanceWeights(x, blockAt(importance, block), 2))
    const inverse = inverseOf(writeHalf(blocks, offset, scale))
    const q = x.map((value) => iq4Place(fround(value * inverse)))
    writeNibbles(blocks, offset + 2, q)
  }
}

/** A row of IQ4_NL blocks times quantized activations: integers within a block, float32 across blocks. */
export function dotIQ4NL(row: Uint8Array, x: ActivationQ81): number {
  let sum = 0
  for (let block = 0; block < x.d.length; block++) sum = addDotScaled(sum, readHalf(row, block * blockBytes), unpack(row, block), x, block)
  return sum
}

function unpack(blocks: Uint8Array, block: number): Int8Array {
  return Int8Array.from(readNibbles(blocks, block * blockBytes + 2), (q) => iq4Values[q]!)
}
