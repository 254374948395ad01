// A map from a pair of non-negative integers to an integer, with open addressing in one typed array: a Map with
// combined keys is several times slower, and the tokenizer looks up two pairs per character. Owns only the numbers;
// entries are never removed. A vocabulary comes from anybody, so its pairs are spread by numbers that nobody knows.

const EMPTY = -1

/** What a hash depends on beside the pair. Factors are odd. */
export interface PairSeed {
  readonly first: number
  readonly second: number
  readonly offset: number
}

/** Drawn once: the order of slots is never seen. */
const seed = randomSeed()

export function randomSeed(): PairSeed {
  const [first, second, offset] = crypto.getRandomValues(new Int32Array(3)) as unknown as [number, number, number]
  return { first: first | 1, second: second | 1, offset }
}

export class PairMap {
  /** (capacity, 3) left, right, value. */
  #slots = new Int32Array(3 * 64).fill(EMPTY)
  #mask = 63
  #size = 0

  /** The value of the pair, -1 where there is none. */
  get(left: number, right: number): number {
    const slots = this.#slots
    const mask = this.#mask
    for (let slot = hashPair(left, right, seed) & mask; ; slot = (slot + 1) & mask) {
      const at = slot * 3
      if (slots[at] === left && slots[at + 1] === right) return slots[at + 2]!
      if (slots[at] === EMPTY) return -1
    }
  }

  /** Stores the value of a pair, in place of an earlier one. */
  set(left: number, right: number, value: number): void {
    if (this.#size * 2 > this.#mask) this.#grow()
    const slots = this.#slots
    let at = (hashPair(left, right, seed) & this.#mask) * 3
    while (slots[at] !== EMPTY && (slots[at] !== left || slots[at + 1] !== right)) at = at + 3 === slots.length ? 0 : at + 3
    if (slots[at] === EMPTY) this.#size++
    slots[at] = left
    slots[at + 1] = right
    slots[at + 2] = value
  }

  #grow(): void {
    const old = this.#slots
    this.#slots = new Int32Array(old.length * 2).fill(EMPTY)
    this.#mask = this.#mask * 2 + 1
    this.#size = 0
    for (let at = 0; at < old.length; at += 3) {
      if (old[at] !== EMPTY) this.set(old[at]!, old[at + 1]!, old[at + 2]!)
    }
  }
}

/** A hash in the form of MurmurHash3's finalizer (Austin Appleby, public domain), with factors of its own. */
export function hashPair(left: number, right: number, { first, second, offset }: PairSeed): number {
  let mixed = Math.imul(left ^ offset, first) + right
  mixed = Math.imul(mixed ^ (mixed >>> 16), second)
  mixed = Math.imul(mixed ^ (mixed >>> 15), first)
  return mixed ^ (mixed >>> 16)
}
