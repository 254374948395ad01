// Loading, as each thread runs it: pieces of the file are claimed, read into the thread's room of the bank they belong to, and packed from there into their place.
// No second copy of the model exists. Owns the cutting into pieces; knows nothing of a model's structure.

import { MixtralError } from '../errors.js'
import { packings, ROWS_TOGETHER } from '../kernels/packing.js'
import type { Bank } from './bank.js'
import type { Load } from './bankFiller.js'
import type { FileReader } from './fileReader.js'
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
    const rows = rowsPerPiece(load, rooms.bytes)
    crew.progress(fillPiece(load, (piece - first) * rows, rows, files, banks[load.bank]!, room))
  }
}

/** In how many pieces `loads` are read through rooms of so many bytes. */
export function pieceCount(loads: readonly Load[], roomBytes: number): number {
  return loads.reduce((sum, load) => sum + pieces(load, roomBytes), 0)
}

/** Reads one of the pieces into its place, through `room`, and returns its bytes in the file. Throws as `fillBanks`. */
export function fillOne(loads: readonly Load[], piece: number, room: Rows, files: FileReader, banks: readonly Bank[]): number {
  let index = 0
  let within = piece
  for (let count = pieces(loads[0]!, room.bytes); within >= count; count = pieces(loads[index]!, room.bytes)) {
    within -= count
    index++
  }
  const load = loads[index]!
  const rows = rowsPerPiece(load, room.bytes)
  return fillPiece(load, within * rows, rows, files, banks[load.bank]!, room.at)
}

/** Whole pairs of groups of four rows that fit a room. */
function rowsPerPiece({ slice, packed }: Load, roomBytes: number): number {
  if (!packed) return Math.max(1, Math.floor((roomBytes * slice.rows) / slice.bytes))
  return Math.floor((roomBytes * slice.rows) / slice.bytes / ROWS_TOGETHER) * ROWS_TOGETHER
}

function pieces(load: Load, roomBytes: number): number {
  return Math.ceil(load.slice.rows / rowsPerPiece(load, roomBytes))
}

function fillPiece({ slice, at, packed }: Load, row: number, most: number, files: FileReader, bank: Bank, room: number): number {
  const rowBytes = slice.bytes / slice.rows
  const rows = Math.min(most, slice.rows - row)
  const bytes = rows * rowBytes
  const offset = slice.offset + row * rowBytes
  if (!packed) {
    files.read(slice.file, bank.bytes, at + row * rowBytes, bytes, offset)
    return bytes
  }
  const packing = packings[slice.type.name]!
  const blocks = slice.columns / packing.blockWeights
  const source = files.stage(slice.file, bank.bytes, room, bytes, offset)
  const bad = packing.repack(bank.kernels)(source, rows, blocks, at + (row / 4) * packing.groupBytes(blocks))
  if (bad)
    throw new MixtralError(
      'MODEL',
      `tensor ${slice.name}, rows ${row} to ${row + rows - 1}: ${bad} scales are not finite, expected none: the file is damaged`,
    )
  return bytes
}
