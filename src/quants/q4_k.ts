// Q4_K: 4-bit weights in superblocks of 256. The oracle for the kernel: values and the dot product's order of operations.
//
//   block of 256 weights, 144 bytes
//   offset  bytes  field
//   0       2      d: half, scale of the sub-block scales
//   2       2      dmin: half, scale of the sub-block mins
//   4       12     8 scales and 8 mins of 6 bits: scaleMinSuperblock.ts
//   16      128    quants: byte c * 32 + l holds weight c * 64 + l in its low four bits and weight c * 64 + 32 + l in its high four
//
//   weight = (d * scale[j]) * q - (dmin * min[j])        j = the weight's sub-block of 32

import type { ActivationQ8K } from './activations.js'
import { addDotScaleMin, dequantizeScaleMin, readScaleMinSuperblock, type ScaleMinSuperblock } from './scaleMinSuperblock.js'

const blockBytes = 144

/**
 * Q4_K blocks to float32.
 * @param blocks (out.length / 256 * 144 bytes)
 */
export function dequantizeQ4K(blocks: Uint8Array, out: Float32Array): void {
  for (let block = 0; block * 256 < out.length; block++) dequantizeScaleMin(unpack(blocks, block), out, block * 256)
}

/** A row of Q4_K blocks times quantised activations: integers within a superblock, float32 across superblocks. */
export function dotQ4K(row: Uint8Array, x: ActivationQ8K): number {
  let sum = 0
  for (let block = 0; block < x.d.length; block++) sum = addDotScaleMin(sum, unpack(row, block), x, block)
  return sum
}

function unpack(blocks: Uint8Array, block: number): ScaleMinSuperblock {
  const offset = block * blockBytes
  const quants = new Uint8Array(256)
  for (let c = 0; c < 4; c++) {
    for (let l = 0; l < 32; l++) {
      const pair = blocks[offset + 16 + c * 32 + l]!
      quants[c * 64 + l] = pair & 15
      quants[c * 64 + 32 + l] = pair >> 4
    }
  }
  return readScaleMinSuperblock(blocks, offset, quants)
}
