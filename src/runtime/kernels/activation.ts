// How a row of activations lies in a bank, per kind of weights it meets. Owns the byte counts; the kernels (assembly/ops/quantize_*.ts) own the order inside.

import type { KernelBuild } from './kernels.js'

/**
 * `q8_k`: 8-bit blocks of 256 with sums, for K-quants and IQ4_XS. `q8_0`: 8-bit blocks of 32, for Q8_0. `q8_1`: 8-bit blocks of 32 with sums, for the other formats
 * in blocks of 32. `f32`: as they are.
 */
export type ActivationKind = 'q8_k' | 'q8_0' | 'q8_1' | 'f32'

const upTo16 = (bytes: number) => Math.ceil(bytes / 16) * 16

/** Bytes of one activation row, a multiple of 16. */
export function activationBytes(kind: ActivationKind, columns: number, build: KernelBuild): number {
  if (kind === 'f32') return upTo16(columns * 4)
  if (kind === 'q8_0') return columns * 2 + upTo16((columns / 32) * 4)
  const quants = columns * (build === 'relaxed-simd' ? 1 : 2)
  if (kind === 'q8_1') return quants + 2 * upTo16((columns / 32) * 4)
  const blocks = columns / 256
  return quants + upTo16(blocks * 4) + blocks * 112
}

/** Columns per block of the kind: what a piece of a row must be a multiple of to be quantised on its own. */
export const activationBlock: Readonly<Record<ActivationKind, number>> = { q8_k: 256, q8_0: 32, q8_1: 32, f32: 1 }

/** The values in an activation row, (columns), as the kernels see them. `row` starts at a multiple of 4 in its memory. */
export function readActivation(kind: ActivationKind, row: Uint8Array, columns: number, build: KernelBuild): Float32Array {
  if (kind === 'f32') return new Float32Array(row.buffer, row.byteOffset, columns).slice()
  const wide = kind === 'q8_0' || build === 'simd'
  const at = row.byteOffset
  const quants = wide ? new Int16Array(row.buffer, at, columns) : new Int8Array(row.buffer, at, columns)
  const block = activationBlock[kind]
  const scales = new Float32Array(row.buffer, at + columns * (wide ? 2 : 1), columns / block)
  // those that other builds have narrow stand in fours in the order 0 2 1 3
  const shuffled = wide && kind !== 'q8_0'
  return Float32Array.from({ length: columns }, (_, c) => {
    const place = shuffled && (c & 3) % 3 !== 0 ? c ^ 3 : c
    return scales[Math.floor(c / block)]! * quants[place]!
  })
}
