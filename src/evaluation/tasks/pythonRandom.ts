// Random draws as Python's `random.Random` makes them, since lm-eval draws its examples with it: the Mersenne Twister
// of Matsumoto and Nishimura (MT19937), seeded with a whole number below 2^32, and `sample`. Pure.

const SIZE = 624
const SHIFT = 397
const UPPER = 0x80000000
const LOWER = 0x7fffffff
const TWIST = 0x9908b0df

export class PythonRandom {
  /** (SIZE) */
  readonly #state = new Uint32Array(SIZE)
  #next = SIZE

  /** The generator of `random.Random(seed)`. */
  constructor(seed: number) {
    const state = this.#state
    state[0] = 19650218
    for (let i = 1; i < SIZE; i++) state[i] = Math.imul(1812433253, this.#folded(i - 1)) + i
    let i = 1
    const step = (factor: number, add: number) => {
      state[i] = (state[i]! ^ Math.imul(this.#folded(i - 1), factor)) + add
      if (++i < SIZE) return
      state[0] = state[SIZE - 1]!
      i = 1
    }
    for (let n = 0; n < SIZE; n++) step(1664525, seed)
    for (let n = 1; n < SIZE; n++) step(1566083941, -i)
    state[0] = UPPER
  }

  /** `sample(range(population), count)`: different whole numbers below `population`; `count` is at most that. */
  sample(population: number, count: number): number[] {
    if (population > this.#listed(count)) {
      const drawn = new Set<number>()
      while (drawn.size < count) drawn.add(this.#below(population))
      return [...drawn]
    }
    const pool = Array.from({ length: population }, (_, i) => i)
    return Array.from({ length: count }, (_, i) => {
      const at = this.#below(population - i)
      const chosen = pool[at]!
      pool[at] = pool[population - i - 1]!
      return chosen
    })
  }

  /** Up to this population, `sample` keeps a list of those that are left; beyond, a set of those that were drawn. */
  #listed(count: number): number {
    if (count <= 5) return 21
    let power = 1
    while (power < count * 3) power *= 4
    return 21 + power
  }

  /** A whole number below `bound`: as few of the leading bits as it has, until they are below it. */
  #below(bound: number): number {
    const unused = Math.clz32(bound)
    for (;;) {
      const value = this.#bits() >>> unused
      if (value < bound) return value
    }
  }

  #folded(i: number): number {
    const value = this.#state[i]!
    return value ^ (value >>> 30)
  }

  /** The next 32 bits. */
  #bits(): number {
    if (this.#next === SIZE) this.#twist()
    let y = this.#state[this.#next++]!
    y ^= y >>> 11
    y ^= (y << 7) & 0x9d2c5680
    y ^= (y << 15) & 0xefc60000
    return (y ^ (y >>> 18)) >>> 0
  }

  #twist(): void {
    const state = this.#state
    for (let i = 0; i < SIZE; i++) {
      const y = (state[i]! & UPPER) | (state[(i + 1) % SIZE]! & LOWER)
      state[i] = state[(i + SHIFT) % SIZE]! ^ (y >>> 1) ^ (y & 1 ? TWIST : 0)
    }
    this.#next = 0
  }
}
