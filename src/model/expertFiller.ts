// What it takes to bring a piece of an expert to its slot: read it into a room, and repack it from there. Readers do the one, and whoever has time does the other. Does not know why an
// expert is wanted; the ledger says which piece is next.

import type { Bank } from '../weights/bank.js'
import { expertLoad, type Load } from '../weights/bankFiller.js'
import type { ExpertPieces, Piece } from '../weights/expertPieces.js'
import type { FileReader } from '../weights/fileReader.js'
import { packRows, stageRows } from '../weights/fillBanks.js'
import type { Plan } from '../weights/plan.js'
import type { Errand, Ledger } from './ledger.js'
import type { Rooms } from './rooms.js'

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
    const { load, row, rows } = this.#find(errand)
    const { at, bytes } = this.#plan.scratch.staging
    const source = stageRows(load, row, rows, files, this.#banks[load.bank]!, at + room * bytes)
    this.#rooms.fill(room, errand, source)
    signals.deliver()
    return true
  }

  /** Repacks a piece that has been read, if there is one: whether it did. Throws `MODEL`. */
  pack(signals: Signals): boolean {
    const piece = this.#rooms.next()
    if (!piece) return false
    const { load, row, rows } = this.#find(piece)
    packRows(load, row, rows, this.#banks[load.bank]!, piece.at)
    const wanted = this.#rooms.release(piece.room)
    const free = this.#ledger.handIn(piece, (load.slice.bytes / load.slice.rows) * rows)
    signals.deliver()
    if (wanted || free) signals.call()
    return true
  }

  #find({ key, slot, piece }: Errand): Piece & { load: Load } {
    const { layers, slots } = this.#plan
    const { length } = layers[0]!.experts
    const rows = this.pieces[key]!.list[piece]!
    return { ...rows, load: expertLoad(layers[Math.floor(key / length)]!.experts[key % length]!, slots[slot]!, rows.part) }
  }
}
