// What it takes to bring a piece of an expert to its slot: read it into a room, and repack it from there. Readers do the one, and who multiplies it next or has time does the other. Does not know why an
// expert is wanted; the ledger says which piece is next.

import type { Bank } from '../weights/bank.js'
import { expertLoad, type Load } from '../weights/bankFiller.js'
import type { FileReader } from '../weights/fileReader.js'
import { packRows, stageRows } from '../weights/fillBanks.js'
import type { Plan } from '../weights/plan.js'
import type { ExpertPieces, Piece } from './expertPieces.js'
import type { Errand, Ledger } from './ledger.js'
import type { ReadPiece, Rooms } from './rooms.js'

/**
 * So many pieces must wait in their rooms before whoever has time repacks one. A single one may wait for the threads that will multiply it, which repack each band of it just before. Not more: only a few
 * guesses are read at a time, and a guess counts until it is repacked (ledger.ts).
 */
export const PILE = 2

/** A thread's way to wake others: its crew, or its attendant. */
export interface Signals {
  /** For the readers: there is something to do. */
  call(): void
  /** For who waits for experts: something is there, or is to be repacked. */
  deliver(): void
}

export class ExpertFiller {
  readonly #plan: Plan
  readonly #banks: readonly Bank[]
  readonly #ledger: Ledger
  readonly #rooms: Rooms
  /** Of every expert, as layer * experts + expert. */
  readonly pieces: readonly ExpertPieces[]

  constructor(plan: Plan, banks: readonly Bank[], pieces: readonly ExpertPieces[], ledger: Ledger, rooms: Rooms) {
    this.#plan = plan
    this.#banks = banks
    this.#ledger = ledger
    this.#rooms = rooms
    this.pieces = pieces
  }

  /** Reads a piece that is wanted, if there is one and a room for it: whether it did. Throws `IO`. */
  read(files: FileReader, signals: Signals): boolean {
    const room = this.#rooms.claim()
    if (room === undefined) return false
    const errand = this.#ledger.take()
    if (!errand) {
      if (this.#rooms.release(room)) signals.call()
      return false
    }
    const { load, row, rows, band } = this.#find(errand)
    const { at, bytes } = this.#plan.scratch.staging
    const source = stageRows(load, row, rows, files, this.#banks[load.bank]!, at + room * bytes)
    this.#rooms.fill(room, errand, source, Math.ceil(rows / band))
    signals.deliver()
    return true
  }

  /** Repacks the piece that has waited for it longest, if at least `least` pieces do: whether it did. Throws `MODEL`. */
  pack(least: number, signals: Signals): boolean {
    const room = this.#rooms.next(least)
    if (room === undefined) return false
    const piece = this.#rooms.enter(room)
    if (!piece) return true
    this.#packBands(piece, 0, piece.bands, signals)
    this.#leave(piece, signals)
    return true
  }

  /**
   * Whether the part of a piece with these rows of its matrix is in the slot of its expert, which has been collected. What of it has been read, and is not being repacked by another thread, the caller
   * repacks. Throws `MODEL`.
   */
  bring({ key, slot, piece }: Errand, row: number, rows: number, signals: Signals): boolean {
    while (!this.#ledger.arrived(slot, piece)) {
      const room = this.#rooms.holding(slot, piece)
      const found = room === undefined ? undefined : this.#rooms.enter(room)
      if (!found) return this.#ledger.arrived(slot, piece) // it may have been set free meanwhile
      const own = found.slot === slot && found.piece === piece
      let there = false
      if (own) {
        const { row: start, band } = this.pieces[key]!.list[piece]!
        const first = Math.max(0, Math.floor((row - start) / band))
        const end = Math.min(found.bands, Math.ceil((row + rows - start) / band))
        this.#packBands(found, first, end, signals)
        there = this.#rooms.arePacked(found.room, first, end)
      }
      this.#leave(found, signals)
      if (own) return there
    }
    return true
  }

  /** Those that nobody has claimed before. */
  #packBands(piece: ReadPiece, first: number, end: number, signals: Signals): void {
    const { load, row, rows, band } = this.#find(piece)
    const rowBytes = load.slice.bytes / load.slice.rows
    for (let i = first; i < end; i++) {
      if (!this.#rooms.claimBand(piece.room, i)) continue
      const above = i * band
      packRows(load, row + above, Math.min(band, rows - above), this.#banks[load.bank]!, piece.at + above * rowBytes)
      if (this.#rooms.packed(piece.room, i)) signals.deliver()
    }
  }

  #leave(piece: ReadPiece, signals: Signals): void {
    if (!this.#rooms.leave(piece.room)) return
    const { load, rows } = this.#find(piece)
    const free = this.#ledger.handIn(piece, (load.slice.bytes / load.slice.rows) * rows)
    const wanted = this.#rooms.release(piece.room)
    signals.deliver()
    if (wanted || free) signals.call()
  }

  #find({ key, slot, piece }: Errand): Piece & { load: Load } {
    const { layers, slots } = this.#plan
    const { length } = layers[0]!.experts
    const rows = this.pieces[key]!.list[piece]!
    return { ...rows, load: expertLoad(layers[Math.floor(key / length)]!.experts[key % length]!, slots[slot]!, rows.part) }
  }
}
