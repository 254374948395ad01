// The rooms that pieces of experts are read into, in memory that all threads share: more of them than readers, so that a reader goes on reading while what it has read waits to be repacked.
// A piece is repacked in bands, by one thread or several; the last of them sets its room free. Lists which room holds what, and which bands of it are repacked. Knows nothing of who wants it.

import type { Errand } from './ledger.js'

/** A piece that has been read. */
export interface ReadPiece extends Errand {
  readonly room: number
  /** Where its bytes begin, in the memory of its slot. */
  readonly at: number
  readonly bands: number
}

/** What becomes of a room, from the start; a full one counts up for everyone in it. */
const state = { free: 0, reading: 1, emptied: 2, full: 3 } as const
/** The bits of it; those above count who has ever entered. */
const STATE = 0xfff
/** Words of a room: its state, the order in which rooms became full, what it holds, and a bit for each band: claimed, repacked. */
const word = { state: 0, order: 1, key: 2, slot: 3, piece: 4, at: 5, bands: 6, claimed: 7, packed: 8 } as const
const WORDS = 9
/** Among the bits of repacked bands: somebody waits for one. */
const AWAITED = 1 << 30
/** Words before the rooms: how many rooms have become full, and whether a reader has found none. */
const head = { filled: 0, wanted: 1 } as const
const HEAD = 2

export class Rooms {
  readonly #words: Int32Array
  readonly #count: number

  static bytes(count: number): number {
    return 4 * (HEAD + WORDS * count)
  }

  constructor(memory: SharedArrayBuffer) {
    this.#words = new Int32Array(memory)
    this.#count = (this.#words.length - HEAD) / WORDS
  }

  /** A room for the caller, or nothing: then `release` tells the one who sets the next free. */
  claim(): number | undefined {
    const room = this.#free()
    if (room !== undefined) return room
    Atomics.store(this.#words, head.wanted, 1)
    return this.#free() // one may have been set free before anybody could know
  }

  /** What a claimed room holds now: at most 30 bands. */
  fill(room: number, { key, slot, piece }: Errand, at: number, bands: number): void {
    const words = this.#words
    const start = this.#at(room)
    words.set([key, slot, piece, at, bands, 0, 0], start + word.key)
    words[start + word.order] = Atomics.add(words, head.filled, 1)
    Atomics.store(words, start + word.state, state.full)
  }

  /** The room that has been full for longest of those with bands to claim, if there are at least so many. It may be another's by the time that it is entered. */
  next(least: number): number | undefined {
    const words = this.#words
    let first: number | undefined
    let open = 0
    for (let room = 0; room < this.#count; room++) {
      if (!this.#open(room)) continue
      open++
      // the count may wrap around
      if (first === undefined || ((words[this.#at(room) + word.order]! - words[this.#at(first) + word.order]!) | 0) < 0) first = room
    }
    return open < least ? undefined : first
  }

  /** The room that holds a piece, if one does. It may be another's by the time that it is entered. */
  holding(slot: number, piece: number): number | undefined {
    for (let room = 0; room < this.#count; room++) {
      const start = this.#at(room)
      if ((Atomics.load(this.#words, start + word.state) & STATE) < state.full) continue
      if (this.#words[start + word.slot] === slot && this.#words[start + word.piece] === piece) return room
    }
    return undefined
  }

  /** What a full room holds: it stays until the caller has left. */
  enter(room: number): ReadPiece | undefined {
    const words = this.#words
    const start = this.#at(room)
    for (;;) {
      const found = Atomics.load(words, start + word.state)
      if ((found & STATE) < state.full) return undefined
      if (Atomics.compareExchange(words, start + word.state, found, (found + 1 + STATE + 1) | 0) === found) break
    }
    const value = (name: keyof typeof word) => words[start + word[name]]!
    return { room, key: value('key'), slot: value('slot'), piece: value('piece'), at: value('at') >>> 0, bands: value('bands') }
  }

  /** Whether the caller, who is in the room, has the band to repack. */
  claimBand(room: number, band: number): boolean {
    const bit = 1 << band
    return (Atomics.or(this.#words, this.#at(room) + word.claimed, bit) & bit) === 0
  }

  /** The caller has repacked a band: whether somebody waits for one. */
  packed(room: number, band: number): boolean {
    return (Atomics.or(this.#words, this.#at(room) + word.packed, 1 << band) & AWAITED) !== 0
  }

  /** Whether these bands of the room that the caller is in are repacked; if not, who repacks them is told so by `packed`. */
  arePacked(room: number, first: number, end: number): boolean {
    const bits = (1 << end) - (1 << first)
    const at = this.#at(room) + word.packed
    if ((Atomics.load(this.#words, at) & bits) === bits) return true
    return (Atomics.or(this.#words, at, AWAITED) & bits) === bits
  }

  /** The caller leaves the room: whether it was the last in it and all is repacked, so that it has to hand in the piece and release the room. */
  leave(room: number): boolean {
    const words = this.#words
    const start = this.#at(room)
    const all = 2 ** words[start + word.bands]! - 1
    for (;;) {
      const found = Atomics.load(words, start + word.state)
      const packed = (Atomics.load(words, start + word.packed) & all) === all
      const next = packed && (found & STATE) === state.full + 1 ? state.emptied : found - 1
      // somebody who has come and gone since has left another number
      if (Atomics.compareExchange(words, start + word.state, found, next) === found) return next === state.emptied
    }
  }

  /** Sets a room free: whether a reader has looked for one since. */
  release(room: number): boolean {
    Atomics.store(this.#words, this.#at(room) + word.state, state.free)
    return Atomics.exchange(this.#words, head.wanted, 0) === 1
  }

  #free(): number | undefined {
    for (let room = 0; room < this.#count; room++) {
      if (Atomics.compareExchange(this.#words, this.#at(room) + word.state, state.free, state.reading) === state.free) return room
    }
    return undefined
  }

  /** Whether it is full, and bands are left to claim. */
  #open(room: number): boolean {
    const start = this.#at(room)
    return (
      (Atomics.load(this.#words, start + word.state) & STATE) >= state.full &&
      Atomics.load(this.#words, start + word.claimed) !== 2 ** this.#words[start + word.bands]! - 1
    )
  }

  #at(room: number): number {
    return HEAD + room * WORDS
  }
}
