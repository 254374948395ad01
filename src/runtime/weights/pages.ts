// The unit of the KV cache: a page holds the keys and values of 32 positions of one sequence, in all layers, under one
// number. Owns its size in positions and in bytes; does not know where pages lie.

import type { KvFormat } from '../kernels/abi.js'

/** Positions of a page: a block of the attention kernels (assembly/ops/attention.ts). */
export const PAGE_POSITIONS = 32

/** The pages that `positions` positions take. */
export const pagesOf = (positions: number) => Math.ceil(positions / PAGE_POSITIONS)

/** Dimensions of a head that share a scale in a cache of 8 bits; the last ones may be fewer. */
export const KV_GROUP = 32

/** Bytes of one kv head's keys, or of its values, in `pages` pages. */
export function kvHeadBytes(pages: number, headDim: number, format: KvFormat): number {
  const ofNumbers = headDim * { f32: 4, f16: 2, q8: 1 }[format]
  const ofScales = format === 'q8' ? 2 * Math.ceil(headDim / KV_GROUP) : 0
  return pages * PAGE_POSITIONS * (ofNumbers + ofScales)
}
