// Loading, as each thread runs it: pieces of the file are claimed, read into the thread's room of the bank they belong to, and packed from there into their place.
// No second copy of the model exists. Owns the cutting into pieces; knows nothing of a model's structure.

import { MixtralError } from '../../base/errors.js'
import { packings, ROWS_TOGETHER } from '../kernels/packing.js'
import type { Bank } from './bank.js'
import type { Load } from './bankFiller.js'
import type { FileReader } from './fileReader.js'
import type { TensorSlice } from './mixtralTensors.js'
import type { Rows } from './scratch.js'

/** What claims pieces: the team's crew. */
interface Claims {
  readonly seat: number
  readonly cancelRequested: boolean
  claim(): number
  progress(bytes: number): void
}

/** Reads this thread's share of `loads`. Throws `IO` for a file that fails or shrinks and `MODEL` for scales that are not finite. */
export function fillBanks(loads: readonly Load[], rooms: Rows, files: FileReader, banks: readonly Bank[], crew: Claims): void {
  const room = rooms.at + crew.seat * rooms.bytes
  let first = 0 // number of the current load's first piece
  let index = 0
  for (let piece = crew.claim(); !crew.cancelRequested; piece = crew.claim()) {
    let load = loads[index]
    while (load && piece >= first + pieces(load, rooms.bytes)) {
      first += pieces(load, rooms.bytes)
      load = loads[++index]
    }
    if (!load) return
    const most = rowsPerPiece(load.slice, load.packed, rooms.bytes)
    const row = (piece - first) * most
    crew.progress(fillRows(load, row, Math.min(most, load.slice.rows - row), files, banks[load.bank]!, room))
  }
}

/** Rows of a matrix that fit a room: whole pairs of groups of four, if they are packed. */
export function rowsPerPiece(slice: TensorSlice, packed: boolean, roomBytes: number): number {
  const rows = Math.floor((roomBytes * slice.rows) / slice.bytes)
  return packed ? Math.floor(rows / ROWS_TOGETHER) * ROWS_TOGETHER : Math.max(1, rows)
}

function pieces({ slice, packed }: Load, roomBytes: number): number {
  return Math.ceil(slice.rows / rowsPerPiece(slice, packed, roomBytes))
}

/** Reads rows into their place, through `room` where they are packed, and returns their bytes in the file. */
function fillRows(load: Load, row: number, rows: number, files: FileReader, bank: Bank, room: number): number {
  const { slice, at, packed } = load
  const rowBytes = slice.bytes / slice.rows
  if (packed) packRows(load, row, rows, bank, stageRows(load, row, rows, files, bank, room))
  else files.read(slice.file, bank.bytes, at + row * rowBytes, rows * rowBytes, slice.offset + row * rowBytes)
  return rows * rowBytes
}

/** Reads rows of a load that is packed into `room` of its bank, and returns where they begin. Throws `IO`. */
export function stageRows({ slice }: Load, row: number, rows: number, files: FileReader, bank: Bank, room: number): number {
  const rowBytes = slice.bytes / slice.rows
  return files.stage(slice.file, bank.bytes, room, rows * rowBytes, slice.offset + row * rowBytes)
}

/** Packs such rows from `source` into their place. Throws `MODEL` for scales that are not finite. */
export function packRows({ slice, at }: Load, row: number, rows: number, bank: Bank, source: number): void {
  const packing = packings[slice.type.name]!
  const blocks = slice.columns / packing.blockWeights
  const bad = packing.repack(bank.kernels)(source, rows, blocks, at + (row / 4) * packing.groupBytes(blocks))
  if (bad)
    throw new MixtralError(
      'MODEL',
      `tensor ${slice.name}, rows ${row} to ${row + rows - 1}: ${bad} scales are not finite, expected none: the file is damaged`,
    )
}
