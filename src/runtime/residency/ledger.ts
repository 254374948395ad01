// The books of the expert store, in memory that all threads share: which expert is in which slot, what is wanted next, how much of it has arrived. A lock guards them, held for microseconds.
// On one side of it are the compute threads, of which one at a time speaks for all (expertStore.ts): it asks for a layer's experts, and collects those that are there, or else the next that is
// being read, of which they wait for one piece after the other. On the other is who brings experts (expertFiller.ts): pieces of wanted ones are taken, and handed in when they are in their slot. What is read ahead depends on timing; which bytes an expert consists of does not.

import { blendShare, layersToNextUse } from './nextUse.js'

/** What one loaded model is about. */
export interface LedgerShape {
  /** Per slot its bytes: it takes experts of just that size. */
  readonly slots: readonly number[]
  readonly layers: number
  readonly experts: number
  readonly used: number
  /** Per expert, as layer * experts + expert: its bytes in a slot, and the pieces it is read in. */
  readonly sizes: readonly number[]
  readonly pieces: readonly number[]
}

/** A piece of an expert to read, and the slot that it goes to. */
export interface Errand {
  readonly key: number
  readonly slot: number
  readonly piece: number
}

/** Figures of the whole life of a model, which the holder of the lock writes and main reads: experts used, of them in memory already, and read ahead; experts and bytes read; waiting. */
export const figure = { uses: 0, hits: 1, ahead: 2, reads: 3, bytes: 4, waitMs: 5 } as const
export const FIGURES = 6

const NONE = -1
/** No expert that is in memory is needed later than this. */
const LATEST = Number.MAX_VALUE
/** Most pieces of guesses that are read at a time: what is computed meanwhile needs the cores, and what is asked for next the disk. */
const GUESSES = 4
/** Words at the start: the lock (0 free, 1 held, 2 held and perhaps awaited), how long the lists are, the layer whose turn it is, and whether guesses may drive out experts in it. */
const head = { lock: 0, wanted: 1, required: 2, collected: 3, layer: 4, tokens: 5, leisure: 6 } as const
const HEAD = 8

export class Ledger {
  readonly #shape: LedgerShape
  readonly #words: Int32Array
  // per slot
  readonly #owner: Int32Array
  readonly #begun: Int32Array // pieces taken by readers
  readonly #done: Int32Array // pieces handed in
  readonly #ahead: Int32Array // 1: read before it was asked for, and not used since
  readonly #arrived: Int32Array // (slots, most pieces): 1 for a piece handed in. Looked at without the lock
  // per expert
  readonly #slotOf: Int32Array
  readonly #pinned: Int32Array // 1: in use by the layer
  readonly #rank: Int32Array // place in `wanted`, or the list's length
  readonly #share: Float64Array
  // lists of experts
  readonly #wanted: Int32Array // soonest first; the first `required` of them are the layer's own, but for those that have been used
  readonly #collected: Int32Array
  readonly #figures: Float64Array

  /** Bytes of the shared memory; all zero is not a valid ledger: `clear` it once. */
  static bytes({ slots, layers, experts, pieces }: LedgerShape): number {
    return 8 * layers * experts + 4 * (HEAD + (4 + Math.max(...pieces)) * slots.length + 5 * layers * experts)
  }

  constructor(shape: LedgerShape, memory: SharedArrayBuffer, figures: Float64Array) {
    const keys = shape.layers * shape.experts
    this.#shape = shape
    this.#figures = figures
    this.#share = new Float64Array(memory, 0, keys)
    let next = 8 * keys
    const ints = (count: number) => {
      const view = new Int32Array(memory, next, count)
      next += 4 * count
      return view
    }
    this.#words = ints(HEAD)
    this.#owner = ints(shape.slots.length)
    this.#begun = ints(shape.slots.length)
    this.#done = ints(shape.slots.length)
    this.#ahead = ints(shape.slots.length)
    this.#arrived = ints(shape.slots.length * Math.max(...shape.pieces))
    this.#slotOf = ints(keys)
    this.#pinned = ints(keys)
    this.#rank = ints(keys)
    this.#wanted = ints(keys)
    this.#collected = ints(keys)
  }

  /** Empties all slots. Before any thread has the ledger. */
  clear(): void {
    this.#owner.fill(NONE)
    this.#slotOf.fill(NONE)
    this.#share.fill(this.#shape.used / this.#shape.experts)
  }

  /**
   * A layer's turn: `required` experts, then those that later layers will probably want, soonest first. shares: (experts), the layer's mean router probabilities over the `tokens`.
   */
  ask(layer: number, tokens: number, required: readonly number[], likely: readonly number[], shares: ArrayLike<number>): void {
    const { experts, used, slots } = this.#shape
    this.#locked(() => {
      const words = this.#words
      words[head.layer] = layer
      words[head.tokens] = tokens
      for (let expert = 0; expert < experts; expert++) {
        const key = layer * experts + expert
        this.#share[key] = blendShare(this.#share[key]!, Math.min(1, used * shares[expert]!), tokens)
      }
      this.#pinned.fill(0)
      this.#figures[figure.uses]! += required.length
      for (const key of required) {
        const slot = this.#slotOf[key]!
        if (slot === NONE) continue
        if (this.#ahead[slot]) this.#figures[figure.ahead]! += this.#done[slot]! / this.#shape.pieces[key]!
        else if (this.#there(key)) this.#figures[figure.hits]! += 1
        this.#ahead[slot] = 0
        if (this.#there(key)) this.#pinned[key] = 1
      }
      words[head.collected] = 0
      words[head.required] = required.length
      // where a token's experts are still to be read, too little time is left after them for a guess to be worth the expert that it drives out
      words[head.leisure] = Number(tokens > 1 || required.every((key) => this.#there(key)))
      this.#want([...required, ...likely].slice(0, Math.max(slots.length, required.length)))
    })
  }

  /**
   * Sets free what was collected before, and collects those of the required experts that are there, or else the next of them that has a slot, though not all of it is there: how many.
   * Nothing if all have been collected, or no slot is free.
   */
  collect(): number {
    return this.#locked(() => {
      const words = this.#words
      const used = this.#collected.slice(0, words[head.collected]!)
      for (const key of used) this.#pinned[key] = 0
      if (used.length) this.#want([...this.#wanted.subarray(0, words[head.wanted]!)].filter((key) => !used.includes(key)))
      words[head.required]! -= used.length
      const open = [...this.#wanted.subarray(0, words[head.required]!)]
      const there = open.filter((key) => this.#there(key))
      const next = there.length ? undefined : open.find((key, rank) => this.#slotFor(key, rank) !== NONE)
      const collected = next === undefined ? there : [next]
      this.#collected.set(collected)
      words[head.collected] = collected.length
      for (const key of collected) {
        this.#pinned[key] = 1
        this.#ahead[this.#slotOf[key]!] = 0
      }
      return collected.length
    })
  }

  /** What was collected last: expert, slot, and whether all of it is there. For all threads, after a barrier. */
  collected(): { key: number; slot: number; whole: boolean }[] {
    const keys = this.#collected.subarray(0, this.#words[head.collected]!)
    return Array.from(keys, (key) => ({ key, slot: this.#slotOf[key]!, whole: this.#there(key) }))
  }

  /** The next piece to read, or nothing for now. */
  take(): Errand | undefined {
    return this.#locked(() => {
      const wanted = this.#words[head.wanted]!
      for (let i = 0; i < wanted; i++) {
        if (i === this.#words[head.required] && this.#guessing() >= GUESSES) return undefined
        const key = this.#wanted[i]!
        const slot = this.#slotFor(key, i)
        if (slot === NONE || this.#begun[slot] === this.#shape.pieces[key]) continue
        return { key, slot, piece: this.#begun[slot]!++ }
      }
      return undefined
    })
  }

  /** A piece is in its slot: `bytes` of the file. Whether its expert is whole now, or its slot may be given to another. */
  handIn({ key, slot, piece }: Errand, bytes: number): boolean {
    return this.#locked(() => {
      this.#done[slot]!++
      Atomics.store(this.#arrived, this.#placeOf(slot, piece), 1)
      this.#figures[figure.bytes]! += bytes
      return this.#there(key) || (this.#done[slot] === this.#begun[slot] && this.#rank[key]! >= this.#words[head.wanted]!)
    })
  }

  /** Whether a piece of an expert that has been collected is there. */
  arrived(slot: number, piece: number): boolean {
    return Atomics.load(this.#arrived, this.#placeOf(slot, piece)) === 1
  }

  /** Adds to the time in which nothing could be computed. */
  waited(milliseconds: number): void {
    this.#locked(() => {
      this.#figures[figure.waitMs]! += milliseconds
    })
  }

  /** Pieces of guesses that are being read. */
  #guessing(): number {
    const { required, wanted } = head
    const guesses = this.#wanted.subarray(this.#words[required]!, this.#words[wanted]!)
    return guesses.reduce((sum, key) => {
      const slot = this.#slotOf[key]!
      return slot === NONE ? sum : sum + this.#begun[slot]! - this.#done[slot]!
    }, 0)
  }

  #placeOf(slot: number, piece: number): number {
    return (slot * this.#arrived.length) / this.#owner.length + piece
  }

  #there(key: number): boolean {
    const slot = this.#slotOf[key]!
    return slot !== NONE && this.#done[slot] === this.#shape.pieces[key]
  }

  #want(keys: readonly number[]): void {
    this.#words[head.wanted] = keys.length
    this.#wanted.set(keys)
    this.#rank.fill(keys.length)
    for (const [rank, key] of keys.entries()) this.#rank[key] = rank
  }

  /** The slot of the wanted expert of this rank, if there is one for it. */
  #slotFor(key: number, rank: number): number {
    return this.#slotOf[key] === NONE ? this.#settle(key, rank) : this.#slotOf[key]!
  }

  /** Gives the wanted expert of this rank a slot: an empty one, or that of an expert that is needed later than it. */
  #settle(key: number, rank: number): number {
    const { slots, sizes } = this.#shape
    let best = NONE
    let longest = Number.NEGATIVE_INFINITY
    for (let slot = 0; slot < slots.length; slot++) {
      if (slots[slot] !== sizes[key] || this.#begun[slot] !== this.#done[slot]) continue // too small or too large, or a reader is writing there
      const delay = this.#delay(this.#owner[slot]!, slot)
      if (delay > longest) [best, longest] = [slot, delay]
    }
    const drivesOut = rank < this.#words[head.required]! || this.#words[head.leisure]
    if (best === NONE || longest <= (drivesOut ? this.#wantedDelay(rank) : LATEST)) return NONE
    const owner = this.#owner[best]!
    if (owner !== NONE) this.#slotOf[owner] = NONE
    this.#owner[best] = key
    this.#slotOf[key] = best
    this.#begun[best] = 0
    this.#done[best] = 0
    this.#arrived.fill(0, this.#placeOf(best, 0), this.#placeOf(best + 1, 0))
    this.#ahead[best] = rank < this.#words[head.required]! ? 0 : 1
    this.#figures[figure.reads]! += 1
    return best
  }

  /** How willingly a slot's expert is given up: a wanted one only for one that is wanted sooner, and one in use never. */
  #delay(owner: number, slot: number): number {
    if (owner === NONE) return Number.POSITIVE_INFINITY
    if (this.#pinned[owner]) return Number.NEGATIVE_INFINITY
    const words = this.#words
    const rank = this.#rank[owner]!
    if (rank < words[head.wanted]!) return this.#wantedDelay(rank)
    if (this.#done[slot] !== this.#shape.pieces[owner]) return Number.POSITIVE_INFINITY // begun, and no longer wanted
    const { layers, experts } = this.#shape
    return layersToNextUse(Math.floor(owner / experts), this.#share[owner]!, words[head.layer]!, layers, words[head.tokens]!)
  }

  #wantedDelay(rank: number): number {
    return rank - 1 - this.#rank.length
  }

  #locked<T>(work: () => T): T {
    const words = this.#words
    if (Atomics.compareExchange(words, head.lock, 0, 1) !== 0) {
      while (Atomics.exchange(words, head.lock, 2) !== 0) Atomics.wait(words, head.lock, 2)
    }
    try {
      return work()
    } finally {
      if (Atomics.exchange(words, head.lock, 0) === 2) Atomics.notify(words, head.lock, 1)
    }
  }
}
