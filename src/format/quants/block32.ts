// Parts shared by the formats in blocks of 32 (Q4_0, Q4_1, Q5_0, Q5_1, IQ4_NL): how nibbles and fifth bits are packed,
// and the dot product once they are unpacked.
//
//   16 bytes of nibbles: byte l holds weight l in its low four bits and weight 16 + l in its high four
//   4 bytes of fifth bits: bit i % 8 of byte i / 8 belongs to weight i

import type { ActivationQ80, ActivationQ81 } from './activations.js'

const { fround } = Math

/** The values of the `block`-th block. */
export function blockAt(values: Float32Array, block: number): Float32Array {
  return values.subarray(block * 32, block * 32 + 32)
}

/** The 32 nibbles in the 16 bytes at `offset`, in the order of the weights. */
export function readNibbles(blocks: Uint8Array, offset: number): Uint8Array {
  const nibbles = new Uint8Array(32)
  for (let l = 0; l < 16; l++) {
    nibbles[l] = blocks[offset + l]! & 15
    nibbles[16 + l] = blocks[offset + l]! >> 4
  }
  return nibbles
}

/** 32 quants of 5 bits: fifth bits in the 4 bytes at `offset`, nibbles in the 16 bytes after them. */
export function readFiveBits(blocks: Uint8Array, offset: number): Uint8Array {
  return readNibbles(blocks, offset + 4).map((nibble, i) => nibble | (((blocks[offset + (i >> 3)]! >> (i & 7)) & 1) << 4))
}

/** The inverse of readNibbles: 32 quants from 0 to 15 into 16 bytes. */
export function writeNibbles(blocks: Uint8Array, offset: number, quants: ArrayLike<number>): void {
  for (let l = 0; l < 16; l++) blocks[offset + l] = (quants[l]! & 15) | ((quants[16 + l]! & 15) << 4)
}

/** The inverse of readFiveBits: 32 quants from 0 to 31 into 20 bytes. */
export function writeFiveBits(blocks: Uint8Array, offset: number, quants: ArrayLike<number>): void {
  for (let byte = 0; byte < 4; byte++) {
    blocks[offset + byte] = Array.from({ length: 8 }, (_, bit) => (quants[byte * 8 + bit]! >> 4) << bit).reduce((a, b) => a | b)
  }
  writeNibbles(blocks, offset + 4, quants)
}

/**
 * Adds one block's share of a dot product to `sum`: exact integers within the block, then float32. d: the block's
 * scale; quants: (32), signed.
 */
export function addDotScaled(sum: number, d: number, quants: ArrayLike<number>, x: ActivationQ80, block: number): number {
  let products = 0
  for (let i = 0; i < 32; i++) products += quants[i]! * x.q[block * 32 + i]!
  return fround(sum + fround(fround(d * x.d[block]!) * fround(products)))
}

/** The same for weights d * q + m. The min needs no quants, only the sum of the activations that it multiplies. */
export function addDotScaledMin(sum: number, d: number, m: number, quants: ArrayLike<number>, x: ActivationQ81, block: number): number {
  const withProducts = addDotScaled(sum, d, quants, x, block)
  return fround(withProducts + fround(fround(m * x.d[block]!) * x.sums[block]!))
}
