// A reader: reads pieces of wanted experts and repacks them into their slots, while the compute threads compute. It blocks in the read, which costs no core. Does not know why an expert is
// wanted; the ledger says which piece is next.

import type { Attendant } from '../team/attendant.js'
import type { Bank } from '../weights/bank.js'
import { expertLoad } from '../weights/bankFiller.js'
import { type ExpertPieces, expertPieces } from '../weights/expertPieces.js'
import type { FileReader } from '../weights/fileReader.js'
import { fillRows } from '../weights/fillBanks.js'
import type { Plan } from '../weights/plan.js'
import type { Errand, Ledger } from './ledger.js'

export class ExpertReader {
  readonly #plan: Plan
  readonly #banks: readonly Bank[]
  readonly #files: FileReader
  readonly #ledger: Ledger
  readonly #pieces: readonly ExpertPieces[]
  readonly #room: number

  /** index: which of the readers. */
  constructor(plan: Plan, banks: readonly Bank[], files: FileReader, ledger: Ledger, index: number) {
    const { at, bytes } = plan.scratch.staging
    this.#plan = plan
    this.#banks = banks
    this.#files = files
    this.#ledger = ledger
    this.#pieces = expertPieces(plan)
    this.#room = at + index * bytes
  }

  /** Reads until nothing is wanted. Throws `IO` and `MODEL`, as loading does. */
  work(attendant: Attendant): void {
    while (!attendant.dismissed) {
      const errand = this.#ledger.take()
      if (!errand) return
      const free = this.#ledger.handIn(errand, this.#read(errand))
      attendant.deliver()
      if (free) attendant.call()
    }
  }

  #read({ key, slot, piece }: Errand): number {
    const { layers, slots } = this.#plan
    const { length } = layers[0]!.experts
    const { part, row, rows } = this.#pieces[key]!.list[piece]!
    const load = expertLoad(layers[Math.floor(key / length)]!.experts[key % length]!, slots[slot]!, part)
    return fillRows(load, row, rows, this.#files, this.#banks[load.bank]!, this.#room)
  }
}
