// A compute thread's view of a layer's experts. Requests them and gets them in rounds: resident ones first, then those
// being read, row by row as they arrive. If every expert has a slot of its own, there is one round and no waiting. Owns
// the wait for rows, in which the thread repacks what has been read. Does not know what experts compute.

import { exp } from '../../base/elementary.js'
import { type ExpertReader, MIN_WAITING } from '../residency/expertReader.js'
import type { ResidencyTable } from '../residency/residencyTable.js'
import type { ExpertMatrix } from '../residency/rowRanges.js'
import { placeExpert } from '../weights/bankLayout.js'
import { rowAt } from '../weights/scratch.js'
import { Linear } from './linear.js'
import type { Lookahead } from './lookahead.js'
import type { StepRows } from './step.js'
import type { Thread } from './thread.js'

/** An expert of the current round, which has a slot. */
export interface AcquiredExpert {
  /** Its number in its layer. */
  readonly index: number
  readonly slot: number
  readonly bankIndex: number
  readonly gate: Linear
  readonly up: Linear
  readonly down: Linear
  /** Whether all its rows are in memory: then no thread has to wait for them. */
  readonly whole: boolean
}

/** The parts that stream experts. */
export interface StreamedExperts {
  readonly table: ResidencyTable
  readonly lookahead: Lookahead
  readonly reader: ExpertReader
}

/** How many rows a step has, and how many the next ones will have, as far as is known. */
export type RowCounts = Pick<StepRows, 'count' | 'nextRows'>

export class ExpertStore {
  readonly #thread: Thread
  readonly #streamed: StreamedExperts | undefined
  /** By slot: the expert that this thread has last seen in it, and its key, layer * experts + expert. */
  readonly #seen: ({ readonly key: number; readonly expert: Omit<AcquiredExpert, 'whole'> } | undefined)[]

  /** streamed: undefined if slot n holds the expert with key n. */
  constructor(thread: Thread, streamed?: StreamedExperts) {
    this.#thread = thread
    this.#streamed = streamed
    this.#seen = thread.plan.slots.map(() => undefined)
  }

  /**
   * Predicts a token's experts in later layers, if experts are streamed. The token's residual is in the layer's bank.
   */
  predict(layer: number, row: number, rows: number): void {
    this.#streamed?.lookahead.predict(layer, row, rows)
  }

  /** An expert of a layer, if every expert has a slot of its own; else undefined: then there are rounds. */
  resident(layer: number, expert: number): AcquiredExpert | undefined {
    if (this.#streamed) return undefined
    const key = layer * this.#thread.config.experts + expert
    return { ...this.#place(key, key), whole: true }
  }

  /**
   * The experts of a layer in rounds, each in one of them. All threads must ask for the next round after the same
   * barrier; that releases the last. Rows of an expert that is not `whole` must be waited for. Throws what ends a
   * stage.
   */
  *rounds(layer: number, step: RowCounts, experts: readonly number[]): Generator<AcquiredExpert[]> {
    const { count: rows, nextRows } = step
    const first = layer * this.#thread.config.experts
    const keys = experts.map((expert) => first + expert)
    if (!this.#streamed) {
      yield keys.map((key) => ({ ...this.#place(key, key), whole: true }))
      return
    }
    const { table, lookahead } = this.#streamed
    for (let rest = keys.length; rest > 0; ) {
      this.#thread.each('route', 1, () => {
        if (rest === keys.length) table.request(layer, rows, keys, lookahead.predicted(layer, rows), this.#shares(layer, rows), nextRows)
        this.#acquire(table)
      })
      const round = table.acquired()
      rest -= round.length
      yield round.map(({ key, slot, whole }) => ({ ...this.#place(key, slot), whole }))
    }
  }

  /**
   * Returns when these rows of an expert of this round are in memory, or main has asked for an early end. Throws
   * `Stopped`.
   */
  waitForRows(expert: AcquiredExpert, layer: number, matrix: ExpertMatrix, row: number, rows: number): void {
    if (expert.whole) return
    const { reader } = this.#streamed!
    const { crew, config } = this.#thread
    const key = layer * config.experts + expert.index
    for (const range of reader.ranges[key]!.covering(matrix, row, rows)) {
      for (;;) {
        const known = crew.readyCount
        if (reader.ensureRows({ key, slot: expert.slot, range }, row, rows, crew) || crew.cancelRequested) break
        this.#repackOrWait(known, crew.seats, MIN_WAITING)
      }
    }
  }

  /**
   * Repacks a row range if at least `least` wait for it. Else sleeps until the count of results (`crew.readyCount`)
   * is no longer `known`. threads: how many wait for the same result; each adds its share of the waited time.
   */
  #repackOrWait(known: number, threads: number, least: number): void {
    const { table, reader } = this.#streamed!
    const { crew } = this.#thread
    crew.checkStopped()
    if (reader.repackOldest(least, crew)) return
    const start = performance.now()
    crew.waitReady(known)
    table.addWait((performance.now() - start) / threads)
  }

  /** Acquires the next round, for all threads. Waits until there is one. */
  #acquire(table: ResidencyTable): void {
    const { crew } = this.#thread
    for (;;) {
      const known = crew.readyCount
      const count = table.acquireReady()
      crew.wakeBackground() // there are new requests, or slots that are free now
      if (count || crew.cancelRequested) return
      this.#repackOrWait(known, 1, 1)
    }
  }

  /** (experts): the layer's router probabilities, their mean over the rows. */
  #shares(layer: number, rows: number): Float64Array {
    const { plan, banks, config, scratch } = this.#thread
    const { floats } = banks[plan.layers[layer]!.bank]!
    const shares = new Float64Array(config.experts)
    for (let t = 0; t < rows; t++) {
      const at = rowAt(scratch.routerLogits, t) / 4
      const logits = floats.subarray(at, at + config.experts)
      const largest = logits.reduce((a, b) => Math.max(a, b))
      const odds = Float64Array.from(logits, (logit) => exp(logit - largest))
      const sum = odds.reduce((a, b) => a + b)
      for (const [expert, value] of odds.entries()) {
        const share = value / sum
        shares[expert]! += (share >= 0 ? share : 1 / config.experts) / rows // a damaged file gives NaN, which the table would keep
      }
    }
    return shares
  }

  #place(key: number, slot: number): Omit<AcquiredExpert, 'whole'> {
    const seen = this.#seen[slot]
    if (seen?.key === key) return seen.expert
    const { banks, plan, config } = this.#thread
    const index = key % config.experts
    const { ffnGate, ffnUp, ffnDown } = placeExpert(plan.layers[Math.floor(key / config.experts)]!.experts[index]!, plan.slots[slot]!)
    const expert = {
      index,
      slot,
      bankIndex: ffnGate.bank,
      gate: new Linear(banks, ffnGate),
      up: new Linear(banks, ffnUp),
      down: new Linear(banks, ffnDown),
    }
    this.#seen[slot] = { key, expert }
    return expert
  }
}
