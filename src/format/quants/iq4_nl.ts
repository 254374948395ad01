// IQ4_NL: 4-bit weights that are places in a table, with one scale per 32. The oracle for the kernel: values and the
// dot product's order of operations.
//
//   block of 32 weights, 18 bytes
//   offset  bytes  field
//   0       2      d: half, the scale
//   2       16     q: nibbles, packed as in block32.ts
//
//   weight i = d * iq4Values[q[i]]

import type { ActivationQ81 } from './activations.js'
import { addDotScaled, readNibbles, writeNibbles } from './block32.js'
import { readHalf, writeHalf } from './half.js'
import { inverseOf } from './nearest.js'
import { largestOf } from './scaleSearch.js'

/** The values of the sixteen nibbles of IQ4_NL and IQ4_XS: ggml's kvalues_iq4nl, denser near zero, as weights are. */
export const iq4Values = Int8Array.of(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113)

const blockBytes = 18
const { fround } = Math

/**
 * IQ4_NL blocks to float32.
 * @param blocks (out.length / 32 * 18 bytes)
 */
export function dequantizeIQ4NL(blocks: Uint8Array, out: Float32Array): void {
  for (let block = 0; block * 32 < out.length; block++) {
    const d = readHalf(blocks, block * blockBytes)
    const values = unpack(blocks, block)
    for (let i = 0; i < 32; i++) out[block * 32 + i] = d * values[i]!
  }
}

/**
 * Float32 to IQ4_NL blocks. As in ggml, scales around the one that makes the largest weight the table's first value are
 * tried. Each is corrected by least squares, in which weights count with their own squares.
 * @param blocks (values.length / 32 * 18 bytes)
 */
export function encodeIQ4NL(values: Float32Array, blocks: Uint8Array): void {
  for (let block = 0; block * 32 < values.length; block++) {
    const offset = block * blockBytes
    const x = values.subarray(block * 32, block * 32 + 32)
    const inverse = inverseOf(writeHalf(blocks, offset, bestScale(x)))
    const q = x.map((value) => placeOf(fround(value * inverse)))
    writeNibbles(blocks, offset + 2, q)
  }
}

function bestScale(x: Float32Array): number {
  const largest = largestOf(x)
  if (!(Math.abs(largest) > 1e-30)) return 0
  const shares = x.map((value) => value / largest)
  let [scale, explained] = [0, 0]
  for (let step = -7; step <= 7; step++) {
    let [products, squares] = [0, 0]
    for (const share of shares) {
      const value = iq4Values[placeOf(fround((iq4Values[0]! + step) * share))]!
      const weighted = fround(fround(share * share) * value)
      products = fround(products + fround(weighted * share))
      squares = fround(squares + fround(weighted * value))
    }
    const gain = fround(fround(products / squares) * products)
    if (gain > explained) [scale, explained] = [fround(products / squares), gain]
  }
  return fround(scale * largest)
}

/** The place of the table's value nearest to x. */
function placeOf(x: number): number {
  let place = 0
  while (place < 15 && x > (iq4Values[place]! + iq4Values[place + 1]!) / 2) place++
  return place
}

/** A row of IQ4_NL blocks times quantized activations: integers within a block, float32 across blocks. */
export function dotIQ4NL(row: Uint8Array, x: ActivationQ81): number {
  let sum = 0
  for (let block = 0; block < x.d.length; block++) sum = addDotScaled(sum, readHalf(row, block * blockBytes), unpack(row, block), x, block)
  return sum
}

function unpack(blocks: Uint8Array, block: number): Int8Array {
  return Int8Array.from(readNibbles(blocks, block * blockBytes + 2), (q) => iq4Values[q]!)
}
