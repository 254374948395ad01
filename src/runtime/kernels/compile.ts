// The compiled kernels: which build this engine runs, compiled once, and instances on a memory. Owns V8's flags while
// it compiles. The kernels' types are in abi.ts.

import { readFileSync } from 'node:fs'
import v8 from 'node:v8'
import { relaxedSimd } from 'wasm-feature-detect'
import { MixtralError } from '../../base/errors.js'
import type { KernelBuild, Kernels } from './abi.js'
import { writeGrids } from './gridTable.js'

export interface CompiledKernels {
  readonly build: KernelBuild
  readonly module: WebAssembly.Module
}

let compiled: Promise<CompiledKernels> | undefined

/**
 * Compiles the build this engine runs, once per process. `MIXTRAL_KERNELS=simd` (or `relaxed-simd`) in the environment
 * forces one. Throws `OPTION` for another value of the variable.
 */
export function compileKernels(): Promise<CompiledKernels> {
  compiled ??= chooseBuild().then((build) => ({ build, module: compileBuild(build) }))
  return compiled
}

/**
 * Compiles one build, or the encoders (encoders.ts). Synchronous: it takes a few milliseconds. Throws `IO` if the
 * package's files are not beside its code.
 */
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
 * The V8 of Node 24 and 26 can make one 256-bit instruction of two 128-bit ones on neighboring bytes, as kernels have
 * them (assembly/lanes/pairs.ts): twice the speed, the same bits. It calls this an experiment, so only versions on
 * which the kernel tests have passed use it.
 */
export function hasWideVectors(): boolean {
  const { node, bun, deno } = process.versions
  return /^2[46]\./.test(node ?? '') && !bun && !deno
}

/**
 * Compiles all functions now, as well as V8 ever will (30 ms). The flags are the process's, so they are reset before
 * anybody else's module is compiled. Node 26 cannot inline a function that its quick compiler has not seen.
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

/** An instance whose pointers are offsets into `memory`, of which the first GRID_BYTES are its own. */
export function instantiate(module: WebAssembly.Module, memory: WebAssembly.Memory): Kernels {
  writeGrids(memory)
  return new WebAssembly.Instance(module, { env: { memory } }).exports as unknown as Kernels
}

/** Whether the engine has relaxed SIMD. Switches it on first where it is behind a flag (Node 20). */
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
