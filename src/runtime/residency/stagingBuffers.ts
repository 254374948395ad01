// The buffers that row ranges of experts are read into, before they are repacked into their slots: a table in memory
// that all threads share. There are more buffers than readers, so that a reader goes on reading while what it has read
// waits. Threads repack a range band by band, one of them or several, and the last to leave it frees the buffer. Owns
// what each buffer holds and which bands are repacked. Does not know addresses of buffers or why a range is needed.

import type { RangeRead } from './residencyTable.js'

/** A row range in a buffer. */
export interface StagedRange extends RangeRead {
  readonly buffer: number
  /** Address of its first row, in the bank of its slot. */
  readonly at: number
  readonly bands: number
}

/** The states of a buffer in their order. From `full` on, the word also counts the threads that are in the buffer. */
const state = { free: 0, reading: 1, emptied: 2, full: 3 } as const
/** The bits of the state; those above count the threads that have ever entered. */
const STATE = 0xfff
/** Words of a buffer. order: when it became full; claimed, packed: a bit for each band. */
const word = { state: 0, order: 1, key: 2, slot: 3, range: 4, at: 5, bands: 6, claimed: 7, packed: 8 } as const
const WORDS = 9
/** A bit beside those of repacked bands: a thread waits for one. */
const AWAITED = 1 << 30
/** Words before the buffers. filled: how many have become full; wanted: whether a reader has found none free. */
const head = { filled: 0, wanted: 1 } as const
const HEAD = 2

export class StagingBuffers {
  readonly #words: Int32Array
  readonly #count: number

  static bytes(count: number): number {
    return 4 * (HEAD + WORDS * count)
  }

  constructor(memory: SharedArrayBuffer) {
    this.#words = new Int32Array(memory)
    this.#count = (this.#words.length - HEAD) / WORDS
  }

  /** Takes a free buffer. If there is none, the thread that frees the next is told so by `release`. */
  claim(): number | undefined {
    const buffer = this.#claimFree()
    if (buffer !== undefined) return buffer
    Atomics.store(this.#words, head.wanted, 1)
    return this.#claimFree() // one may have been freed before `wanted` was set
  }

  /** Notes what a claimed buffer holds now: a range of at most 30 bands. */
  fill(buffer: number, { key, slot, range }: RangeRead, at: number, bands: number): void {
    const words = this.#words
    const start = this.#at(buffer)
    words.set([key, slot, range, at, bands, 0, 0], start + word.key)
    words[start + word.order] = Atomics.add(words, head.filled, 1)
    Atomics.store(words, start + word.state, state.full)
  }

  /**
   * The buffer that became full first, of those with bands to claim, if there are at least `least` of them. It may hold
   * another range by the time it is entered.
   */
  oldest(least: number): number | undefined {
    const words = this.#words
    let first: number | undefined
    let open = 0
    for (let buffer = 0; buffer < this.#count; buffer++) {
      if (!this.#hasOpenBands(buffer)) continue
      open++
      // the count may wrap around
      if (first === undefined || ((words[this.#at(buffer) + word.order]! - words[this.#at(first) + word.order]!) | 0) < 0) first = buffer
    }
    return open < least ? undefined : first
  }

  /** The buffer that holds a range, if one does. It may hold another by the time it is entered. */
  holding(slot: number, range: number): number | undefined {
    for (let buffer = 0; buffer < this.#count; buffer++) {
      const start = this.#at(buffer)
      if ((Atomics.load(this.#words, start + word.state) & STATE) < state.full) continue
      if (this.#words[start + word.slot] === slot && this.#words[start + word.range] === range) return buffer
    }
    return undefined
  }

  /**
   * Enters a full buffer and returns its range, which stays until the caller leaves; undefined if the buffer is not
   * full.
   */
  enter(buffer: number): StagedRange | undefined {
    const words = this.#words
    const start = this.#at(buffer)
    for (;;) {
      const found = Atomics.load(words, start + word.state)
      if ((found & STATE) < state.full) return undefined
      if (Atomics.compareExchange(words, start + word.state, found, (found + 1 + STATE + 1) | 0) === found) break
    }
    const value = (name: keyof typeof word) => words[start + word[name]]!
    return { buffer, key: value('key'), slot: value('slot'), range: value('range'), at: value('at') >>> 0, bands: value('bands') }
  }

  /** Claims a band of the buffer that the caller is in. Returns whether the caller has to repack it. */
  claimBand(buffer: number, band: number): boolean {
    const bit = 1 << band
    return (Atomics.or(this.#words, this.#at(buffer) + word.claimed, bit) & bit) === 0
  }

  /** Notes that the caller has repacked a band. Returns whether a thread waits for one. */
  packed(buffer: number, band: number): boolean {
    return (Atomics.or(this.#words, this.#at(buffer) + word.packed, 1 << band) & AWAITED) !== 0
  }

  /**
   * Whether the bands are repacked. If not, marks the buffer, so that `packed` returns true to the thread that repacks
   * them.
   */
  arePacked(buffer: number, first: number, end: number): boolean {
    const bits = (1 << end) - (1 << first)
    const at = this.#at(buffer) + word.packed
    if ((Atomics.load(this.#words, at) & bits) === bits) return true
    return (Atomics.or(this.#words, at, AWAITED) & bits) === bits
  }

  /**
   * Leaves the buffer. Returns whether it is empty now: then the caller has to complete the read and release the
   * buffer.
   */
  leave(buffer: number): boolean {
    const words = this.#words
    const start = this.#at(buffer)
    const all = 2 ** words[start + word.bands]! - 1
    for (;;) {
      const found = Atomics.load(words, start + word.state)
      const packed = (Atomics.load(words, start + word.packed) & all) === all
      const next = packed && (found & STATE) === state.full + 1 ? state.emptied : found - 1
      // a thread that has entered and left meanwhile has changed the upper bits
      if (Atomics.compareExchange(words, start + word.state, found, next) === found) return next === state.emptied
    }
  }

  /** Frees a buffer. Returns whether a reader has found none since the last was freed. */
  release(buffer: number): boolean {
    Atomics.store(this.#words, this.#at(buffer) + word.state, state.free)
    return Atomics.exchange(this.#words, head.wanted, 0) === 1
  }

  #claimFree(): number | undefined {
    for (let buffer = 0; buffer < this.#count; buffer++) {
      if (Atomics.compareExchange(this.#words, this.#at(buffer) + word.state, state.free, state.reading) === state.free) return buffer
    }
    return undefined
  }

  /** Whether the buffer is full, and some of its bands are unclaimed. */
  #hasOpenBands(buffer: number): boolean {
    const start = this.#at(buffer)
    return (
      (Atomics.load(this.#words, start + word.state) & STATE) >= state.full &&
      Atomics.load(this.#words, start + word.claimed) !== 2 ** this.#words[start + word.bands]! - 1
    )
  }

  #at(buffer: number): number {
    return HEAD + buffer * WORDS
  }
}
