// Q5_0: 5-bit weights with one scale per 32. The oracle for the kernel: values and the dot product's order of
// operations.
//
//   block of 32 weights, 22 bytes
//   offset  bytes  field
//   0       2      d: half, the scale
//   2       4      q: fifth bits, packed as in block32.ts
//   6       16     q: low four bits, packed as in block32.ts
//
//   weight i = d * (q[i] - 16)

import type { ActivationQ81 } from './activations.js'
import { addDotScaled, blockAt, readFiveBits, writeFiveBits } from './block32.js'
import { readHalf, writeHalf } from './half.js'
import { importanceWeights } from './importance.js'
import { inverseOf, nearestQuant } from './nearest.js'
import { findScale, largestOf } from './scaleSearch.js'

const blockBytes = 22

/**
 * Q5_0 blocks to float32.
 * @param blocks (out.length / 32 * 22 bytes)
 */
export function dequantizeQ50(blocks: Uint8Array, out: Float32Array): void {
  for (let block = 0; block * 32 < out.length; block++) {
    const d = readHalf(blocks, block * blockBytes)
    const q = quants(blocks, block)
    for (let i = 0; i < 32; i++) out[block * 32 + i] = d * q[i]!
  }
}

/**
 * Float32 to Q5_0 blocks: the largest weight of a block becomes -16. With importances, the scale is searched.
 * @param blocks (values.length / 32 * 22 bytes)
 */
export function encodeQ50(values: Float32Array, blocks: Uint8Array, importance?: Float32Array): void {
  for (let block = 0; block * 32 < values.length; block++) {
    const offset = block * blockBytes
    const x = blockAt(values, block)
    const scale = importance ? findScale(x, 16, importanceWeights(x, blockAt(importance, block), 1)) : largestOf(x) / -16
    const inverse = inverseOf(writeHalf(blocks, offset, scale))
    const q = x.map((value) => nearestQuant(Math.fround(value * inverse), -16, 15) + 16)
    writeFiveBits(blocks, offset + 2, q)
  }
}

/** A row of Q5_0 blocks times quantized activations: integers within a block, float32 across blocks. */
export function dotQ50(row: Uint8Array, x: ActivationQ81): number {
  let sum = 0
  for (let block = 0; block < x.d.length; block++) sum = addDotScaled(sum, readHalf(row, block * blockBytes), quants(row, block), x, block)
  return sum
}

function quants(blocks: Uint8Array, block: number): Int8Array {
  return Int8Array.from(readFiveBits(blocks, block * blockBytes + 2), (q) => q - 16)
}
