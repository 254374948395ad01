// Loading weights, as each thread runs it: claims units of rows, reads each from the file into the thread's scratch of
// the right bank, and repacks it from there to its address. The model exists in memory once. Owns the cutting into
// units; does not know a model's structure.

import { MixtralError } from '../../base/errors.js'
import { formats } from '../../format/quants/formats.js'
import { packings, ROWS_TOGETHER } from '../kernels/packing.js'
import { unitFinder } from '../team/crew.js'
import type { Bank } from './bank.js'
import type { Load } from './bankLayout.js'
import type { FileReader } from './fileReader.js'
import { packingOf, type TensorSlice } from './mixtralTensors.js'
import { type Rows, rowAt } from './scratch.js'

/** The part of a crew (team/crew.ts) that loading needs. */
interface Claims {
  readonly seat: number
  readonly cancelRequested: boolean
  claim(): number
  progress(bytes: number): void
}

/**
 * Loads this thread's share of `loads`. Throws `IO` for a file that fails or shrinks and `MODEL` for scales that are
 * not finite.
 */
export function loadBanks(loads: readonly Load[], threadScratch: Rows, files: FileReader, banks: readonly Bank[], crew: Claims): void {
  const scratchAt = rowAt(threadScratch, crew.seat)
  const mostRows = loads.map(({ slice, packed }) => rowsPerUnit(slice, packed, threadScratch.bytes))
  const find = unitFinder(loads.map(({ slice }, i) => Math.ceil(slice.rows / mostRows[i]!)))
  for (let place = find(crew.claim()); place && !crew.cancelRequested; place = find(crew.claim())) {
    const load = loads[place.part]!
    const most = mostRows[place.part]!
    const row = place.unit * most
    crew.progress(loadRows(load, row, Math.min(most, load.slice.rows - row), files, banks[load.bank]!, scratchAt))
  }
}

/** Rows of a matrix that fit a buffer: whole pairs of groups of four if they are packed, else at least one. */
export function rowsPerUnit(slice: TensorSlice, packed: boolean, bufferBytes: number): number {
  const rows = Math.floor((bufferBytes * slice.rows) / slice.bytes)
  return packed ? Math.floor(rows / ROWS_TOGETHER) * ROWS_TOGETHER : Math.max(1, rows)
}

/** Brings rows to their address, by way of `buffer` if they are packed. Returns their bytes in the file. */
function loadRows(load: Load, row: number, rows: number, files: FileReader, bank: Bank, buffer: number): number {
  const { slice, at, packed } = load
  const rowBytes = slice.bytes / slice.rows
  if (packed) packRows(load, row, rows, bank, readRows(load, row, rows, files, bank, buffer))
  else {
    const start = at + row * rowBytes
    files.read(slice.file, bank.bytes, start, rows * rowBytes, slice.offset + row * rowBytes)
    refuseNotFinite(slice, row, rows, formats.get(slice.type.name)!.notFinite(bank.bytes.subarray(start, start + rows * rowBytes)))
  }
  return rows * rowBytes
}

/**
 * Reads rows as the file has them into `buffer`, an address in the load's bank. Returns the first row's address. Throws
 * `IO`.
 */
export function readRows({ slice }: Load, row: number, rows: number, files: FileReader, bank: Bank, buffer: number): number {
  const rowBytes = slice.bytes / slice.rows
  return files.readAligned(slice.file, bank.bytes, buffer, rows * rowBytes, slice.offset + row * rowBytes)
}

/**
 * Repacks rows that `readRows` has read to `source`, to their address. Throws `MODEL` for scales that are not finite.
 */
export function packRows({ slice, at }: Load, row: number, rows: number, bank: Bank, source: number): void {
  const packing = packings[packingOf(slice)]!
  const blocks = slice.columns / packing.blockWeights
  refuseNotFinite(slice, row, rows, packing.repack(bank.kernels)(source, rows, blocks, at + (row / 4) * packing.groupBytes(blocks)))
}

/** @param count how many scales, or weights that stand for themselves, are not finite */
function refuseNotFinite({ name }: TensorSlice, row: number, rows: number, count: number): void {
  if (count === 0) return
  throw new MixtralError(
    'MODEL',
    `tensor ${name}, rows ${row} to ${row + rows - 1}: ${count} values are not finite, expected none: the file is damaged`,
  )
}
