// Brings row ranges of experts from the file to their slots, in two moves: a reader thread reads a range into a staging
// buffer, and a thread that needs its rows or is idle repacks it from there. Owns no state: the residency table says
// what is read next, the staging buffers what is to be repacked. Does not know why an expert is needed.

import type { Bank } from '../weights/bank.js'
import { expertLoad, type Load } from '../weights/bankLayout.js'
import type { FileReader } from '../weights/fileReader.js'
import { packRows, readRows } from '../weights/loadBanks.js'
import type { Plan } from '../weights/plan.js'
import { rowAt } from '../weights/scratch.js'
import type { RangeRead, ResidencyTable } from './residencyTable.js'
import type { ExpertRanges, RowRange } from './rowRanges.js'
import type { StagedRange, StagingBuffers } from './stagingBuffers.js'

/**
 * Idle threads repack only while at least this many row ranges wait in buffers; a single one is left to the threads
 * that will multiply it, which repack each band just before. Not more: few prefetched ranges are read at a time, and a
 * range counts as being read until it is repacked (residencyTable.ts).
 */
export const MIN_WAITING = 2

/** How a thread wakes others: the part of Crew and BackgroundThread (team/) that is needed here. */
export interface Signals {
  /** Wakes the readers: there may be a next read. */
  wakeBackground(): void
  /** Wakes threads that wait for experts: rows have been read or repacked. */
  signalReady(): void
}

export class ExpertReader {
  readonly #plan: Plan
  readonly #banks: readonly Bank[]
  readonly #table: ResidencyTable
  readonly #buffers: StagingBuffers
  /** The row ranges of each expert, by its key: layer * experts + expert. */
  readonly ranges: readonly ExpertRanges[]

  constructor(plan: Plan, banks: readonly Bank[], ranges: readonly ExpertRanges[], table: ResidencyTable, buffers: StagingBuffers) {
    this.#plan = plan
    this.#banks = banks
    this.#table = table
    this.#buffers = buffers
    this.ranges = ranges
  }

  /** Reads the next row range, if there is one and a free buffer. Returns whether it did. Throws `IO`. */
  read(files: FileReader, signals: Signals): boolean {
    const buffer = this.#buffers.claim()
    if (buffer === undefined) return false
    const next = this.#table.nextRead()
    if (!next) {
      if (this.#buffers.release(buffer)) signals.wakeBackground()
      return false
    }
    const { load, row, rows, band } = this.#find(next)
    const bufferAt = rowAt(this.#plan.scratch.stagingBuffers, buffer)
    const source = readRows(load, row, rows, files, this.#banks[load.bank]!, bufferAt)
    this.#buffers.fill(buffer, next, source, Math.ceil(rows / band))
    signals.signalReady()
    return true
  }

  /** Repacks the row range that was read first, if at least `least` wait. Returns whether it did. Throws `MODEL`. */
  repackOldest(least: number, signals: Signals): boolean {
    const buffer = this.#buffers.oldest(least)
    if (buffer === undefined) return false
    const staged = this.#buffers.enter(buffer)
    if (!staged) return true
    this.#packBands(staged, 0, staged.bands, signals)
    this.#leave(staged, signals)
    return true
  }

  /**
   * Returns whether rows of a matrix, as far as they lie in this row range, are in the slot of their acquired expert.
   * Repacks those that have been read, unless another thread is repacking them. Throws `MODEL`.
   */
  ensureRows({ key, slot, range }: RangeRead, row: number, rows: number, signals: Signals): boolean {
    while (!this.#table.isLoaded(slot, range)) {
      const buffer = this.#buffers.holding(slot, range)
      const staged = buffer === undefined ? undefined : this.#buffers.enter(buffer)
      if (!staged) return this.#table.isLoaded(slot, range) // another thread may have emptied the buffer meanwhile
      const isOurs = staged.slot === slot && staged.range === range
      let ready = false
      if (isOurs) {
        const { row: start, band } = this.ranges[key]!.list[range]!
        const first = Math.max(0, Math.floor((row - start) / band))
        const end = Math.min(staged.bands, Math.ceil((row + rows - start) / band))
        this.#packBands(staged, first, end, signals)
        ready = this.#buffers.arePacked(staged.buffer, first, end)
      }
      this.#leave(staged, signals)
      if (isOurs) return ready
    }
    return true
  }

  /** Repacks the bands first .. end - 1 that no thread has claimed before. */
  #packBands(staged: StagedRange, first: number, end: number, signals: Signals): void {
    const { load, row, rows, band } = this.#find(staged)
    const rowBytes = load.slice.bytes / load.slice.rows
    for (let i = first; i < end; i++) {
      if (!this.#buffers.claimBand(staged.buffer, i)) continue
      const above = i * band
      packRows(load, row + above, Math.min(band, rows - above), this.#banks[load.bank]!, staged.at + above * rowBytes)
      if (this.#buffers.packed(staged.buffer, i)) signals.signalReady()
    }
  }

  #leave(staged: StagedRange, signals: Signals): void {
    if (!this.#buffers.leave(staged.buffer)) return
    const { load, rows } = this.#find(staged)
    const mayReadNext = this.#table.completeRead(staged, (load.slice.bytes / load.slice.rows) * rows)
    const wanted = this.#buffers.release(staged.buffer)
    signals.signalReady()
    if (wanted || mayReadNext) signals.wakeBackground()
  }

  #find({ key, slot, range }: RangeRead): RowRange & { load: Load } {
    const { layers, slots } = this.#plan
    const { length } = layers[0]!.experts
    const rows = this.ranges[key]!.list[range]!
    return { ...rows, load: expertLoad(layers[Math.floor(key / length)]!.experts[key % length]!, slots[slot]!, rows.matrix) }
  }
}
