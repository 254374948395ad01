// The superblock of Q3_K, TQ and the IQ formats once its quants are unpacked: 256 weights in sub-blocks of equal size,
// each with a signed scale.
//
//   weight = (d * scale[j]) * q        j = the weight's sub-block

import type { ActivationQ8K } from './activations.js'
import { floatToHalf, halfToFloat } from './half.js'
import { inverseOf, nearestQuant } from './nearest.js'
import { findCoarseScale, findScale, largestOf } from './scaleSearch.js'
import { type SuperblockOracle, superblockOracle } from './superblockOracle.js'

const { fround } = Math

export interface ScaledSuperblock {
  readonly d: number
  readonly scales: Int8Array // (sub-blocks)
  readonly quants: Int8Array // (256)
}

/** The oracle of a format, from what makes a superblock of its `block`-th block. */
export function scaledOracle(unpack: (blocks: Uint8Array, block: number) => ScaledSuperblock): SuperblockOracle {
  return superblockOracle(unpack, dequantizeScaled, addDotSuperblock)
}

/** The weights of one superblock into out[start .. start + 255]. */
function dequantizeScaled({ d, scales, quants }: ScaledSuperblock, out: Float32Array, start: number): void {
  const size = 256 / scales.length
  for (const [i, quant] of quants.entries()) out[start + i] = fround(d * scales[Math.floor(i / size)]!) * quant
}

/**
 * Finds scales for 256 values in sub-blocks of 16, and the quants from -most to most - 1. The largest scale becomes
 * -mostScale as an integer, which uses the negative end, the longer one.
 * @param weights (256) how much errors count, if an importance matrix says so
 */
export function quantizeScaled(values: Float32Array, most: number, mostScale: number, weights?: Float32Array): ScaledSuperblock {
  const fits = Float32Array.from({ length: 16 }, (_, j) => {
    const x = values.subarray(j * 16, j * 16 + 16)
    if (weights) return findScale(x, most, weights.subarray(j * 16, j * 16 + 16))
    return (most === 4 ? findCoarseScale : findScale)(x, most)
  })
  const largest = largestOf(fits)
  const d = halfToFloat(floatToHalf(largest / -mostScale))
  const inverse = largest === 0 ? 0 : fround(-mostScale / largest)
  const scales = Int8Array.from(fits, (fit) => nearestQuant(fround(fit * inverse), -mostScale, mostScale - 1))
  const inverses = Float32Array.from(scales, (scale) => inverseOf(fround(d * scale)))
  const quants = Int8Array.from(values, (value, i) => nearestQuant(fround(value * inverses[i >> 4]!), -most, most - 1))
  return { d, scales, quants }
}

/** Adds one superblock's share of a dot product to `sum`: exact integers within the superblock, then float32. */
function addDotSuperblock(sum: number, { d, scales, quants }: ScaledSuperblock, x: ActivationQ8K, block: number): number {
  const size = 256 / scales.length
  let products = 0
  for (const [i, quant] of quants.entries()) products += scales[Math.floor(i / size)]! * quant * x.q[block * 256 + i]!
  return fround(sum + fround(fround(d * x.d[block]!) * fround(products)))
}

/** Scales of the IQ2 and IQ3 formats: two nibbles n per byte, low ones first, each for 2n + 1. */
export function oddScales(blocks: Uint8Array, offset: number, bytes: number): Int8Array {
  return Int8Array.from({ length: 2 * bytes }, (_, j) => 2 * ((blocks[offset + (j >> 1)]! >> (4 * (j & 1))) & 15) + 1)
}
