// Where runs of tokens stood last in a text: a table of places alone, in which a run is found by a hash and compared
// with the text itself. So it takes a few bytes a token. Owns the table; the text is its caller's, and only ever grows.
// May lose a run where many share a hash: no text makes a look-up long.

/** Places of the first table: a power of two. */
const FIRST = 256
/** Most places that are looked at for a run. */
const PROBES = 32

export class RunPlaces {
  readonly #tokens: number
  /** By the hash of a run or behind it, the place behind the run's last occurrence; 0 for none. */
  #places = new Int32Array(0)
  #count = 0

  /** @param tokens of a run, at least one */
  constructor(tokens: number) {
    this.#tokens = tokens
  }

  get bytes(): number {
    return this.#places.byteLength
  }

  /** The place behind the last occurrence that is noted of the run before `end`, 0 for none. */
  find(ids: readonly number[], end: number): number {
    if (end < this.#tokens || this.#count === 0) return 0
    const place = this.#places[this.#slotOf(ids, end)]!
    return place > 0 && this.#isSame(ids, place, end) ? place : 0
  }

  /** Notes the run before `end`, if there are tokens for one. */
  note(ids: readonly number[], end: number): void {
    if (end < this.#tokens) return
    if (4 * this.#count >= 3 * this.#places.length) this.#grow(ids)
    const slot = this.#slotOf(ids, end)
    if (this.#places[slot] === 0) this.#count++
    this.#places[slot] = end
  }

  /** The slot that has the run before `end`, else the one that it would get: a free one, or that of another run. */
  #slotOf(ids: readonly number[], end: number): number {
    const mask = this.#places.length - 1
    let hash = 0
    for (let i = end - this.#tokens; i < end; i++) {
      hash = Math.imul(hash ^ ids[i]!, 0x9e3779b1)
      hash ^= hash >>> 15
    }
    const first = hash & mask
    for (let i = 0; i < PROBES; i++) {
      const slot = (first + i) & mask
      const place = this.#places[slot]!
      if (place === 0 || this.#isSame(ids, place, end)) return slot
    }
    return first
  }

  #isSame(ids: readonly number[], place: number, end: number): boolean {
    for (let i = 1; i <= this.#tokens; i++) if (ids[place - i] !== ids[end - i]) return false
    return true
  }

  #grow(ids: readonly number[]): void {
    const before = this.#places
    this.#places = new Int32Array(Math.max(FIRST, 2 * before.length))
    this.#count = 0
    for (const place of before) if (place > 0) this.note(ids, place)
  }
}
