// What Q3_K and IQ4_XS share once their quants are unpacked: 256 weights in sub-blocks of equal size, each with a signed scale.
//
//   weight = (d * scale[j]) * q        j = the weight's sub-block

import type { ActivationQ8K } from './activations.js'

const { fround } = Math

export interface ScaledSuperblock {
  readonly d: number
  readonly scales: Int8Array // (sub-blocks), -32 to 31
  readonly quants: Int8Array // (256)
}

/** The weights of one superblock into out[start .. start + 255]. */
export function dequantizeScaled({ d, scales, quants }: ScaledSuperblock, out: Float32Array, start: number): void {
  const size = 256 / scales.length
  for (const [i, quant] of quants.entries()) out[start + i] = fround(d * scales[Math.floor(i / size)]!) * quant
}

/** Adds one superblock's share of a dot product to `sum`: exact integers within the superblock, then float32. */
export function addDotSuperblock(sum: number, { d, scales, quants }: ScaledSuperblock, x: ActivationQ8K, block: number): number {
  const size = 256 / scales.length
  let products = 0
  for (const [i, quant] of quants.entries()) products += scales[Math.floor(i / size)]! * quant * x.q[block * 256 + i]!
  return fround(sum + fround(fround(d * x.d[block]!) * fround(products)))
}
