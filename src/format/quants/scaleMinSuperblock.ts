// A superblock with scales and mins (Q2_K, Q4_K, Q5_K) once it is unpacked: 256 weights in sub-blocks of 16 or 32, each
// with a scale and a min. Owns the oracle of such formats, and what Q4_K and Q5_K have in common: 8 sub-blocks of 32,
// with scales and mins of 6 bits.
//
//   weight = (d * scale[j]) * q - (dmin * min[j])        j = the weight's sub-block
//
//   the 12 bytes b of the scales and mins, two bits of the later four sub-blocks in the top bits of the earlier four
//   byte        bits 0-3          bits 4-5     bits 6-7
//   0 to 3      scale[0..3], 6 bits            scale[4..7], bits 4-5
//   4 to 7      min[0..3], 6 bits              min[4..7], bits 4-5
//   8 to 11     scale[4..7] 0-3   min[4..7], bits 0-3 (in bits 4-7)

import type { ActivationQ8K } from './activations.js'
import { readHalf, writeHalf } from './half.js'
import { importanceWeights } from './importance.js'
import { quantizeScaleMins, type ScaleMinSearch, weighedSearch } from './scaleMinSearch.js'
import { type SuperblockOracle, superblockAt, superblockOracle } from './superblockOracle.js'

const { fround } = Math

export interface ScaleMinSuperblock {
  readonly d: number
  readonly dmin: number
  readonly scales: Uint8Array // (sub-blocks), 0 to 15 in Q2_K, 0 to 63 in the others
  readonly mins: Uint8Array // (sub-blocks), in the same range
  readonly quants: Uint8Array // (256), 0 to 3 in Q2_K, 0 to 15 in Q4_K, 0 to 31 in Q5_K
}

/**
 * Reads the 16 bytes with which Q4_K and Q5_K begin: halves d and dmin, then the scales and mins. The caller has
 * `quants`.
 */
export function readScaleMinSuperblock(blocks: Uint8Array, offset: number, quants: Uint8Array): ScaleMinSuperblock {
  const b = blocks.subarray(offset + 4, offset + 16)
  const scales = new Uint8Array(8)
  const mins = new Uint8Array(8)
  for (let j = 0; j < 4; j++) {
    scales[j] = b[j]! & 63
    mins[j] = b[j + 4]! & 63
    scales[j + 4] = (b[j + 8]! & 15) | ((b[j]! >> 6) << 4)
    mins[j + 4] = (b[j + 8]! >> 4) | ((b[j + 4]! >> 6) << 4)
  }
  return { d: readHalf(blocks, offset), dmin: readHalf(blocks, offset + 2), scales, mins, quants }
}

/**
 * Finds the scales, mins and quants of 256 values. Without importances, an error counts more at large weights: with the
 * weight's magnitude and the sub-block's root mean square.
 */
function quantizeScaleMin(values: Float32Array, importance: Float32Array | undefined, search: ScaleMinSearch): ScaleMinSuperblock {
  if (importance) return quantizeScaleMins(values, importanceWeights(values, importance, 2), weighedSearch(search.most), 32, 63)
  const weights = new Float32Array(256)
  for (let j = 0; j < 256; j += 32) {
    const squares = values.subarray(j, j + 32).reduce((sum, value) => fround(sum + fround(value * value)), 0)
    const rootMeanSquare = fround(Math.sqrt(squares / 32))
    for (let i = j; i < j + 32; i++) weights[i] = rootMeanSquare + Math.abs(values[i]!)
  }
  return quantizeScaleMins(values, weights, search, 32, 63)
}

/** The inverse of readScaleMinSuperblock: the first 16 bytes of a block. `quants` are not among them. */
export function writeScaleMinSuperblock({ d, dmin, scales, mins }: ScaleMinSuperblock, blocks: Uint8Array, offset: number): void {
  writeHalf(blocks, offset, d)
  writeHalf(blocks, offset + 2, dmin)
  const b = blocks.subarray(offset + 4, offset + 16)
  for (let j = 0; j < 4; j++) {
    b[j] = scales[j]! | ((scales[j + 4]! >> 4) << 6)
    b[j + 4] = mins[j]! | ((mins[j + 4]! >> 4) << 6)
    b[j + 8] = (scales[j + 4]! & 15) | ((mins[j + 4]! & 15) << 4)
  }
}

/** Float32 to blocks of Q4_K or Q5_K, from what writes a superblock as the `block`-th block. */
export function scaleMinEncoder(search: ScaleMinSearch, pack: (superblock: ScaleMinSuperblock, blocks: Uint8Array, block: number) => void) {
  return (values: Float32Array, blocks: Uint8Array, importance?: Float32Array): void => {
    for (let block = 0; block * 256 < values.length; block++)
      pack(quantizeScaleMin(superblockAt(values, block), importance && superblockAt(importance, block), search), blocks, block)
  }
}

/** The oracle of a format, from what makes a superblock of its `block`-th block. */
export function scaleMinOracle(unpack: (blocks: Uint8Array, block: number) => ScaleMinSuperblock): SuperblockOracle {
  return superblockOracle(unpack, dequantizeScaleMin, addDotScaleMin)
}

/** The weights of one superblock into out[start .. start + 255]. */
function dequantizeScaleMin({ d, dmin, scales, mins, quants }: ScaleMinSuperblock, out: Float32Array, start: number): void {
  const size = 256 / scales.length
  for (let j = 0; j < scales.length; j++) {
    const scale = fround(d * scales[j]!)
    const min = fround(dmin * mins[j]!)
    for (let i = j * size; i < j * size + size; i++) out[start + i] = fround(scale * quants[i]!) - min
  }
}

/**
 * Adds one superblock's share of a dot product to `sum`: exact integers within the superblock, then float32. The mins
 * need no quants, only the sums of the activations that they multiply, one for each 16.
 */
function addDotScaleMin(sum: number, superblock: ScaleMinSuperblock, x: ActivationQ8K, block: number): number {
  const { d, dmin, scales, mins, quants } = superblock
  const size = 256 / scales.length
  let products = 0
  for (let j = 0; j < scales.length; j++) {
    let subBlock = 0
    for (let i = j * size; i < j * size + size; i++) subBlock += quants[i]! * x.q[block * 256 + i]!
    products += scales[j]! * subBlock
  }
  let minProducts = 0
  for (let i = 0; i < 16; i++) minProducts += mins[Math.floor((i * 16) / size)]! * x.sums[block * 16 + i]!
  const xScale = x.d[block]!
  const withProducts = fround(sum + fround(fround(d * xScale) * fround(products)))
  return fround(withProducts - fround(fround(dmin * xScale) * fround(minProducts)))
}
