// The grids of the IQ formats as kernels look them up: expanded to bytes, at the start of every memory that kernels run
// on. Owns their order, which assembly/lanes/grids.ts repeats. What grids are is in format/quants/grids.ts.

import { type Grid, gridIQ1, gridIQ2S, gridIQ2XS, gridIQ2XXS, gridIQ3S, gridIQ3XXS } from '../../format/quants/grids.js'

/** In the order of their addresses, each on a multiple of its own size. */
const order: readonly (() => Grid)[] = [gridIQ1, gridIQ2S, gridIQ2XS, gridIQ2XXS, gridIQ3S, gridIQ3XXS]

/** Bytes at the start of a memory that nothing else may use. */
export const GRID_BYTES = 33 * 1024

let table: Uint8Array | undefined

/** Writes the grids. Other threads may be reading them: they see the same bytes before and after. */
export function writeGrids(memory: WebAssembly.Memory): void {
  table ??= makeTable()
  new Uint8Array(memory.buffer, 0, GRID_BYTES).set(table)
}

function makeTable(): Uint8Array {
  const bytes = new Uint8Array(GRID_BYTES)
  let at = 0
  for (const grid of order) {
    const { values } = grid()
    // IQ1's values are -1, 0 and 1: 8 (value + 1) is what its kernels multiply
    bytes.set(grid === gridIQ1 ? values.map((value) => 8 * (value + 1)) : values, at)
    at += values.length
  }
  return bytes
}
