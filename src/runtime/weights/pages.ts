// The unit of the KV cache: a page holds the keys and values of 32 positions of one sequence, in all layers, under one
// number. Owns its size.

/** Positions of a page: a block of the attention kernels (assembly/ops/attention.ts). */
export const PAGE_POSITIONS = 32

/** The pages that `positions` positions take. */
export const pagesOf = (positions: number) => Math.ceil(positions / PAGE_POSITIONS)
