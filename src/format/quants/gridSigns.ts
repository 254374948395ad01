// How blocks of the IQ2 and IQ3 formats become integers: a group of magnitudes is looked up in a grid (grids.ts), and
// each magnitude gets a sign. Knows no block's layout.
//
// Signs are bytes: bit k belongs to magnitude k and is 1 for minus. Where a block has seven bits for eight signs, the
// number of minus signs is even, and bit 7 follows from the others.

import type { Grid } from './grids.js'

/** The eight signs of seven bits. */
export function evenSigns(bits: number): number {
  const folded = bits ^ (bits >> 4)
  const parity = (0x6996 >> (folded & 15)) & 1 // 0x6996: bit n is the parity of n
  return bits | (parity << 7)
}

/** Writes group `index` of the grid to `quants` from `start` on, with signs from bit `bit` of `signs` up. */
export function writeGroup({ size, values }: Grid, index: number, signs: number, bit: number, quants: Int8Array, start: number): void {
  for (let k = 0; k < size; k++) {
    const value = values[index * size + k]!
    quants[start + k] = (signs >> (bit + k)) & 1 ? -value : value
  }
}
