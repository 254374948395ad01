// Q8_0: 8-bit weights with one scale per 32. The oracle for the kernel: values and the dot product's order of operations.
//
//   block of 32 weights, 34 bytes
//   offset  bytes  field
//   0       2      d: half, the scale
//   2       32     q: int8, one per weight
//
//   weight i = d * q[i]

import type { ActivationQ80 } from './activations.js'
import { readHalf } from './half.js'

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

/** A row of Q8_0 blocks times quantised activations: integers within a block, float32 across blocks. */
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
