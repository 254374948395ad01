// Q4_0: 4-bit weights with one scale per 32. The oracle for the kernel: values and the dot product's order of
// operations.
//
//   block of 32 weights, 18 bytes
//   offset  bytes  field
//   0       2      d: half, the scale
//   2       16     q: nibbles, packed as in block32.ts
//
//   weight i = d * (q[i] - 8)

import type { ActivationQ81 } from './activations.js'
import { addDotScaled, blockAt, readNibbles, writeNibbles } from './block32.js'
import { readHalf, writeHalf } from './half.js'
import { importanceWeights } from './importance.js'
import { inverseOf, nearestQuant } from './nearest.js'
import { findScale, largestOf } from './scaleSearch.js'

const blockBytes = 18
const { fround } = Math

/**
 * Q4_0 blocks to float32.
 * @param blocks (out.length / 32 * 18 bytes)
 */
export function dequantizeQ40(blocks: Uint8Array, out: Float32Array): void {
  for (let block = 0; block * 32 < out.length; block++) {
    const d = readHalf(blocks, block * blockBytes)
    const q = quants(blocks, block)
    for (let i = 0; i < 32; i++) out[block * 32 + i] = d * q[i]!
  }
}

/**
 * Float32 to Q4_0 blocks: the largest weight of a block becomes -8. With importances, the scale is searched.
 * @param blocks (values.length / 32 * 18 bytes)
 */
export function encodeQ40(values: Float32Array, blocks: Uint8Array, importance?: Float32Array): void {
  for (let block = 0; block * 32 < values.length; block++) {
    const offset = block * blockBytes
    const x = blockAt(values, block)
    const scale = importance ? findScale(x, 8, importanceWeights(x, blockAt(importance, block), 1)) : largestOf(x) / -8
    const inverse = inverseOf(writeHalf(blocks, offset, scale))
    const q = x.map((value) => nearestQuant(fround(value * inverse), -8, 7) + 8)
    writeNibbles(blocks, offset + 2, q)
  }
}

/** A row of Q4_0 blocks times quantized activations: integers within a block, float32 across blocks. */
export function dotQ40(row: Uint8Array, x: ActivationQ81): number {
  let sum = 0
  for (let block = 0; block < x.d.length; block++) sum = addDotScaled(sum, readHalf(row, block * blockBytes), quants(row, block), x, block)
  return sum
}

function quants(blocks: Uint8Array, block: number): Int8Array {
  return Int8Array.from(readNibbles(blocks, block * blockBytes + 2), (q) => q - 8)
}
