// Random choices that a seed repeats on every machine. Owns the generator; knows nothing of what is chosen.

/** A generator of 32-bit numbers (splitmix32: Steele, Lea, Flood, 2014), and the choices that are made with it. */
export class Random {
  #state

  /** @param {number | string} seed */
  constructor(seed) {
    this.#state = typeof seed === 'number' ? seed | 0 : hashOf(seed)
    this.bits() // near seeds have parted by then
  }

  bits() {
    this.#state = (this.#state + 0x9e3779b9) | 0
    let z = this.#state
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad)
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97)
    return (z ^ (z >>> 15)) >>> 0
  }

  /** A whole number from 0, less than `most`. */
  below(most) {
    return Math.floor((this.bits() / 2 ** 32) * most)
  }

  /** Whether something of this probability happens. */
  chance(probability) {
    return this.bits() / 2 ** 32 < probability
  }

  pick(list) {
    return list[this.below(list.length)]
  }

  /** 1, half as often 2, half as often 3 and so on, up to `most`. */
  few(most) {
    let count = 1
    while (count < most && this.chance(0.5)) count++
    return count
  }

  /** A whole number up to `most`, small ones as likely as large ones. */
  size(most) {
    return Math.floor(2 ** ((this.bits() / 2 ** 32) * Math.log2(most + 1))) - 1
  }
}

function hashOf(text) {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return hash
}
