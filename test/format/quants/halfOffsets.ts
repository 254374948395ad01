// Where a block has halves, its scales and mins, found by what they do: one that is not a number makes its weights so.

import type { Format } from '../../../dist/format/quants/formats.js'

const NAN = 0x7c01

/**
 * Offsets in a block. None in F32 and BF16, whose weights are no halves, and in IQ1_M and MXFP4, which split or have
 * none.
 */
export function halfOffsets({ type, dequantize }: Format): number[] {
  const offsets = Array.from({ length: Math.floor(type.blockBytes / 2) }, (_, i) => i * 2)
  return offsets.filter((offset) => {
    const block = new Uint8Array(type.blockBytes)
    new DataView(block.buffer).setUint16(offset, NAN, true)
    const weights = new Float32Array(type.blockWeights)
    dequantize(block, weights)
    return weights.some(Number.isNaN)
  })
}
