// Which expert is in which slot, which experts are requested, and how much of each has been read: a table in memory
// that all threads share, behind a lock that is held for microseconds. Compute threads, one of them for all
// (model/expertStore.ts), request a layer's experts and acquire those that are ready. Readers (expertReader.ts) fetch
// the next read and complete it. Owns eviction and prefetching, by the rule of nextUse.ts: timing decides those, never
// an expert's bytes. Does not know files or addresses.

import { withLock } from '../team/control.js'
import { figure } from './expertFigures.js'
import { blendShare, FEW_ROWS, layersToNextUse } from './nextUse.js'

/** The constants of one loaded model. An expert's key is layer * experts + expert. */
export interface ResidencyShape {
  /** Bytes of each slot: it takes experts of just that size. */
  readonly slots: readonly number[]
  readonly layers: number
  readonly experts: number
  readonly used: number
  /** By key: an expert's bytes in a slot, and the number of row ranges that it is read in (rowRanges.ts). */
  readonly sizes: readonly number[]
  readonly ranges: readonly number[]
  /** Most row ranges of prefetched experts that are read at a time. */
  readonly prefetchReads: number
}

/** A row range of an expert to read, and the slot it goes to. */
export interface RangeRead {
  readonly key: number
  readonly slot: number
  readonly range: number
}

const NONE = -1
/** Above every expert's distance to its next use. */
const LATEST = Number.MAX_VALUE
/** Words at the start. mayEvictForPrefetch: whether a prefetch may evict an expert during the current layer. */
const head = { lock: 0, requested: 1, required: 2, acquired: 3, layer: 4, rows: 5, mayEvictForPrefetch: 6, nextRows: 7 } as const
const HEAD = 8

export class ResidencyTable {
  readonly #shape: ResidencyShape
  readonly #words: Int32Array
  // by slot
  readonly #owner: Int32Array // the expert in it, or NONE
  readonly #started: Int32Array // row ranges of it that readers have taken
  readonly #completed: Int32Array // row ranges that are in the slot
  readonly #prefetched: Int32Array // 1: taken before the expert was required, and not required since
  readonly #loaded: Int32Array // (slots, most ranges): 1 for a range in the slot. Read without the lock
  // by expert
  readonly #slotOf: Int32Array // or NONE
  readonly #pinned: Int32Array // 1: in use by the layer
  readonly #rank: Int32Array // place in `requested`, or the list's length
  readonly #share: Float64Array
  // lists of experts
  readonly #requested: Int32Array // needed soonest first; the first `required` are the layer's own that it has not used yet
  readonly #acquired: Int32Array
  readonly #figures: Float64Array

  /** Bytes of the shared memory. A new table must be cleared once. */
  static bytes({ slots, layers, experts, ranges }: ResidencyShape): number {
    return 8 * layers * experts + 4 * (HEAD + (4 + mostOf(ranges)) * slots.length + 5 * layers * experts)
  }

  /** figures: the counters of expertFigures.ts. */
  constructor(shape: ResidencyShape, memory: SharedArrayBuffer, figures: Float64Array) {
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
    this.#started = ints(shape.slots.length)
    this.#completed = ints(shape.slots.length)
    this.#prefetched = ints(shape.slots.length)
    this.#loaded = ints(shape.slots.length * mostOf(shape.ranges))
    this.#slotOf = ints(keys)
    this.#pinned = ints(keys)
    this.#rank = ints(keys)
    this.#requested = ints(keys)
    this.#acquired = ints(keys)
  }

  /** Empties all slots. Call before any thread uses the table. */
  clear(): void {
    this.#owner.fill(NONE)
    this.#slotOf.fill(NONE)
    this.#share.fill(this.#shape.used / this.#shape.experts)
  }

  /**
   * Requests the `required` experts of a layer, and after them the `predicted` ones of later layers, needed soonest
   * first.
   *
   * @param rows of the step
   * @param shares (experts) the layer's router probabilities, their mean over the rows
   * @param nextRows rows that later steps will have, as far as is known
   */
  request(
    layer: number,
    rows: number,
    required: readonly number[],
    predicted: readonly number[],
    shares: ArrayLike<number>,
    nextRows = 1,
  ): void {
    const { experts, used, slots } = this.#shape
    this.#locked(() => {
      const words = this.#words
      words[head.layer] = layer
      words[head.rows] = rows
      words[head.nextRows] = nextRows
      for (let expert = 0; expert < experts; expert++) {
        const key = layer * experts + expert
        this.#share[key] = blendShare(this.#share[key]!, Math.min(1, used * shares[expert]!), rows)
      }
      this.#pinned.fill(0)
      this.#figures[figure.uses]! += required.length
      for (const key of required) {
        const slot = this.#slotOf[key]!
        if (slot === NONE) continue
        if (this.#prefetched[slot]) this.#figures[figure.ahead]! += this.#completed[slot]! / this.#shape.ranges[key]!
        else if (this.#isResident(key)) this.#figures[figure.hits]! += 1
        this.#prefetched[slot] = 0
        if (this.#isResident(key)) this.#pinned[key] = 1
      }
      words[head.acquired] = 0
      words[head.required] = required.length
      // while the experts of few rows are being read, a prefetch rarely ends in time to pay for the expert it evicts
      words[head.mayEvictForPrefetch] = Number(rows > FEW_ROWS || required.every((key) => this.#isResident(key)))
      const hasSlot = (key: number) => this.#slotOf[key] !== NONE
      const own = [...required.filter(hasSlot), ...required.filter((key) => !hasSlot(key))] // none evicts another of them
      this.#setRequested([...own, ...predicted].slice(0, Math.max(slots.length, required.length)))
    })
  }

  /**
   * Releases the last round. Acquires all required experts that are resident, else the first that has a slot, though it
   * is still being read. Returns how many: 0 if the layer has had all its experts, or no slot is free.
   */
  acquireReady(): number {
    return this.#locked(() => {
      const words = this.#words
      const used = this.#acquired.slice(0, words[head.acquired]!)
      for (const key of used) this.#pinned[key] = 0
      if (used.length) this.#setRequested([...this.#requested.subarray(0, words[head.requested]!)].filter((key) => !used.includes(key)))
      words[head.required]! -= used.length
      const open = [...this.#requested.subarray(0, words[head.required]!)]
      const resident = open.filter((key) => this.#isResident(key))
      const next = resident.length ? undefined : open.find((key, rank) => this.#slotFor(key, rank) !== NONE)
      const acquired = next === undefined ? resident : [next]
      this.#acquired.set(acquired)
      words[head.acquired] = acquired.length
      for (const key of acquired) {
        this.#pinned[key] = 1
        this.#prefetched[this.#slotOf[key]!] = 0
      }
      return acquired.length
    })
  }

  /**
   * The current round: each expert, its slot, and whether it is resident as a whole. All threads may call it after a
   * barrier.
   */
  acquired(): { key: number; slot: number; whole: boolean }[] {
    const keys = this.#acquired.subarray(0, this.#words[head.acquired]!)
    return Array.from(keys, (key) => ({ key, slot: this.#slotOf[key]!, whole: this.#isResident(key) }))
  }

  /** Takes the next row range to read; undefined if there is none at present. */
  nextRead(): RangeRead | undefined {
    return this.#locked(() => {
      const requested = this.#words[head.requested]!
      for (let i = 0; i < requested; i++) {
        if (i === this.#words[head.required] && this.#openPrefetchReads() >= this.#shape.prefetchReads) return undefined
        const key = this.#requested[i]!
        const slot = this.#slotFor(key, i)
        if (slot === NONE || this.#started[slot] === this.#shape.ranges[key]) continue
        return { key, slot, range: this.#started[slot]!++ }
      }
      return undefined
    })
  }

  /**
   * Notes that a row range, `bytes` of the file, is in its slot. Returns whether that makes its expert resident, or
   * frees its slot for another: then readers may find a next read.
   */
  completeRead({ key, slot, range }: RangeRead, bytes: number): boolean {
    return this.#locked(() => {
      this.#completed[slot]!++
      Atomics.store(this.#loaded, this.#loadedAt(slot, range), 1)
      this.#figures[figure.bytes]! += bytes
      const unwanted = this.#rank[key]! >= this.#words[head.requested]!
      return this.#isResident(key) || (this.#completed[slot] === this.#started[slot] && unwanted)
    })
  }

  /** Whether a row range of an acquired expert is in its slot. */
  isLoaded(slot: number, range: number): boolean {
    return Atomics.load(this.#loaded, this.#loadedAt(slot, range)) === 1
  }

  /** Adds to the counted time in which all threads waited. */
  addWait(milliseconds: number): void {
    this.#locked(() => {
      this.#figures[figure.waitMs]! += milliseconds
    })
  }

  /** Row ranges of predicted experts that are being read. */
  #openPrefetchReads(): number {
    const { required, requested } = head
    const predicted = this.#requested.subarray(this.#words[required]!, this.#words[requested]!)
    return predicted.reduce((sum, key) => {
      const slot = this.#slotOf[key]!
      return slot === NONE ? sum : sum + this.#started[slot]! - this.#completed[slot]!
    }, 0)
  }

  #loadedAt(slot: number, range: number): number {
    return (slot * this.#loaded.length) / this.#owner.length + range
  }

  #isResident(key: number): boolean {
    const slot = this.#slotOf[key]!
    return slot !== NONE && this.#completed[slot] === this.#shape.ranges[key]
  }

  #setRequested(keys: readonly number[]): void {
    this.#words[head.requested] = keys.length
    this.#requested.set(keys)
    this.#rank.fill(keys.length)
    for (const [rank, key] of keys.entries()) this.#rank[key] = rank
  }

  /** The slot of the requested expert of this rank, if it has one or one can be assigned. */
  #slotFor(key: number, rank: number): number {
    return this.#slotOf[key] === NONE ? this.#assignSlot(key, rank) : this.#slotOf[key]!
  }

  /** Gives the requested expert of this rank an empty slot, or evicts an expert that is needed later. */
  #assignSlot(key: number, rank: number): number {
    const { slots, sizes } = this.#shape
    let best = NONE
    let highest = Number.NEGATIVE_INFINITY
    for (let slot = 0; slot < slots.length; slot++) {
      if (slots[slot] !== sizes[key] || this.#started[slot] !== this.#completed[slot]) continue // another size, or a reader writes there
      const score = this.#evictionScore(this.#owner[slot]!, slot)
      if (score > highest) [best, highest] = [slot, score]
    }
    const mayEvict = rank < this.#words[head.required]! || this.#words[head.mayEvictForPrefetch]
    if (best === NONE || highest <= (mayEvict ? this.#requestedScore(rank) : LATEST)) return NONE
    const owner = this.#owner[best]!
    if (owner !== NONE) this.#slotOf[owner] = NONE
    this.#owner[best] = key
    this.#slotOf[key] = best
    this.#started[best] = 0
    this.#completed[best] = 0
    this.#loaded.fill(0, this.#loadedAt(best, 0), this.#loadedAt(best + 1, 0))
    this.#prefetched[best] = rank < this.#words[head.required]! ? 0 : 1
    return best
  }

  /** Eviction score, the highest goes first. In use: never. Requested: only for an expert that is needed sooner. */
  #evictionScore(owner: number, slot: number): number {
    if (owner === NONE) return Number.POSITIVE_INFINITY
    if (this.#pinned[owner]) return Number.NEGATIVE_INFINITY
    const words = this.#words
    const rank = this.#rank[owner]!
    if (rank < words[head.requested]!) return this.#requestedScore(rank)
    if (this.#completed[slot] !== this.#shape.ranges[owner]) return Number.POSITIVE_INFINITY // read in part, and no longer requested
    const { layers, experts } = this.#shape
    return layersToNextUse(
      Math.floor(owner / experts),
      this.#share[owner]!,
      words[head.layer]!,
      layers,
      words[head.rows]!,
      words[head.nextRows]!,
    )
  }

  /** Below 0, and so below every expert that is not requested. */
  #requestedScore(rank: number): number {
    return rank - 1 - this.#rank.length
  }

  #locked<T>(work: () => T): T {
    return withLock(this.#words, head.lock, work)
  }
}

const mostOf = (counts: readonly number[]) => counts.reduce((most, count) => Math.max(most, count), 0)
