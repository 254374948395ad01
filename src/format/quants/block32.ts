// Parts shared by the formats in blocks of 32 (Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, IQ4_NL, MXFP4): how nibbles and fifth bits
// are packed, and the oracles of formats with a scale, or a scale and a min, from how their blocks unpack and pack.
//
//   16 bytes of nibbles: byte l holds weight l in its low four bits and weight 16 + l in its high four
//   4 bytes of fifth bits: bit i % 8 of byte i / 8 belongs to weight i

import type { ActivationQ80, ActivationQ81 } from './activations.js'
import { readHalf, writeHalf } from './half.js'
import { importanceWeights } from './importance.js'
import { inverseOf, nearestQuant } from './nearest.js'
import { findScaleMin, type ScaleMin, weighedSearch } from './scaleMinSearch.js'
import { findScale, largestOf } from './scaleSearch.js'

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
function addDotScaled(sum: number, d: number, quants: ArrayLike<number>, x: ActivationQ80, block: number): number {
  let products = 0
  for (let i = 0; i < 32; i++) products += quants[i]! * x.q[block * 32 + i]!
  return fround(sum + fround(fround(d * x.d[block]!) * fround(products)))
}

/** The same for weights d * q + m. The min needs no quants, only the sum of the activations that it multiplies. */
function addDotScaledMin(sum: number, d: number, m: number, quants: ArrayLike<number>, x: ActivationQ81, block: number): number {
  const withProducts = addDotScaled(sum, d, quants, x, block)
  return fround(withProducts + fround(fround(m * x.d[block]!) * x.sums[block]!))
}

export interface Oracle<Activation> {
  /** Whole blocks to float32. */
  readonly dequantize: (blocks: Uint8Array, out: Float32Array) => void
  /** A row times quantized activations: integers within a block, float32 across blocks. */
  readonly dot: (row: Uint8Array, x: Activation) => number
}

type Encode = (values: Float32Array, blocks: Uint8Array, importance?: Float32Array) => void
type Read = (blocks: Uint8Array, offset: number) => ArrayLike<number>
type Write = (blocks: Uint8Array, offset: number, quants: ArrayLike<number>) => void

/** Reads the scale with which a block begins, a half. */
export const halfAt = (blockBytes: number) => (blocks: Uint8Array, block: number) => readHalf(blocks, block * blockBytes)

/**
 * The oracle of a format of weights d * q.
 * @param scaleOf reads d of the `block`-th of `blocks`
 * @param quantsOf reads its q: (32), signed
 */
export function scaledBlocks(
  scaleOf: (blocks: Uint8Array, block: number) => number,
  quantsOf: (blocks: Uint8Array, block: number) => ArrayLike<number>,
): Oracle<ActivationQ80> {
  return {
    dequantize(blocks, out) {
      for (let block = 0; block * 32 < out.length; block++) {
        const d = scaleOf(blocks, block)
        const q = quantsOf(blocks, block)
        for (let i = 0; i < 32; i++) out[block * 32 + i] = d * q[i]!
      }
    },
    dot(row, x) {
      let sum = 0
      for (let block = 0; block < x.d.length; block++) sum = addDotScaled(sum, scaleOf(row, block), quantsOf(row, block), x, block)
      return sum
    },
  }
}

/**
 * Float32 to blocks of a scale, a half, and quants behind it.
 * @param scaleOf the scale of 32 values
 * @param quantOf what is written for a value that is divided by its scale
 */
export function scaledEncoder(
  blockBytes: number,
  scaleOf: (x: Float32Array, importance: Float32Array | undefined) => number,
  quantOf: (value: number) => number,
  write: Write,
): Encode {
  return (values, blocks, importance) => {
    for (let block = 0; block * 32 < values.length; block++) {
      const offset = block * blockBytes
      const x = blockAt(values, block)
      const inverse = inverseOf(writeHalf(blocks, offset, scaleOf(x, importance && blockAt(importance, block))))
      const q = x.map((value) => quantOf(fround(value * inverse)))
      write(blocks, offset + 2, q)
    }
  }
}

/**
 * The oracle and the encoder of a format of weights d * (q - zero): a half d, then quants from 0 to 2 zero - 1.
 * Encoding, the largest weight of a block becomes -zero. With importances, the scale is searched.
 */
export function zeroPointBlocks(blockBytes: number, zero: number, read: Read, write: Write): Oracle<ActivationQ80> & { encode: Encode } {
  const quantsOf = (blocks: Uint8Array, block: number) => Int8Array.from(read(blocks, block * blockBytes + 2), (q) => q - zero)
  const scaleOf = (x: Float32Array, importance: Float32Array | undefined) =>
    importance ? findScale(x, zero, importanceWeights(x, importance, 1)) : largestOf(x) / -zero
  const quantOf = (value: number) => nearestQuant(value, -zero, zero - 1) + zero
  return { ...scaledBlocks(halfAt(blockBytes), quantsOf), encode: scaledEncoder(blockBytes, scaleOf, quantOf, write) }
}

/**
 * The oracle and the encoder of a format of weights d * q + m: halves d and m, then quants from 0 to `most`. Encoding,
 * the least weight of a block becomes 0, the largest `most`. With importances, both are searched.
 */
export function scaleMinBlocks(blockBytes: number, most: number, read: Read, write: Write): Oracle<ActivationQ81> & { encode: Encode } {
  const unpack = (blocks: Uint8Array, block: number) => {
    const offset = block * blockBytes
    return { d: readHalf(blocks, offset), m: readHalf(blocks, offset + 2), q: read(blocks, offset + 4) }
  }
  return {
    dequantize(blocks, out) {
      for (let block = 0; block * 32 < out.length; block++) {
        const { d, m, q } = unpack(blocks, block)
        for (let i = 0; i < 32; i++) out[block * 32 + i] = fround(d * q[i]!) + m
      }
    },
    dot(row, x) {
      let sum = 0
      for (let block = 0; block < x.d.length; block++) {
        const { d, m, q } = unpack(row, block)
        sum = addDotScaledMin(sum, d, m, q, x, block)
      }
      return sum
    },
    encode(values, blocks, importance) {
      for (let block = 0; block * 32 < values.length; block++) {
        const offset = block * blockBytes
        const x = blockAt(values, block)
        const { scale, min } = scaleMinOf(x, importance && blockAt(importance, block), most)
        const m = writeHalf(blocks, offset + 2, -min)
        const inverse = inverseOf(writeHalf(blocks, offset, scale))
        const q = x.map((value) => nearestQuant(fround(fround(value - m) * inverse), 0, most))
        write(blocks, offset + 4, q)
      }
    },
  }
}

/** The scale and the min of 32 values as scale * quant - min, quants from 0 to `most`. */
function scaleMinOf(x: Float32Array, importance: Float32Array | undefined, most: number): ScaleMin {
  if (importance) return findScaleMin(x, importanceWeights(x, importance, 1), weighedSearch(most))
  const least = Math.min(...x)
  return { scale: fround(Math.max(...x) - least) / most, min: -least }
}
