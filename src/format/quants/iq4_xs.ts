// IQ4_XS: IQ4_NL's weights in superblocks of 256. The oracle for the kernel: values and the dot product's order of
// operations.
//
//   block of 256 weights, 136 bytes
//   offset  bytes  field
//   0       2      d: half, scale of the scales
//   2       2      high two bits of 8 scales of 6 bits, 32 too high: those of scale[j] in bits 2j and 2j + 1
//   4       4      low four bits: byte k holds scale[2k] in its low four bits and scale[2k + 1] in its high four
//   8       128    q: for each 32 weights 16 bytes of nibbles, packed as in block32.ts
//
//   weight i = (d * scale[j]) * iq4Values[q[i]]        j = the weight's sub-block of 32
//
// It is multiplied with blocks of 256 activations, as in ggml: products with the table's values are as exact as with
// any other integers.

import { blockAt, readNibbles, writeNibbles } from './block32.js'
import { readHalf, writeHalf } from './half.js'
import { importanceWeights } from './importance.js'
import { findIQ4Scale, iq4Place, iq4Values } from './iq4Search.js'
import { inverseOf, nearestQuant } from './nearest.js'
import { type ScaledSuperblock, scaledOracle } from './scaledSuperblock.js'
import { largestOf } from './scaleSearch.js'
import { superblockAt } from './superblockOracle.js'

const blockBytes = 136

export const { dequantize: dequantizeIQ4XS, dot: dotIQ4XS } = scaledOracle(unpack)

/**
 * Float32 to IQ4_XS blocks. The largest scale becomes -32, the longer end.
 * @param blocks (values.length / 256 * 136 bytes)
 */
export function encodeIQ4XS(values: Float32Array, blocks: Uint8Array, importance?: Float32Array): void {
  for (let block = 0; block * 256 < values.length; block++) {
    const offset = block * blockBytes
    const x = superblockAt(values, block)
    const weights = importance && importanceWeights(x, superblockAt(importance, block), 2)
    const fits = Float32Array.from({ length: 8 }, (_, j) => findIQ4Scale(blockAt(x, j), weights && blockAt(weights, j)))
    const largest = largestOf(fits)
    const d = writeHalf(blocks, offset, largest / -32)
    const inverse = largest === 0 ? 0 : Math.fround(-32 / largest)
    let highBits = 0
    for (let j = 0; j < 8; j++) {
      const scale = nearestQuant(Math.fround(fits[j]! * inverse), -32, 31)
      const inverseScale = inverseOf(Math.fround(d * scale))
      const q = blockAt(x, j).map((value) => iq4Place(Math.fround(value * inverseScale)))
      writeNibbles(blocks, offset + 8 + j * 16, q)
      const nibble = (scale + 32) & 15
      blocks[offset + 4 + (j >> 1)] = j & 1 ? blocks[offset + 4 + (j >> 1)]! | (nibble << 4) : nibble
      highBits |= ((scale + 32) >> 4) << (2 * j)
    }
    blocks[offset + 2] = highBits & 255
    blocks[offset + 3] = highBits >> 8
  }
}

function unpack(blocks: Uint8Array, block: number): ScaledSuperblock {
  const offset = block * blockBytes
  const highBits = blocks[offset + 2]! | (blocks[offset + 3]! << 8)
  const scales = new Int8Array(8)
  const quants = new Int8Array(256)
  for (let j = 0; j < 8; j++) {
    const low = (blocks[offset + 4 + (j >> 1)]! >> (4 * (j & 1))) & 15
    scales[j] = (low | (((highBits >> (2 * j)) & 3) << 4)) - 32
    for (const [i, q] of readNibbles(blocks, offset + 8 + j * 16).entries()) quants[j * 32 + i] = iq4Values[q]!
  }
  return { d: readHalf(blocks, offset), scales, quants }
}
