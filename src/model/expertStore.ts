// Which experts are in memory, and where. With a slot for every expert nothing ever changes; with fewer, the experts a step needs are read into the slots that were used
// longest ago. Every thread keeps the same books from the same routing, so that nobody has to ask; reading is shared. Knows nothing of what experts compute.

import type { FileReader } from '../weights/fileReader.js'
import { fillBanks } from '../weights/fillBanks.js'
import { expertLoads, placeExpert } from '../weights/plan.js'
import { Linear } from './linear.js'
import type { Thread } from './thread.js'

/** An expert in memory. */
export interface ResidentExpert {
  readonly bankIndex: number
  readonly gate: Linear
  readonly up: Linear
  readonly down: Linear
}

const NONE = -1

export class ExpertStore {
  readonly #thread: Thread
  readonly #files: FileReader
  /** Per slot: the expert in it, as layer * experts + expert. */
  readonly #owners: number[]
  /** Per slot: when it was last used. */
  readonly #used: number[]
  readonly #residents = new Map<number, { readonly slot: number; readonly expert: ResidentExpert }>()
  #clock = 0

  constructor(thread: Thread, files: FileReader) {
    const { plan, config } = thread
    this.#thread = thread
    this.#files = files
    const everything = plan.slots.length === config.layers * config.experts
    this.#owners = plan.slots.map((_, slot) => (everything ? slot : NONE))
    this.#used = plan.slots.map(() => 0)
    if (everything) for (const [slot] of plan.slots.entries()) this.#settle(slot, slot)
  }

  /** How many experts can be in memory at once. */
  get capacity(): number {
    return this.#owners.length
  }

  /**
   * Has the experts of a layer in memory, at most `capacity` of them: a stage in which all threads read, if any is missing. Throws `IO`, `MODEL`, and what ends a stage; then
   * the slots that were to be filled are empty.
   */
  require(layer: number, experts: readonly number[]): ResidentExpert[] {
    const { config, plan, scratch, banks, crew } = this.#thread
    const keys = experts.map((expert) => layer * config.experts + expert)
    for (const key of keys) this.#touch(key)
    const missing = keys.filter((key) => !this.#residents.has(key)).map((key) => ({ key, slot: this.#vacate(keys) }))
    if (missing.length) {
      const loads = missing.flatMap(({ key, slot }) => expertLoads(this.#tensors(key), plan.slots[slot]!))
      fillBanks(loads, scratch.rooms, this.#files, banks, crew)
      crew.barrier()
      for (const { key, slot } of missing) {
        this.#owners[slot] = key
        this.#settle(key, slot)
        this.#touch(key)
      }
    }
    return keys.map((key) => this.#residents.get(key)!.expert)
  }

  #touch(key: number): void {
    const resident = this.#residents.get(key)
    if (resident) this.#used[resident.slot] = ++this.#clock
  }

  /** Empties the slot that was used longest ago, but none with an expert of `kept`, and marks it as just used. */
  #vacate(kept: readonly number[]): number {
    let oldest = NONE
    for (const [slot, owner] of this.#owners.entries()) {
      if (!kept.includes(owner) && (oldest === NONE || this.#used[slot]! < this.#used[oldest]!)) oldest = slot
    }
    this.#residents.delete(this.#owners[oldest]!)
    this.#owners[oldest] = NONE
    this.#used[oldest] = ++this.#clock
    return oldest
  }

  #settle(key: number, slot: number): void {
    const { banks, plan } = this.#thread
    const place = plan.slots[slot]!
    const { ffnGate, ffnUp, ffnDown } = placeExpert(this.#tensors(key), place)
    const expert = {
      bankIndex: place.bank,
      gate: new Linear(banks, ffnGate),
      up: new Linear(banks, ffnUp),
      down: new Linear(banks, ffnDown),
    }
    this.#residents.set(key, { slot, expert })
  }

  #tensors(key: number) {
    const { experts } = this.#thread.config
    return this.#thread.plan.layers[Math.floor(key / experts)]!.experts[key % experts]!
  }
}
