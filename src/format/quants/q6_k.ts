// Q6_K: 6-bit weights in superblocks of 256. The oracle for the kernel: values and the dot product's order of
// operations.
//
//   block of 256 weights, 210 bytes; the two halves h of 128 weights are packed alike, l = 0 to 31
//   offset  bytes  field
//   0       128    low four bits: byte h * 64 + l holds weights h * 128 + l (low) and h * 128 + 64 + l (high),
//                                 byte h * 64 + 32 + l holds h * 128 + 32 + l (low) and h * 128 + 96 + l (high)
//   128     64     high two bits: byte h * 32 + l holds, from bit 0 up, those of weights h * 128 + l, + 32, + 64, + 96
//   192     16     scale: int8, one for each 16 weights
//   208     2      d: half, scale of the scales
//
//   weight = (d * scale[j]) * (q - 32)        j = the weight's sub-block of 16

import type { ActivationQ8K } from './activations.js'
import { readHalf, writeHalf } from './half.js'
import { quantizeScaled } from './scaledSuperblock.js'
import { superblockAt } from './superblockOracle.js'

const blockBytes = 210
const { fround } = Math

interface Superblock {
  readonly d: number
  readonly scales: Int8Array // (16)
  readonly quants: Int8Array // (256), -32 to 31
}

/**
 * Q6_K blocks to float32.
 * @param blocks (out.length / 256 * 210 bytes)
 */
export function dequantizeQ6K(blocks: Uint8Array, out: Float32Array): void {
  for (let block = 0; block * 256 < out.length; block++) {
    const { d, scales, quants } = unpack(blocks, block)
    for (let j = 0; j < 16; j++) {
      const scale = fround(d * scales[j]!)
      for (let i = j * 16; i < j * 16 + 16; i++) out[block * 256 + i] = scale * quants[i]!
    }
  }
}

/**
 * Float32 to Q6_K blocks.
 * @param blocks (values.length / 256 * 210 bytes)
 */
export function encodeQ6K(values: Float32Array, blocks: Uint8Array, importance?: Float32Array): void {
  for (let block = 0; block * 256 < values.length; block++)
    pack(quantizeScaled(superblockAt(values, block), 32, 128, importance && superblockAt(importance, block)), blocks, block)
}

/** A row of Q6_K blocks times quantized activations: integers within a superblock, float32 across superblocks. */
export function dotQ6K(row: Uint8Array, x: ActivationQ8K): number {
  let sum = 0
  for (let block = 0; block < x.d.length; block++) {
    const { d, scales, quants } = unpack(row, block)
    let products = 0
    for (let j = 0; j < 16; j++) {
      let subBlock = 0
      for (let i = j * 16; i < j * 16 + 16; i++) subBlock += quants[i]! * x.q[block * 256 + i]!
      products += scales[j]! * subBlock
    }
    sum = fround(sum + fround(fround(d * x.d[block]!) * fround(products)))
  }
  return sum
}

function unpack(blocks: Uint8Array, block: number): Superblock {
  const offset = block * blockBytes
  const quants = new Int8Array(256)
  for (let h = 0; h < 2; h++) {
    for (let l = 0; l < 32; l++) {
      const first = blocks[offset + h * 64 + l]!
      const second = blocks[offset + h * 64 + 32 + l]!
      const high = blocks[offset + 128 + h * 32 + l]!
      quants[h * 128 + l] = ((first & 15) | ((high & 3) << 4)) - 32
      quants[h * 128 + 32 + l] = ((second & 15) | ((high & 12) << 2)) - 32
      quants[h * 128 + 64 + l] = ((first >> 4) | (high & 48)) - 32
      quants[h * 128 + 96 + l] = ((second >> 4) | ((high & 192) >> 2)) - 32
    }
  }
  const scales = new Int8Array(blocks.buffer, blocks.byteOffset + offset + 192, 16)
  return { d: readHalf(blocks, offset + 208), scales, quants }
}

function pack({ d, scales, quants }: Superblock, blocks: Uint8Array, block: number): void {
  const offset = block * blockBytes
  for (let h = 0; h < 2; h++) {
    for (let l = 0; l < 32; l++) {
      const [first, second, third, fourth] = [0, 32, 64, 96].map((more) => quants[h * 128 + more + l]! + 32) as [
        number,
        number,
        number,
        number,
      ]
      blocks[offset + h * 64 + l] = (first & 15) | ((third & 15) << 4)
      blocks[offset + h * 64 + 32 + l] = (second & 15) | ((fourth & 15) << 4)
      blocks[offset + 128 + h * 32 + l] = (first >> 4) | ((second >> 4) << 2) | ((third >> 4) << 4) | ((fourth >> 4) << 6)
    }
  }
  blocks.set(scales, offset + 192)
  writeHalf(blocks, offset + 208, d)
}
