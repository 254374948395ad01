// A reader: reads pieces of wanted experts and repacks them into their slots, while the compute threads compute. It blocks in the read, which costs no core. Does not know why an expert is
// wanted; the ledger says which piece is next.

import type { Attendant } from '../team/attendant.js'
import type { Bank } from '../weights/bank.js'
import { expertLoads } from '../weights/bankFiller.js'
import type { FileReader } from '../weights/fileReader.js'
import { fillOne } from '../weights/fillBanks.js'
import type { Plan } from '../weights/plan.js'
import { type Rows, STAGING_SPARE } from '../weights/scratch.js'
import type { Ledger } from './ledger.js'

export class ExpertReader {
  readonly #plan: Plan
  readonly #banks: readonly Bank[]
  readonly #files: FileReader
  readonly #ledger: Ledger
  readonly #room: Rows

  /** index: which of the readers. */
  constructor(plan: Plan, banks: readonly Bank[], files: FileReader, ledger: Ledger, index: number) {
    const { at, bytes } = plan.scratch.staging
    this.#plan = plan
    this.#banks = banks
    this.#files = files
    this.#ledger = ledger
    this.#room = { at: at + index * bytes, bytes: bytes - STAGING_SPARE }
  }

  /** Reads until nothing is wanted. Throws `IO` and `MODEL`, as loading does. */
  work(attendant: Attendant): void {
    while (!attendant.dismissed) {
      const errand = this.#ledger.take()
      if (!errand) return
      const { key, slot, piece } = errand
      const loads = expertLoads(expertOf(this.#plan, key), this.#plan.slots[slot]!)
      const bytes = fillOne(loads, piece, this.#room, this.#files, this.#banks)
      if (!this.#ledger.handIn(errand, bytes)) continue
      attendant.deliver()
      attendant.call()
    }
  }
}

function expertOf({ layers }: Plan, key: number) {
  const { length } = layers[0]!.experts
  return layers[Math.floor(key / length)]!.experts[key % length]!
}
