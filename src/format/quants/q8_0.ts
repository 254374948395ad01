// Q8_0: 8-bit weights with one scale per 32. The oracle for the kernel: values and the dot product's order of
// operations.
//
//   block of 32 weights, 34 bytes
//   offset  bytes  field
//   0       2      d: half, the scale
//   2       32     q: int8, one per weight
//
//   weight i = d * q[i]

import type { ActivationQ80 } from './activations.js'
import { readHalf, writeHalf } from './half.js'
import { inverseOf, nearestQuant } from './nearest.js'
import { largestOf } from './scaleSearch.js'

const blockBytes = 34
const { fround } = Math

/**
 * Q8_0 blocks to float32.
 * @param blocks (out.length / 32 * 34 bytes)
 */
export function dequantizeQ80(blocks: Uint8Array, out: Float32Array): void {
  for (let block = 0; block * 32 < out.length; block++) {
    const d = readHalf(blocks, block * blockBytes)
    const q = quants(blocks, block)
    for (let i = 0; i < 32; i++) out[block * 32 + i] = d * q[i]!
  }
}

/**
 * Float32 to Q8_0 blocks: the largest weight of a block becomes 127 or -127.
 * @param blocks (values.length / 32 * 34 bytes)
 */
export function encodeQ80(values: Float32Array, blocks: Uint8Array): void {
  for (let block = 0; block * 32 < values.length; block++) {
    const x = values.subarray(block * 32, block * 32 + 32)
    const inverse = inverseOf(writeHalf(blocks, block * blockBytes, Math.abs(largestOf(x)) / 127))
    quants(blocks, block).set(x.map((value) => nearestQuant(fround(value * inverse), -127, 127)))
  }
}

/** A row of Q8_0 blocks times quantized activations: integers within a block, float32 across blocks. */
export function dotQ80(row: Uint8Array, x: ActivationQ80): number {
  let sum = 0
  for (let block = 0; block < x.d.length; block++) {
    const q = quants(row, block)
    let products = 0
    for (let i = 0; i < 32; i++) products += q[i]! * x.q[block * 32 + i]!
    const scale = fround(readHalf(row, block * blockBytes) * x.d[block]!)
    sum = fround(sum + fround(scale * fround(products)))
  }
  return sum
}

function quants(blocks: Uint8Array, block: number): Int8Array {
  return new Int8Array(blocks.buffer, blocks.byteOffset + block * blockBytes + 2, 32)
}
