// The low-rank change of a matrix, what an adapter is made of: W x becomes W x + scale * B (A x). Owns how its two
// factors are kept in memory, which threads share, and how it is added to a matrix. Knows no file and no role.

import type { Steps } from '../../base/timeSlice.js'
import { formats } from '../../format/quants/formats.js'

/** The types of factors in memory: those of training. */
export const factorTypes = ['F32', 'F16', 'BF16'] as const
export type FactorType = (typeof factorTypes)[number]

/** A matrix as it was stored, row after row, in memory that threads share. */
export interface Factor {
  readonly type: FactorType
  readonly rows: number
  readonly columns: number
  readonly bytes: Uint8Array<SharedArrayBuffer>
}

export interface LowRank {
  readonly rank: number
  readonly scale: number
  readonly a: Factor // (rank, columns of the matrix)
  readonly b: Factor // (rows of the matrix, rank)
}

export function isFactorType(name: string): name is FactorType {
  return (factorTypes as readonly string[]).includes(name)
}

const elementBytes = (type: FactorType) => (type === 'F32' ? 4 : 2)

/** A factor of zeros. */
export function emptyFactor(type: FactorType, rows: number, columns: number): Factor {
  return { type, rows, columns, bytes: new Uint8Array(new SharedArrayBuffer(rows * columns * elementBytes(type))) }
}

/** A factor of the rows of another: row i of the result is row `rowOf(i)`. */
export function withRows(factor: Factor, rows: number, rowOf: (row: number) => number): Factor {
  const taken = emptyFactor(factor.type, rows, factor.columns)
  const rowBytes = factor.columns * elementBytes(factor.type)
  for (let row = 0; row < rows; row++) {
    const from = rowOf(row) * rowBytes
    taken.bytes.set(factor.bytes.subarray(from, from + rowBytes), row * rowBytes)
  }
  return taken
}

/** A factor of elements of another: element (row, column) of the result is the element of that index. In steps. */
export function* withElements(
  factor: Factor,
  rows: number,
  columns: number,
  indexOf: (row: number, column: number) => number,
): Steps<Factor> {
  const taken = emptyFactor(factor.type, rows, columns)
  const size = elementBytes(factor.type)
  let at = 0
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const from = indexOf(row, column) * size
      for (let i = 0; i < size; i++) taken.bytes[at++] = factor.bytes[from + i]!
    }
    yield
  }
  return taken
}

/** The values, (rows, columns). */
export function valuesOf({ type, rows, columns, bytes }: Factor): Float32Array {
  const values = new Float32Array(rows * columns)
  formats.get(type)!.dequantize(bytes, values)
  return values
}

/** A low-rank change with its values, as arithmetic wants it. */
export interface LowRankValues {
  readonly rank: number
  readonly scale: number
  readonly columns: number
  readonly a: Float32Array // (rank, columns)
  readonly b: Float32Array // (rows, rank)
}

export function lowRankValues({ rank, scale, a, b }: LowRank): LowRankValues {
  return { rank, scale, columns: a.columns, a: valuesOf(a), b: valuesOf(b) }
}

/**
 * Adds scale * B A to a part of a row: the elements from `column` on that `sums` has room for. Sums are float64, in the
 * order of the rank.
 */
export function addToRow(sums: Float64Array, { rank, scale, columns, a, b }: LowRankValues, row: number, column: number): void {
  for (let k = 0; k < rank; k++) {
    const factor = scale * b[row * rank + k]!
    const at = k * columns + column
    for (let i = 0; i < sums.length; i++) sums[i]! += factor * a[at + i]!
  }
}
