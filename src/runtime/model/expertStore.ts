// Which experts are in memory, as a compute thread sees it: asks for those of a layer and gets them in rounds, those that are there before those that are on their way, of which it waits
// for the rows that it is about to use. With a slot for every expert there is one round and nothing to wait for. The books are the ledger's; bringing experts is expertFiller.ts's business.
// Knows nothing of what experts compute.

import { exp } from '../../base/elementary.js'
import { type ExpertFiller, PILE } from '../residency/expertFiller.js'
import type { ExpertPart } from '../residency/expertPieces.js'
import type { Ledger } from '../residency/ledger.js'
import { placeExpert } from '../weights/bankFiller.js'
import { Linear } from './linear.js'
import type { Lookahead } from './lookahead.js'
import type { Thread } from './thread.js'

/** An expert that has a place in memory. */
export interface ResidentExpert {
  /** Of its layer. */
  readonly index: number
  readonly slot: number
  readonly bankIndex: number
  readonly gate: Linear
  readonly up: Linear
  readonly down: Linear
  /** Whether all its rows are there: then there is no need to await them, nor to use each band as it comes. */
  readonly whole: boolean
}

/** What experts that come and go are kept with; without it, the slots are the experts in their order. */
export interface Streaming {
  readonly ledger: Ledger
  readonly lookahead: Lookahead
  readonly filler: ExpertFiller
}

export class ExpertStore {
  readonly #thread: Thread
  readonly #streaming: Streaming | undefined
  /** Per slot: the expert that this thread saw in it last, as layer * experts + expert. */
  readonly #residents: ({ readonly key: number; readonly expert: Omit<ResidentExpert, 'whole'> } | undefined)[]

  constructor(thread: Thread, streaming?: Streaming) {
    this.#thread = thread
    this.#streaming = streaming
    this.#residents = thread.plan.slots.map(() => undefined)
  }

  /** Looks for one token at what later layers will want, where experts come and go. The token's residual is in the layer's bank. */
  look(layer: number, token: number, tokens: number): void {
    this.#streaming?.lookahead.look(layer, token, tokens)
  }

  /**
   * A layer's experts, each in one of the rounds; they may be used until the next is asked for, which all threads must do after the same barrier. Their rows must be awaited. Throws what
   * ends a stage.
   */
  *rounds(layer: number, tokens: number, experts: readonly number[]): Generator<ResidentExpert[]> {
    const first = layer * this.#thread.config.experts
    const keys = experts.map((expert) => first + expert)
    if (!this.#streaming) {
      yield keys.map((key) => ({ ...this.#resident(key, key), whole: true }))
      return
    }
    const { ledger, lookahead } = this.#streaming
    for (let rest = keys.length; rest > 0; ) {
      this.#thread.each('route', 1, () => {
        if (rest === keys.length) ledger.ask(layer, tokens, keys, lookahead.likely(layer, tokens), this.#shares(layer, tokens))
        this.#collect(ledger)
      })
      const round = ledger.collected()
      rest -= round.length
      yield round.map(({ key, slot, whole }) => ({ ...this.#resident(key, slot), whole }))
    }
  }

  /** Returns when these rows of an expert of this round are in memory, or main has asked for an early end. Throws `Stopped`. */
  await(expert: ResidentExpert, layer: number, part: ExpertPart, row: number, rows: number): void {
    if (expert.whole) return
    const { filler } = this.#streaming!
    const { crew, config } = this.#thread
    const key = layer * config.experts + expert.index
    for (const piece of filler.pieces[key]!.with(part, row, rows)) {
      for (;;) {
        const known = crew.deliveries
        if (filler.bring({ key, slot: expert.slot, piece }, row, rows, crew) || crew.cancelRequested) break
        this.#rest(known, crew.seats, PILE)
      }
    }
  }

  /** Repacks what has been read, if at least `least` pieces wait for it, or waits. threads: how many are held up together. */
  #rest(known: number, threads: number, least: number): void {
    const { ledger, filler } = this.#streaming!
    const { crew } = this.#thread
    crew.checkStopped()
    if (filler.pack(least, crew)) return
    const start = performance.now()
    crew.awaitDelivery(known)
    ledger.waited((performance.now() - start) / threads)
  }

  /** One thread waits for all, until there is something to do. */
  #collect(ledger: Ledger): void {
    const { crew } = this.#thread
    for (;;) {
      const known = crew.deliveries
      const count = ledger.collect()
      crew.call() // for what is wanted, or for slots that are free now
      if (count || crew.cancelRequested) return
      this.#rest(known, 1, 1)
    }
  }

  /** (experts): the layer's mean router probabilities. */
  #shares(layer: number, tokens: number): Float64Array {
    const { plan, banks, config, scratch } = this.#thread
    const { floats } = banks[plan.layers[layer]!.bank]!
    const shares = new Float64Array(config.experts)
    for (let t = 0; t < tokens; t++) {
      const at = (scratch.routerLogits.at + t * scratch.routerLogits.bytes) / 4
      const logits = floats.subarray(at, at + config.experts)
      const largest = logits.reduce((a, b) => Math.max(a, b))
      const odds = Float64Array.from(logits, (logit) => exp(logit - largest))
      const sum = odds.reduce((a, b) => a + b)
      for (const [expert, value] of odds.entries()) {
        const share = value / sum
        shares[expert]! += (share >= 0 ? share : 1 / config.experts) / tokens // not a number, of a damaged file: the policy must not remember that
      }
    }
    return shares
  }

  #resident(key: number, slot: number): Omit<ResidentExpert, 'whole'> {
    const known = this.#residents[slot]
    if (known?.key === key) return known.expert
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
    this.#residents[slot] = { key, expert }
    return expert
  }
}
