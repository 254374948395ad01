// The pieces that an expert is read in, and their order: rows of gate and up in turn, then those of down, as they are multiplied, so that computing can begin with the first of them. And the bands
// of a piece: what is repacked at a time, and then multiplied while it is in the core's cache.

import { ROWS_TOGETHER } from '../kernels/packing.js'
import { rowsPerPiece } from '../weights/fillBanks.js'
import type { ExpertTensors } from '../weights/mixtralTensors.js'
import type { Plan } from '../weights/plan.js'
import { STAGING_SPARE } from '../weights/scratch.js'

/** Bytes of the file in a band, at most: with what they are repacked to and a band of another matrix, less than a core's second cache. */
const BAND_BYTES = 160 * 1024

/** Of a piece (model/rooms.ts). */
const MOST_BANDS = 30

export type ExpertPart = keyof ExpertTensors

/** Rows of one of the matrices. */
export interface Piece {
  readonly part: ExpertPart
  readonly row: number
  readonly rows: number
  /** Rows of each of its bands but the last. */
  readonly band: number
}

export class ExpertPieces {
  readonly list: readonly Piece[]
  /** Rows of all pieces of a matrix but its last. */
  readonly #step: Readonly<Record<ExpertPart, number>>
  /** Places in `list`, in the order of rows. */
  readonly #places: Readonly<Record<ExpertPart, readonly number[]>>

  /** roomBytes: most bytes of the file that a piece may have. */
  constructor(expert: ExpertTensors, roomBytes: number) {
    const band = (part: ExpertPart) => rowsPerPiece(expert[part], true, Math.min(roomBytes, BAND_BYTES)) || ROWS_TOGETHER
    const step = (part: ExpertPart) =>
      Math.min(MOST_BANDS, Math.max(1, Math.floor(rowsPerPiece(expert[part], true, roomBytes) / band(part)))) * band(part)
    this.#step = { ffnGate: step('ffnGate'), ffnUp: step('ffnUp'), ffnDown: step('ffnDown') }
    const cut = (part: ExpertPart): Piece[] => {
      const { rows } = expert[part]
      const most = this.#step[part]
      return Array.from({ length: Math.ceil(rows / most) }, (_, i) => ({
        part,
        row: i * most,
        rows: Math.min(most, rows - i * most),
        band: band(part),
      }))
    }
    this.list = [...[...cut('ffnGate'), ...cut('ffnUp')].sort((a, b) => a.row - b.row), ...cut('ffnDown')]
    const places = (part: ExpertPart) => [...this.list.keys()].filter((place) => this.list[place]!.part === part)
    this.#places = { ffnGate: places('ffnGate'), ffnUp: places('ffnUp'), ffnDown: places('ffnDown') }
  }

  /** Places in `list` of the pieces with these rows. */
  with(part: ExpertPart, row: number, rows: number): readonly number[] {
    const step = this.#step[part]
    return this.#places[part].slice(Math.floor(row / step), Math.ceil((row + rows) / step))
  }
}

/** Of every expert, as layer * experts + expert. */
export function expertPieces({ layers, scratch }: Plan): ExpertPieces[] {
  const roomBytes = scratch.staging.bytes - STAGING_SPARE
  const known = new Map<string, ExpertPieces>()
  return layers.flatMap(({ experts }) =>
    experts.map((expert) => {
      const types = [expert.ffnGate, expert.ffnUp, expert.ffnDown].map(({ type }) => type.name).join()
      const pieces = known.get(types) ?? new ExpertPieces(expert, roomBytes)
      known.set(types, pieces)
      return pieces
    }),
  )
}
