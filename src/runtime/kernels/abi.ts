// The ABI of the kernels: what an instance of assembly/index.ts exports, and the types of WebAssembly under names of
// ours. Kernels of formats are typed by the names in quants/formats.ts. Compiles nothing (compile.ts).

import type { FormatName } from '../../format/quants/formats.js'

// Declared here too, with nothing in them, for programs that are compiled without the DOM's types, where the merged
// declarations of these would be all that is missing.
declare global {
  namespace WebAssembly {
    interface Module {}
    interface Memory {}
  }
}

export type WasmModule = WebAssembly.Module
export type WasmMemory = WebAssembly.Memory

/** `relaxed-simd` uses the 8-bit dot product, `simd` does without. Both give the same bits. */
export type KernelBuild = 'simd' | 'relaxed-simd'

/**
 * weights: packed groups of 4 rows; blocks: per row, of the format's size; x: an activation row (packing.ts); out:
 * (groups * 4) float32.
 */
export type MatmulX1 = (weights: number, groups: number, blocks: number, x: number, out: number) => void
/** The same for two activation rows. */
export type MatmulX2 = (weights: number, groups: number, blocks: number, x0: number, x1: number, out0: number, out1: number) => void
/** The same for four activation rows. */
export type MatmulX4 = (
  weights: number,
  groups: number,
  blocks: number,
  x0: number,
  x1: number,
  x2: number,
  x3: number,
  out0: number,
  out1: number,
  out2: number,
  out3: number,
) => void
/** File rows at src to packed groups at dst; returns how many scales (or weights) are not finite. */
export type Repack = (src: number, rows: number, blocks: number, dst: number) => number
/** `count` blocks of float32 at src into blocks `first` .. of the activation row of `blocks` blocks at dst. */
type Quantize = (src: number, count: number, dst: number, blocks: number, first: number) => void

/** One position's key and value, (headDim) float32 each, into the cache of their kv head. */
type StoreKv = (key: number, value: number, headDim: number, keys: number, values: number, position: number) => void
/**
 * One range of the context for consecutive positions of one kv head's query heads, the first at `position`
 * (assembly/ops/attention.ts).
 */
type Attention = (
  q: number,
  qFloats: number,
  part: number,
  tokens: number,
  heads: number,
  headDim: number,
  keys: number,
  values: number,
  table: number,
  position: number,
  window: number,
  first: number,
  end: number,
  room: number,
  wide: 0 | 1,
) => void

/** How keys and values are kept: as floats, or in 8 bits with a float16 scale per position, head and 32 dimensions. */
export type KvFormat = 'f16' | 'f32' | 'q8'

/** The name of a format in the names of its kernels. */
type KernelFormat = Lowercase<FormatName>

/** Formats that have a second layout, and those whose products in it have names of their own. */
export type ExpandedFormat = 'iq1_s' | 'iq1_m' | 'iq2_xxs' | 'iq2_xs' | 'iq2_s' | 'iq3_xxs' | 'iq3_s'
export type ExpandedProduct = 'iq1_s' | 'iq1_m' | 'iq2' | 'iq3_xxs' | 'iq3_s'

/** What a kernel instance exports. All arguments are byte offsets into its memory or counts. */
export type Kernels = { readonly [K in KernelFormat as `matmul_${K}_x1`]: MatmulX1 } & {
  readonly [K in KernelFormat as `matmul_${K}_x4`]: MatmulX4
} & {
  /** Formats have it where it is faster than two of `_x1`. */
  readonly [K in KernelFormat as `matmul_${K}_x2`]?: MatmulX2
} & {
  /** What `_x4` does, in tiles of sixteen rows: where that is faster on engines with 256-bit vectors. */
  readonly [K in KernelFormat as `matmul_${K}_x4_tall`]?: MatmulX4
} & { readonly [K in KernelFormat as `repack_${K}`]: Repack } & {
  readonly [K in ExpandedProduct as `matmul_${K}_expanded_x1`]: MatmulX1
} & { readonly [K in ExpandedProduct as `matmul_${K}_expanded_x4`]: MatmulX4 } & {
  readonly [K in ExpandedFormat as `repack_${K}_expanded`]: Repack
} & {
  readonly quantize_q8_k: Quantize
  readonly quantize_q8_0: Quantize
  readonly quantize_q8_1: Quantize
  /** Brings bytes into the core's cache. */
  readonly fetch: (from: number, bytes: number) => number
  /** Has the core look up the addresses of all pages at the same time. */
  readonly touch: (from: number, bytes: number) => number
  readonly rms_norm: (x: number, weight: number, out: number, count: number, eps: number) => void
  readonly add: (x: number, y: number, count: number) => void
  readonly add_scaled: (x: number, y: number, count: number, scale: number) => void
  readonly rope: (x: number, heads: number, headDim: number, pairs: number, turns: number) => void
} & {
  readonly [K in KvFormat as `store_kv_${K}`]: StoreKv
} & {
  readonly [K in KvFormat as `attention_${K}`]: Attention
} & {
  /** Adds the parts of the range that follows, of `rows` rows at `next`, to those at `part`. */
  readonly merge_attention: (part: number, next: number, rows: number, headDim: number) => void
  /** out (rows, headDim) from whole parts. */
  readonly finish_attention: (part: number, rows: number, headDim: number, out: number) => void
  readonly route: (logits: number, experts: number, used: number, ids: number, weights: number) => void
  readonly swiglu: (gate: number, up: number, count: number) => void
}
