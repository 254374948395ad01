// Weights to superblocks of the IQ2 and IQ3 formats: scales, groups of a grid and signs. Follows ggml's method: scales
// around the one that fits the largest weight are tried for each sub-block, weights are rounded one by one, and of the
// groups near the rounded ones the best is taken. Beyond it, the scale of the scales is searched too, and groups are
// chosen again for the scales as they are stored. Does not know how a block is packed.

import type { GridNeighbors } from './gridNeighbors.js'
import { floatToHalf, halfToFloat } from './half.js'
import { importanceWeights } from './importance.js'
import { superblockAt } from './superblockOracle.js'

/** How a format is searched. */
export interface GridFormat {
  readonly grid: () => GridNeighbors
  /** What a grid's magnitude is times d, beside the scale: the 1/8 of `d / 8`. */
  readonly unit: number
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

/** Scratch memory of a thread, which encodes one superblock at a time. */
const magnitudes = new Float64Array(256) // without signs; negative where a sign had to be turned
const tried = new Uint16Array(8)
const costs = new Float64Array(32)
const fits = new Float64Array(16)
const products = new Float64Array(16)
const squares = new Float64Array(16)
/** The sums of the last `chooseGroups`. */
const sums = { products: 0, squares: 0 }

/** @param x (256) @param weights (256) how much an error counts at each */
function encodeGrid(x: Float32Array, weights: Float32Array, format: GridFormat): GridSuperblock {
  const { unit, subBlock, even } = format
  const grid = format.grid()
  const perSubBlock = subBlock / grid.size
  const count = 256 / subBlock
  const signs = splitSigns(x, weights, even)
  const groups = new Uint16Array(256 / grid.size)
  const scales = new Uint8Array(count)
  let largest = 0
  for (let j = 0; j < count; j++) {
    fits[j] = fitSubBlock(grid, weights, j * subBlock, subBlock, format.candidates, groups.subarray(j * perSubBlock, (j + 1) * perSubBlock))
    products[j] = sums.products
    squares[j] = fits[j]! > 0 ? sums.squares : 0
    largest = Math.max(largest, fits[j]!)
  }
  const d = bestD(largest / 31, unit * grid.least, count)
  if (d === 0) return { d, scales, groups: groups.fill(0), signs }
  const step = d * unit * grid.least
  for (let j = 0; j < count; j++) {
    scales[j] = scaleInteger(fits[j]! / step)
    chooseGroups(
      grid,
      weights,
      j * subBlock,
      subBlock,
      (2 * scales[j]! + 1) * step,
      groups.subarray(j * perSubBlock, (j + 1) * perSubBlock),
    )
  }
  return { d, scales, groups, signs }
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

/** The best scale of a sub-block for the least magnitude, 0 for zeros; its groups, and their sums in `sums`. */
function fitSubBlock(
  grid: GridNeighbors,
  weights: Float32Array,
  start: number,
  length: number,
  candidates: number,
  groups: Uint16Array,
): number {
  let largest = 0
  for (let i = start; i < start + length; i++) largest = Math.max(largest, magnitudes[i]!)
  let [bestProducts, bestSquares] = [0, 1]
  if (largest > 1e-30) {
    const levels = grid.magnitudes.length
    const top = 2 * levels - 1
    const step = STEPS[levels as 3 | 8]
    const found = tried.subarray(0, groups.length)
    for (let candidate = -candidates; candidate <= candidates; candidate++) {
      chooseGroups(grid, weights, start, length, largest / (top + candidate * step), found)
      if (!(sums.products > 0 && sums.products ** 2 * bestSquares > bestProducts ** 2 * sums.squares)) continue
      bestProducts = sums.products
      bestSquares = sums.squares
      groups.set(found)
    }
    // once more, by all that is near the best scale
    if (bestProducts > 0) {
      chooseGroups(grid, weights, start, length, bestProducts / bestSquares, found)
      if (sums.products > 0 && sums.products ** 2 * bestSquares > bestProducts ** 2 * sums.squares) {
        bestProducts = sums.products
        bestSquares = sums.squares
        groups.set(found)
      }
    }
  }
  sums.products = bestProducts
  sums.squares = bestSquares
  return bestProducts / bestSquares
}

/** Chooses the groups of a sub-block for a scale. `sums` are those of least squares. */
function chooseGroups(grid: GridNeighbors, weights: Float32Array, start: number, length: number, scale: number, groups: Uint16Array): void {
  const { size, magnitudes: values, levels, places } = grid
  const count = values.length
  const inverse = 0.5 / scale
  let [allProducts, allSquares] = [0, 0]
  for (let g = 0; g < length / size; g++) {
    const at = start + g * size
    let key = 0
    for (let k = size - 1; k >= 0; k--) {
      const level = Math.floor(magnitudes[at + k]! * inverse) // (m / scale - 1) / 2, to the nearest
      key = key * count + (level < 0 ? 0 : level >= count ? count - 1 : level)
    }
    const near = grid.near(key)
    let best = near[0]!
    if (near.length > 1) {
      // the error of each magnitude at each level: (size, count)
      for (let k = 0; k < size; k++) {
        const weight = weights[at + k]!
        const twice = 2 * magnitudes[at + k]!
        for (let level = 0; level < count; level++) costs[k * count + level] = weight * values[level]! * (scale * values[level]! - twice)
      }
      let least = Number.POSITIVE_INFINITY
      for (let n = 0; n < near.length; n++) {
        const from = near[n]! * size
        let error = 0
        for (let k = from; k < from + size; k += 4) {
          error += costs[places[k]!]! + costs[places[k + 1]!]! + (costs[places[k + 2]!]! + costs[places[k + 3]!]!)
        }
        if (error < least) {
          best = near[n]!
          least = error
        }
      }
    }
    groups[g] = best
    for (let k = 0; k < size; k++) {
      const value = values[levels[best * size + k]!]!
      const weighted = weights[at + k]! * value
      allProducts += weighted * magnitudes[at + k]!
      allSquares += weighted * value
    }
  }
  sums.products = allProducts
  sums.squares = allSquares
}

/** The half d for which the integer scales come nearest to `fits`. base: about d * factor. */
function bestD(base: number, factor: number, count: number): number {
  let [best, least] = [0, 0]
  for (let candidate = 0; candidate < D_CANDIDATES; candidate++) {
    const d = halfToFloat(floatToHalf((base / factor) * (0.9 + candidate * 0.02)))
    if (!(d > 0 && d < Number.POSITIVE_INFINITY)) continue
    let error = 0
    for (let j = 0; j < count; j++) {
      const scale = (2 * scaleInteger(fits[j]! / (d * factor)) + 1) * d * factor
      error += scale * (scale * squares[j]! - 2 * products[j]!)
    }
    if (error < least) [best, least] = [d, error]
  }
  return best
}

/** n for which 2n + 1 is nearest to x, from 0 to 15. */
function scaleInteger(x: number): number {
  return Math.max(0, Math.min(15, Math.round((x - 1) / 2)))
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
