// The rooms that pieces of experts are read into, in memory that all threads share: more of them than readers, so that a reader goes on reading while what it has read waits to be repacked by
// whoever has time. Lists which room holds what. Knows nothing of who wants it.

import type { Errand } from './ledger.js'

/** A piece that has been read. */
export interface ReadPiece extends Errand {
  readonly room: number
  /** Where its bytes begin, in the memory of its slot. */
  readonly at: number
}

/** What becomes of a room, in this order and from the start. */
const state = { free: 0, reading: 1, full: 2, packing: 3 } as const
/** Words of a room: its state, the order in which rooms became full, and what it holds. */
const word = { state: 0, order: 1, key: 2, slot: 3, piece: 4, at: 5 } as const
const WORDS = 6
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

  /** What a claimed room holds now. */
  fill(room: number, { key, slot, piece }: Errand, at: number): void {
    const words = this.#words
    const start = this.#at(room)
    words[start + word.key] = key
    words[start + word.slot] = slot
    words[start + word.piece] = piece
    words[start + word.at] = at
    words[start + word.order] = Atomics.add(words, head.filled, 1)
    Atomics.store(words, start + word.state, state.full)
  }

  /** The room that has been full for longest, for the caller to empty. */
  next(): ReadPiece | undefined {
    const words = this.#words
    for (;;) {
      let first: number | undefined
      for (let room = 0; room < this.#count; room++) {
        const start = this.#at(room)
        if (Atomics.load(words, start + word.state) !== state.full) continue
        // the count may wrap around
        if (first === undefined || ((words[start + word.order]! - words[this.#at(first) + word.order]!) | 0) < 0) first = room
      }
      if (first === undefined) return undefined
      const start = this.#at(first)
      if (Atomics.compareExchange(words, start + word.state, state.full, state.packing) !== state.full) continue
      const value = (name: keyof typeof word) => words[start + word[name]]!
      return { room: first, key: value('key'), slot: value('slot'), piece: value('piece'), at: value('at') >>> 0 }
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

  #at(room: number): number {
    return HEAD + room * WORDS
  }
}
