// Weights to superblocks of the IQ2 and IQ3 formats: scales, groups of a grid and signs. The oracle of
// assembly/encode/gridSearch.ts. Follows ggml's method: scales around the one that fits the largest weight are tried
// for each sub-block, weights are rounded one by one, and of the groups near the rounded ones the best is taken. Beyond
// it, the scale of the scales is searched too, groups are chosen again for the scales as they are stored, and weights
// get back what least squares take of their length (`fullD`). Does not know how a block is packed.
//
// Sums run over four lanes, as in a vector: lane l has every fourth weight from the l-th on. What decides between
// scales is float64, everything else float32.

import type { GridNeighbors } from './gridNeighbors.js'
import { floatToHalf, halfToFloat } from './half.js'
import { importanceWeights } from './importance.js'
import { superblockAt } from './superblockOracle.js'

const { fround, floor, max, min } = Math

/** How a format is searched. In all of them, d times a scale is the least magnitude of a group. */
export interface GridFormat {
  readonly grid: () => GridNeighbors
  /** Weights of a sub-block. */
  readonly subBlock: 16 | 32
  /** Whether the number of minus signs among eight is even. */
  readonly even: boolean
  /** Candidates for a scale on either side of the first. */
  readonly candidates: number
}

export interface GridSuperblock {
  readonly d: number // as a half
  readonly scales: Uint8Array // (sub-blocks), n for 2n + 1
  readonly groups: Uint16Array // (256 / size)
  /** A bit for each weight: (32). */
  readonly signs: Uint8Array
}

/** A step of the largest weight in parts of the least magnitude. */
const STEPS = { 3: 0.25, 8: 0.5 } as const
/** The scale of the scales is tried from 0.9 to 1.1 times that which makes the largest scale the largest integer. */
const D_CANDIDATES = 11
/** The most by which d is made larger at the end. */
const MOST_GAIN = 1.0625

/** Scratch memory of a thread, which encodes one superblock at a time. */
const magnitudes = new Float32Array(256) // without signs; negative where a sign had to be turned
const weighed = new Float32Array(256) // magnitudes times weights
const fits = new Float32Array(16)
const products = new Float32Array(16)
const squares = new Float32Array(16)
/** The sums of the last `chooseGroups`. */
const sums = { products: 0, squares: 0 }
const lanes = { products: new Float32Array(4), squares: new Float32Array(4), errors: new Float32Array(4) }

/** @param x (256) @param weights (256) how much an error counts at each */
function encodeGrid(x: Float32Array, weights: Float32Array, format: GridFormat): GridSuperblock {
  const { subBlock, even } = format
  const grid = format.grid()
  const perSubBlock = subBlock / grid.size
  const count = 256 / subBlock
  const signs = splitSigns(x, weights, even)
  for (let i = 0; i < 256; i++) weighed[i] = weights[i]! * magnitudes[i]!
  const groups = new Uint16Array(256 / grid.size)
  const scales = new Uint8Array(count)
  for (let j = 0; j < count; j++) fitSubBlock(grid, weights, j, subBlock, format.candidates)
  const d = bestD(count)
  if (d === 0) return { d, scales, groups, signs }
  let projected = 0
  for (let j = 0; j < count; j++) {
    scales[j] = scaleInteger(fits[j]!, d)
    const scale = (2 * scales[j]! + 1) * d
    chooseGroups(grid, weights, j * subBlock, subBlock, scale, groups.subarray(j * perSubBlock, (j + 1) * perSubBlock))
    projected += (2 * scales[j]! + 1) * sums.products
  }
  return { d: fullD(d, projected), scales, groups, signs }
}

/**
 * The half d with which the stored weights are, in the direction of the original ones, as long as these. With least
 * squares they are shorter, by up to 6 % in IQ2: errors are smaller by 3 %, but all errors of a model point the same
 * way, and its divergence is a third larger.
 * @param projected the sum of weighed products of original and stored weights, these over d
 */
function fullD(d: number, projected: number): number {
  lanes.squares.fill(0)
  for (let i = 0; i < 256; i++) lanes.squares[i & 3]! += fround(magnitudes[i]! * weighed[i]!)
  const full = halfToFloat(floatToHalf(min(sumOf(lanes.squares) / projected, d * MOST_GAIN)))
  return projected > 0 && full > d && full <= 65504 ? full : d
}

/**
 * Fills `magnitudes`, and returns the signs. Where the number of minus signs must be even and is not, the sign that
 * costs least is turned, and its magnitude becomes negative.
 */
function splitSigns(x: Float32Array, weights: Float32Array, even: boolean): Uint8Array {
  const signs = new Uint8Array(32)
  for (let byte = 0; byte < 32; byte++) {
    let [bits, odd, cheapest, cost] = [0, false, 0, Number.POSITIVE_INFINITY]
    for (let k = 0; k < 8; k++) {
      const value = x[byte * 8 + k]!
      magnitudes[byte * 8 + k] = Math.abs(value)
      if (value < 0) {
        bits |= 1 << k
        odd = !odd
      }
      const turning = weights[byte * 8 + k]! * value * value
      if (turning < cost) [cheapest, cost] = [k, turning]
    }
    if (even && odd) {
      bits ^= 1 << cheapest
      magnitudes[byte * 8 + cheapest] = -magnitudes[byte * 8 + cheapest]!
    }
    signs[byte] = bits
  }
  return signs
}

/** Finds the best scale of sub-block j for the least magnitude, 0 for zeros, and its sums. */
function fitSubBlock(grid: GridNeighbors, weights: Float32Array, j: number, length: number, candidates: number): void {
  const start = j * length
  let largest = 0
  for (let i = start; i < start + length; i++) largest = max(largest, magnitudes[i]!)
  let [bestProducts, bestSquares] = [0, 1]
  const attempt = (scale: number) => {
    chooseGroups(grid, weights, start, length, scale)
    const explained = sums.products * sums.products * bestSquares
    if (!(sums.products > 0 && explained > bestProducts * bestProducts * sums.squares)) return
    bestProducts = sums.products
    bestSquares = sums.squares
  }
  if (largest > 1e-30) {
    const levels = grid.magnitudes.length
    const top = 2 * levels - 1
    const step = STEPS[levels as 3 | 8]
    for (let candidate = -candidates; candidate <= candidates; candidate++) attempt(fround(largest / (top + candidate * step)))
    // once more, by all that is near the best scale
    if (bestProducts > 0) attempt(fround(bestProducts / bestSquares))
  }
  fits[j] = bestProducts / bestSquares
  products[j] = bestProducts
  squares[j] = bestProducts > 0 ? bestSquares : 0
}

/** Chooses the groups of a sub-block for a scale. `sums` are those of least squares. */
function chooseGroups(
  grid: GridNeighbors,
  weights: Float32Array,
  start: number,
  length: number,
  scale: number,
  groups?: Uint16Array,
): void {
  const { size, magnitudes: values, levels } = grid
  const count = values.length
  const inverse = fround(0.5 / scale)
  lanes.products.fill(0)
  lanes.squares.fill(0)
  for (let g = 0; g < length / size; g++) {
    const at = start + g * size
    let key = 0
    for (let k = size - 1; k >= 0; k--) {
      const level = floor(max(0, min(count - 1, fround(magnitudes[at + k]! * inverse)))) // (m / scale - 1) / 2, to the nearest
      key = key * count + level
    }
    const near = grid.near(key)
    let best = near[0]!
    let least = Number.POSITIVE_INFINITY
    for (const group of near.length > 1 ? near : []) {
      const error = errorOf(grid, group, weights, at, scale)
      if (error < least) [best, least] = [group, error]
    }
    if (groups) groups[g] = best
    for (let k = 0; k < size; k++) {
      const value = values[levels[best * size + k]!]!
      lanes.products[k & 3]! += fround(value * weighed[at + k]!)
      lanes.squares[k & 3]! += fround(fround(value * weights[at + k]!) * value)
    }
  }
  sums.products = sumOf(lanes.products)
  sums.squares = sumOf(lanes.squares)
}

/** The error of a group for the weights from `at` on, without what all groups have in common, over the scale. */
function errorOf(
  { size, magnitudes: values, levels }: GridNeighbors,
  group: number,
  weights: Float32Array,
  at: number,
  scale: number,
): number {
  lanes.errors.fill(0)
  for (let k = 0; k < size; k++) {
    const value = values[levels[group * size + k]!]!
    const slope = fround(weights[at + k]! * scale)
    lanes.errors[k & 3]! += fround(value * fround(fround(slope * value) - 2 * weighed[at + k]!))
  }
  return sumOf(lanes.errors)
}

/** The sum of four lanes: of the even ones, and of the odd ones. */
function sumOf([a, b, c, d]: Float32Array): number {
  return fround(fround(a! + c!) + fround(b! + d!))
}

/** The half d for which the integer scales come nearest to `fits`. */
function bestD(count: number): number {
  const base = max(...fits.subarray(0, count)) / 31
  let [best, least] = [0, 0]
  for (let candidate = 0; candidate < D_CANDIDATES; candidate++) {
    const d = halfToFloat(floatToHalf(base * (0.9 + candidate * 0.02)))
    if (!(d > 0)) continue
    let error = 0
    for (let j = 0; j < count; j++) {
      const scale = (2 * scaleInteger(fits[j]!, d) + 1) * d
      error += scale * (scale * squares[j]! - 2 * products[j]!)
    }
    if (error < least) [best, least] = [d, error]
  }
  return best
}

/** n for which 2n + 1 times d is nearest to x, from 0 to 15. */
function scaleInteger(x: number, d: number): number {
  return min(15, floor(x / (2 * d)))
}

/**
 * The encoder of a format, from what packs a superblock into the `block`-th of its blocks. Without importances, an
 * error counts with its weight's square.
 */
export function gridEncoder(
  format: GridFormat,
  pack: (superblock: GridSuperblock, blocks: Uint8Array, block: number) => void,
): (values: Float32Array, blocks: Uint8Array, importance?: Float32Array) => void {
  return (values, blocks, importance) => {
    for (let block = 0; block * 256 < values.length; block++) {
      const x = superblockAt(values, block)
      const weights = importance ? importanceWeights(x, superblockAt(importance, block), 2) : x.map((value) => value * value)
      pack(encodeGrid(x, weights, format), blocks, block)
    }
  }
}

/** Writes the scales' nibbles, two a byte, low ones first. */
export function writeNibbleScales(scales: Uint8Array, blocks: Uint8Array, offset: number): void {
  for (let k = 0; k < scales.length / 2; k++) blocks[offset + k] = scales[2 * k]! | (scales[2 * k + 1]! << 4)
}

/** Four times seven signs, and a scale on top: the 32 bits, little-endian, of sub-block j. */
export function writeSignsAndScale({ signs, scales }: GridSuperblock, j: number, blocks: Uint8Array, offset: number): void {
  let bits = scales[j]! << 28
  for (let l = 0; l < 4; l++) bits |= (signs[j * 4 + l]! & 127) << (7 * l)
  for (let byte = 0; byte < 4; byte++) blocks[offset + byte] = bits >>> (8 * byte)
}
