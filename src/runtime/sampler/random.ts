// A generator of random numbers that gives the same sequence on every machine: xoshiro128** (Blackman and Vigna, 2018),
// seeded through SplitMix32 as its authors advise. Not for secrets.

export class Random {
  readonly #state: Uint32Array

  /**
   * @param seed a whole number from 0 to 2^53 - 1
   * @param stream numbers of the same seed and another stream are independent of these
   */
  constructor(seed: number, stream = 0) {
    let mix = (seed ^ Math.imul(Math.floor(seed / 2 ** 32), 0x85ebca6b) ^ Math.imul(stream, 0xc2b2ae35)) >>> 0
    this.#state = Uint32Array.from({ length: 4 }, () => {
      mix = (mix + 0x9e3779b9) >>> 0
      let word = Math.imul(mix ^ (mix >>> 16), 0x21f0aaad)
      word = Math.imul(word ^ (word >>> 15), 0x735a2d97)
      return word ^ (word >>> 15)
    })
  }

  /** Uniform in [0, 1), with all 53 bits of a float64. */
  next(): number {
    return ((this.#word() >>> 5) * 2 ** 26 + (this.#word() >>> 6)) / 2 ** 53
  }

  #word(): number {
    const s = this.#state as Uint32Array & [number, number, number, number]
    const result = Math.imul(rotate(Math.imul(s[1], 5), 7), 9)
    const shifted = s[1] << 9
    s[2] ^= s[0]
    s[3] ^= s[1]
    s[1] ^= s[2]
    s[0] ^= s[3]
    s[2] ^= shifted
    s[3] = rotate(s[3], 11)
    return result >>> 0
  }
}

function rotate(word: number, by: number): number {
  return (word << by) | (word >>> (32 - by))
}
