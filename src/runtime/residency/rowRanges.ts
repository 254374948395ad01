// The row ranges that an expert is read in, and their order: ranges of gate and up by turns, then those of down, as
// they are multiplied, so that computing begins with the first. A range consists of bands: rows that are repacked
// together and then multiplied while they are in the core's cache. Owns these sizes. Does not know what has been read.

import { ROWS_TOGETHER } from '../kernels/packing.js'
import { rowsPerUnit } from '../weights/loadBanks.js'
import type { ExpertTensors } from '../weights/mixtralTensors.js'
import type { Plan } from '../weights/plan.js'
import { STAGING_SPARE } from '../weights/scratch.js'

/**
 * Most bytes of the file in a band: together with its repacked form and a band of another matrix, less than a core's
 * second-level cache.
 */
const BAND_BYTES = 160 * 1024

/** Most bands of a range: stagingBuffers.ts has a bit for each. */
const MOST_BANDS = 30

export type ExpertMatrix = keyof ExpertTensors

/** Rows of one of an expert's matrices that are read at once. */
export interface RowRange {
  readonly matrix: ExpertMatrix
  readonly row: number
  readonly rows: number
  /** Rows of each band; the last may have fewer. */
  readonly band: number
}

export class ExpertRanges {
  readonly list: readonly RowRange[]
  /** Rows of a matrix's ranges; its last may have fewer. */
  readonly #step: Readonly<Record<ExpertMatrix, number>>
  /** Indices into `list` of a matrix's ranges, in the order of their rows. */
  readonly #indices: Readonly<Record<ExpertMatrix, readonly number[]>>

  /** bufferBytes: most bytes of the file in a range. */
  constructor(expert: ExpertTensors, bufferBytes: number) {
    const band = (matrix: ExpertMatrix) => rowsPerUnit(expert[matrix], true, Math.min(bufferBytes, BAND_BYTES)) || ROWS_TOGETHER
    const step = (matrix: ExpertMatrix) =>
      Math.min(MOST_BANDS, Math.max(1, Math.floor(rowsPerUnit(expert[matrix], true, bufferBytes) / band(matrix)))) * band(matrix)
    this.#step = { ffnGate: step('ffnGate'), ffnUp: step('ffnUp'), ffnDown: step('ffnDown') }
    const cut = (matrix: ExpertMatrix): RowRange[] => {
      const { rows } = expert[matrix]
      const most = this.#step[matrix]
      return Array.from({ length: Math.ceil(rows / most) }, (_, i) => ({
        matrix,
        row: i * most,
        rows: Math.min(most, rows - i * most),
        band: band(matrix),
      }))
    }
    this.list = [...[...cut('ffnGate'), ...cut('ffnUp')].sort((a, b) => a.row - b.row), ...cut('ffnDown')]
    const indices = (matrix: ExpertMatrix) => [...this.list.keys()].filter((index) => this.list[index]!.matrix === matrix)
    this.#indices = { ffnGate: indices('ffnGate'), ffnUp: indices('ffnUp'), ffnDown: indices('ffnDown') }
  }

  /** Indices into `list` of the ranges that cover these rows. */
  covering(matrix: ExpertMatrix, row: number, rows: number): readonly number[] {
    const step = this.#step[matrix]
    return this.#indices[matrix].slice(Math.floor(row / step), Math.ceil((row + rows) / step))
  }
}

/** The ranges of every expert, by its key: layer * experts + expert. */
export function expertRanges({ layers, scratch }: Plan): ExpertRanges[] {
  const bufferBytes = scratch.stagingBuffers.bytes - STAGING_SPARE
  const known = new Map<string, ExpertRanges>()
  return layers.flatMap(({ experts }) =>
    experts.map((expert) => {
      const types = [expert.ffnGate, expert.ffnUp, expert.ffnDown].map(({ type }) => type.name).join()
      const ranges = known.get(types) ?? new ExpertRanges(expert, bufferBytes)
      known.set(types, ranges)
      return ranges
    }),
  )
}
