// Q4_1: 4-bit weights with one scale and one min per 32. The oracle for the kernel: values and the dot product's order
// of operations.
//
//   block of 32 weights, 20 bytes
//   offset  bytes  field
//   0       2      d: half, the scale
//   2       2      m: half, the min
//   4       16     q: nibbles, packed as in block32.ts
//
//   weight i = d * q[i] + m

import type { ActivationQ81 } from './activations.js'
import { addDotScaledMin, blockAt, readNibbles, writeNibbles } from './block32.js'
import { readHalf, writeHalf } from './half.js'
import { inverseOf, nearestQuant } from './nearest.js'
import { scaleMinOf } from './scaleMinSearch.js'

const blockBytes = 20

/**
 * Q4_1 blocks to float32.
 * @param blocks (out.length / 32 * 20 bytes)
 */
export function dequantizeQ41(blocks: Uint8Array, out: Float32Array): void {
  for (let block = 0; block * 32 < out.length; block++) {
    const { d, m, q } = unpack(blocks, block)
    for (let i = 0; i < 32; i++) out[block * 32 + i] = Math.fround(d * q[i]!) + m
  }
}

/**
 * Float32 to Q4_1 blocks: the least weight of a block becomes 0, the largest 15. With importances, both are searched.
 * @param blocks (values.length / 32 * 20 bytes)
 */
export function encodeQ41(values: Float32Array, blocks: Uint8Array, importance?: Float32Array): void {
  for (let block = 0; block * 32 < values.length; block++) {
    const offset = block * blockBytes
    const x = blockAt(values, block)
    const { scale, min } = scaleMinOf(x, importance && blockAt(importance, block), 15)
    const m = writeHalf(blocks, offset + 2, -min)
    const inverse = inverseOf(writeHalf(blocks, offset, scale))
    const q = x.map((value) => nearestQuant(Math.fround(Math.fround(value - m) * inverse), 0, 15))
    writeNibbles(blocks, offset + 4, q)
  }
}

/** A row of Q4_1 blocks times quantized activations: integers within a block, float32 across blocks. */
export function dotQ41(row: Uint8Array, x: ActivationQ81): number {
  let sum = 0
  for (let block = 0; block < x.d.length; block++) {
    const { d, m, q } = unpack(row, block)
    sum = addDotScaledMin(sum, d, m, q, x, block)
  }
  return sum
}

function unpack(blocks: Uint8Array, block: number): { d: number; m: number; q: Uint8Array } {
  const offset = block * blockBytes
  return { d: readHalf(blocks, offset), m: readHalf(blocks, offset + 2), q: readNibbles(blocks, offset + 4) }
}
