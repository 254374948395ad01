// The compiled kernels: which build this engine runs, compiled once, and instances on a memory. Mirrors the ABI of assembly/index.ts; knows nothing of models.

import { readFileSync } from 'node:fs'
import v8 from 'node:v8'
import { relaxedSimd } from 'wasm-feature-detect'
import { MixtralError } from '../../base/errors.js'

/** `relaxed-simd` uses the 8-bit dot product, `simd` does without. Both give the same bits. */
export type KernelBuild = 'simd' | 'relaxed-simd'

/** weights: packed groups of 4 rows; blocks: per row, of the format's size; x: an activation row (activation.ts); out: (groups * 4) float32. */
type MatmulX1 = (weights: number, groups: number, blocks: number, x: number, out: number) => void
/** The same for four activation rows. */
type MatmulX4 = (
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
type Repack = (src: number, rows: number, blocks: number, dst: number) => number
/** `count` blocks of float32 at src into blocks `first` .. of the activation row of `blocks` blocks at dst. */
type Quantize = (src: number, count: number, dst: number, blocks: number, first: number) => void

/** One position's key and value, (headDim) float32 each, into the cache of their kv head. */
type StoreKv = (key: number, value: number, headDim: number, keys: number, values: number, position: number) => void
/** One range of the context for consecutive positions of one kv head's query heads, the first at `position` (assembly/ops/attention.ts). */
type Attention = (
  q: number,
  qFloats: number,
  part: number,
  tokens: number,
  heads: number,
  headDim: number,
  keys: number,
  values: number,
  position: number,
  window: number,
  first: number,
  end: number,
  room: number,
) => void

/** How keys and values are kept. */
export type KvFormat = 'f16' | 'f32'

type FormatName =
  | 'f32'
  | 'f16'
  | 'bf16'
  | 'q4_0'
  | 'q4_1'
  | 'q5_0'
  | 'q5_1'
  | 'q8_0'
  | 'q2_k'
  | 'q3_k'
  | 'q4_k'
  | 'q5_k'
  | 'q6_k'
  | 'iq4_nl'
  | 'iq4_xs'

/** What a kernel instance exports. All arguments are byte offsets into its memory or counts. */
export type Kernels = { readonly [K in FormatName as `matmul_${K}_x1`]: MatmulX1 } & {
  readonly [K in FormatName as `matmul_${K}_x4`]: MatmulX4
} & { readonly [K in FormatName as `repack_${K}`]: Repack } & {
  readonly quantize_q8_k: Quantize
  readonly quantize_q8_0: Quantize
  readonly quantize_q8_1: Quantize
  /** Brings bytes into the core's cache. */
  readonly fetch: (from: number, bytes: number) => number
  readonly rms_norm: (x: number, weight: number, out: number, count: number, eps: number) => void
  readonly add: (x: number, y: number, count: number) => void
  readonly add_scaled: (x: number, y: number, count: number, scale: number) => void
  readonly rope: (x: number, heads: number, headDim: number, pairs: number, turns: number) => void
} & {
  readonly [K in KvFormat as `store_kv_${K}`]: StoreKv
} & {
  readonly [K in KvFormat as `attention_${K}`]: Attention
} & {
  /** Adds the parts that `rows` rows have of the next range, at `next`, to those at `part`. */
  readonly merge_attention: (part: number, next: number, rows: number, headDim: number) => void
  /** out (rows, headDim) from whole parts. */
  readonly finish_attention: (part: number, rows: number, headDim: number, out: number) => void
  readonly route: (logits: number, experts: number, used: number, ids: number, weights: number) => void
  readonly swiglu: (gate: number, up: number, count: number) => void
}

export interface CompiledKernels {
  readonly build: KernelBuild
  readonly module: WebAssembly.Module
}

let compiled: Promise<CompiledKernels> | undefined

/**
 * Compiles the build this engine runs, once per process. `MIXTRAL_KERNELS=simd` (or `relaxed-simd`) in the environment forces one.
 * Throws `OPTION` for another value of the variable.
 */
export function compileKernels(): Promise<CompiledKernels> {
  compiled ??= chooseBuild().then((build) => ({ build, module: compileBuild(build) }))
  return compiled
}

/** Compiles one build, or the encoders (encoders.ts). Synchronous: it takes a few milliseconds. Throws `IO` where the package's files are not beside its code. */
export function compileBuild(build: KernelBuild | 'encode'): WebAssembly.Module {
  const file = new URL(`./${build}.wasm`, import.meta.url)
  let bytes: Uint8Array<ArrayBuffer>
  try {
    bytes = readFileSync(file)
  } catch (cause) {
    const hint = 'if this program was bundled, leave mixtral-wasm out of the bundle, as an external package'
    throw new MixtralError('IO', `no kernels at ${file.pathname}, expected the package's file; ${hint}`, { cause })
  }
  return build !== 'encode' && hasWideVectors() ? compileWide(bytes) : new WebAssembly.Module(bytes)
}

/**
 * The V8 of Node 24 and 26 can make one 256-bit instruction of two 128-bit ones on neighbouring bytes, as kernels have them (assembly/lanes/pairs.ts): twice the speed, the same bits. It calls
 * this an experiment: hence only the versions that the kernel tests have passed on.
 */
function hasWideVectors(): boolean {
  const { node, bun, deno } = process.versions
  return /^2[46]\./.test(node ?? '') && !bun && !deno
}

/**
 * The flags are the process's, so they are back before anybody else's module is compiled: all functions are compiled now, and as well as they ever will be (30 ms). Node 26
 * cannot inline a function that its quick compiler has not seen.
 */
function compileWide(bytes: Uint8Array<ArrayBuffer>): WebAssembly.Module {
  const flags = ['experimental-wasm-revectorize', 'no-liftoff', 'no-wasm-inlining', 'no-wasm-lazy-compilation']
  for (const flag of flags) v8.setFlagsFromString(`--${flag}`)
  try {
    return new WebAssembly.Module(bytes)
  } finally {
    for (const flag of flags) v8.setFlagsFromString(flag.startsWith('no-') ? `--${flag.slice(3)}` : `--no-${flag}`)
  }
}

/** An instance whose pointers are offsets into `memory`. */
export function instantiate(module: WebAssembly.Module, memory: WebAssembly.Memory): Kernels {
  return new WebAssembly.Instance(module, { env: { memory } }).exports as unknown as Kernels
}

/** Whether relaxed SIMD is there, switched on first where the engine has it behind a flag (Node 20). */
export async function hasRelaxedSimd(): Promise<boolean> {
  if (await relaxedSimd()) return true
  if (!process.versions.node?.startsWith('20.')) return false
  v8.setFlagsFromString('--experimental-wasm-relaxed-simd')
  return relaxedSimd()
}

async function chooseBuild(): Promise<KernelBuild> {
  const forced = process.env.MIXTRAL_KERNELS
  if (forced !== undefined && forced !== '' && forced !== 'simd' && forced !== 'relaxed-simd') {
    throw new MixtralError('OPTION', `MIXTRAL_KERNELS is ${JSON.stringify(forced)}, expected simd or relaxed-simd`)
  }
  if (forced === 'simd') return forced
  if (await hasRelaxedSimd()) return 'relaxed-simd'
  if (forced) throw new MixtralError('OPTION', 'MIXTRAL_KERNELS is relaxed-simd, but this engine has no relaxed SIMD')
  return 'simd'
}
