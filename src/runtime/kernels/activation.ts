// How a row of activations lies in a bank, by the kind of weights that it is multiplied with. Owns the byte counts; the
// kernels (assembly/ops/quantize_*.ts) own the order inside.

import { alignUp } from '../../base/alignUp.js'
import type { ActivationKind } from '../../format/quants/activations.js'
import type { KernelBuild } from './abi.js'

/** Bytes of one activation row, a multiple of 16. */
export function activationBytes(kind: ActivationKind, columns: number, build: KernelBuild): number {
  if (kind === 'f32') return alignUp(columns * 4, 16)
  if (kind === 'q8_0') return columns * 2 + alignUp((columns / 32) * 4, 16)
  const quants = columns * (build === 'relaxed-simd' ? 1 : 2)
  if (kind === 'q8_1') return quants + 2 * alignUp((columns / 32) * 4, 16)
  const blocks = columns / 256
  return quants + alignUp(blocks * 4, 16) + blocks * 112
}

/** Columns per block of the kind. A part of a row that is quantized on its own is a multiple of it. */
export const activationBlock: Readonly<Record<ActivationKind, number>> = { q8_k: 256, q8_0: 32, q8_1: 32, f32: 1 }

/** The values in an activation row, (columns), as the kernels see them. `row` starts at a multiple of 4. */
export function readActivation(kind: ActivationKind, row: Uint8Array, columns: number, build: KernelBuild): Float32Array {
  if (kind === 'f32') return new Float32Array(row.buffer, row.byteOffset, columns).slice()
  const wide = kind === 'q8_0' || build === 'simd'
  const at = row.byteOffset
  const quants = wide ? new Int16Array(row.buffer, at, columns) : new Int8Array(row.buffer, at, columns)
  const block = activationBlock[kind]
  const scales = new Float32Array(row.buffer, at + columns * (wide ? 2 : 1), columns / block)
  // quants that are narrow in other builds stand in fours in the order 0 2 1 3
  const shuffled = wide && kind !== 'q8_0'
  const values = new Float32Array(columns)
  for (let c = 0; c < columns; c++) {
    const place = shuffled && (c & 3) % 3 !== 0 ? c ^ 3 : c
    values[c] = scales[Math.floor(c / block)]! * quants[place]!
  }
  return values
}
