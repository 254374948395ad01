// Activation rows in a test bank: made with the bank's own kernels, and read back. The layouts are documented in
// assembly/ops/quantize_q8_k.ts, quantize_q8_0.ts and quantize_q8_1.ts.

import type { ActivationKind, ActivationQ8K, ActivationQ80, ActivationQ81 } from '../../../dist/format/quants/activations.js'
import { activationBlock, activationBytes } from '../../../dist/runtime/kernels/packing.js'
import type { Region, TestBank } from './testBank.js'

/** Blocks that are quantized by one call. */
export interface Piece {
  readonly first: number
  readonly count: number
}

/** Quantizes `x` for the kind, whole or in pieces. */
export function placeActivation(bank: TestBank, kind: ActivationKind, x: Float32Array, pieces?: readonly Piece[]): Region {
  const source = bank.place(x)
  if (kind === 'f32') return source
  const row = bank.reserve(activationBytes(kind, x.length, bank.build))
  const blocks = x.length / activationBlock[kind]
  for (const { first, count } of pieces ?? [{ first: 0, count: blocks }]) {
    const from = source.ptr + first * activationBlock[kind] * 4
    bank.call([row], (kernels) => kernels[`quantize_${kind}`](from, count, row.ptr, blocks, first))
  }
  return row
}

/**
 * The row in the form of the oracle; beside it the sums of 32, and for each 16 columns -32 times the sums of the halves
 * of its quads.
 */
export function readQ8K(
  bank: TestBank,
  row: Region,
  columns: number,
): ActivationQ8K & { readonly sums32: Int16Array; readonly pairs: Int16Array } {
  const blocks = columns / 256
  const bytes = bank.bytes(row)
  const toScales = columns * (bank.build === 'relaxed-simd' ? 1 : 2)
  const toSums = toScales + Math.ceil(blocks / 4) * 16
  const sums = new Int16Array(bytes.buffer, toSums, blocks * 56) // per block 8 of 32 columns, 16 of 16, and 16 pairs
  return {
    q: bank.build === 'relaxed-simd' ? new Int8Array(bytes.buffer, 0, columns) : unshuffle(bytes, columns),
    d: new Float32Array(bytes.buffer, toScales, blocks),
    sums: sums.filter((_, i) => i % 56 >= 8 && i % 56 < 24),
    sums32: sums.filter((_, i) => i % 56 < 8),
    pairs: sums.filter((_, i) => i % 56 >= 24),
  }
}

export function readQ80(bank: TestBank, row: Region, columns: number): ActivationQ80 {
  const bytes = bank.bytes(row)
  return { q: Int8Array.from(new Int16Array(bytes.buffer, 0, columns)), d: new Float32Array(bytes.buffer, columns * 2, columns / 32) }
}

export function readQ81(bank: TestBank, row: Region, columns: number): ActivationQ81 {
  const blocks = columns / 32
  const bytes = bank.bytes(row)
  const toScales = columns * (bank.build === 'relaxed-simd' ? 1 : 2)
  const pairs = new Int16Array(bytes.buffer, toScales + Math.ceil(blocks / 4) * 16, blocks * 2)
  return {
    q: bank.build === 'relaxed-simd' ? new Int8Array(bytes.buffer, 0, columns) : unshuffle(bytes, columns),
    d: new Float32Array(bytes.buffer, toScales, blocks),
    sums: Int16Array.from({ length: blocks }, (_, block) => pairs[block * 2]! + pairs[block * 2 + 1]!),
  }
}

/** Quads of i16 in the order 0 2 1 3, back to columns. */
function unshuffle(bytes: Uint8Array<ArrayBuffer>, columns: number): Int8Array {
  const stored = new Int16Array(bytes.buffer, 0, columns)
  return Int8Array.from(stored, (_, column) => stored[(column & ~3) | [0, 2, 1, 3][column & 3]!]!)
}
