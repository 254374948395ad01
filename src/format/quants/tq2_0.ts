// TQ2_0: ternary weights in two bits each, with one scale per 256. The oracle for the kernel: values and the dot
// product's order of operations.
//
//   block of 256 weights, 66 bytes
//   offset  bytes  field
//   0       64     q: byte h * 32 + l holds, from bit 0 up, weights h * 128 + l, + 32, + 64 and + 96
//   64      2      d: half, the scale
//
//   weight = d * (q - 1)        q = 3 occurs in no model, but it has a value

import type { ActivationQ8K } from './activations.js'
import { readHalf } from './half.js'
import { addDotSuperblock, dequantizeScaled, type ScaledSuperblock } from './scaledSuperblock.js'

const blockBytes = 66
/** One sub-block, with nothing but d as its scale. */
export const noScales = Int8Array.of(1)

/**
 * TQ2_0 blocks to float32.
 * @param blocks (out.length / 256 * 66 bytes)
 */
export function dequantizeTQ20(blocks: Uint8Array, out: Float32Array): void {
  for (let block = 0; block * 256 < out.length; block++) dequantizeScaled(unpack(blocks, block), out, block * 256)
}

/** A row of TQ2_0 blocks times quantized activations: integers within a superblock, float32 across superblocks. */
export function dotTQ20(row: Uint8Array, x: ActivationQ8K): number {
  let sum = 0
  for (let block = 0; block < x.d.length; block++) sum = addDotSuperblock(sum, unpack(row, block), x, block)
  return sum
}

function unpack(blocks: Uint8Array, block: number): ScaledSuperblock {
  const offset = block * blockBytes
  const quants = new Int8Array(256)
  for (let i = 0; i < 256; i++) quants[i] = ((blocks[offset + (i >> 7) * 32 + (i & 31)]! >> (2 * ((i >> 5) & 3))) & 3) - 1
  return { d: readHalf(blocks, offset + 64), scales: noScales, quants }
}
