// Adapters merged into a run of weights: what they add to it, and what is lost when the sum is rounded to blocks. A
// unit at a time, in a thread; the sums of a unit have a place of their own, so that no result depends on who computes
// it.

import { MixtralError } from '../../base/errors.js'
import type { GgmlType } from '../../format/gguf/ggmlType.js'
import { formats, largestWeight } from '../../format/quants/formats.js'
import { addToRow, type LowRank, type LowRankValues, lowRankValues } from '../../runtime/adapters/lowRank.js'

export interface RunMerge {
  /** The changes of each matrix that the run holds, in the order of the adapters. */
  readonly matrices: readonly (readonly LowRank[])[]
  readonly columns: number
  /** Weights of a matrix. */
  readonly perMatrix: number
  /** (units, 2): sums of the squares of all changes in a unit, and of what rounding adds to the exact weights. */
  readonly squares: Float64Array<SharedArrayBuffer>
}

/** Factors as values: units of a run follow each other. */
const decoded = new Map<LowRank, LowRankValues>()
const MOST_DECODED = 4

function valuesOf(change: LowRank): LowRankValues {
  const known = decoded.get(change)
  if (known) return known
  if (decoded.size >= MOST_DECODED) decoded.clear()
  const values = lowRankValues(change)
  decoded.set(change, values)
  return values
}

/**
 * Adds the changes to the weights of a unit, whose first has the number `first` in the run: float64 sums, rounded once.
 * Returns what measures the rounding of the unit. Throws `MODEL`, with `where`, for a weight that no type can hold.
 */
export function addChanges({ matrices, columns, perMatrix, squares }: RunMerge, first: number, weights: Float32Array, where: string) {
  const changes = new Float64Array(weights.length)
  for (let done = 0; done < weights.length; ) {
    const inMatrix = (first + done) % perMatrix
    const column = inMatrix % columns
    const count = Math.min(columns - column, weights.length - done)
    const part = changes.subarray(done, done + count)
    for (const change of matrices[Math.floor((first + done) / perMatrix)]!) {
      addToRow(part, valuesOf(change), Math.floor(inMatrix / columns), column)
    }
    done += count
  }
  const exact = changes.map((change, i) => weights[i]! + change)
  const beyond = exact.reduce((count, value) => (Math.abs(value) <= largestWeight ? count : count + 1), 0)
  if (beyond > 0) {
    throw new MixtralError('MODEL', `${where}: with the adapters ${beyond} are not finite or beyond ${largestWeight}, expected none`)
  }
  weights.set(exact)
  return {
    /** Writes the sums of a unit, which became these blocks. */
    measure(unit: number, type: GgmlType, blocks: Uint8Array): void {
      const written = new Float32Array(exact.length)
      formats.get(type.name)!.dequantize(blocks, written)
      squares[2 * unit] = changes.reduce((sum, change) => sum + change ** 2, 0)
      squares[2 * unit + 1] = exact.reduce((sum, value, i) => sum + (value - written[i]!) ** 2, 0)
    },
  }
}
