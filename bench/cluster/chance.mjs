// Random numbers of a simulation: of one seed, streams that do not depend on each other, so that two policies meet the
// same requests and the same failures.

import { Random } from '../../dist/runtime/sampler/random.js'

export class Chance {
  #random

  constructor(seed, stream) {
    this.#random = new Random(seed, stream)
  }

  /** From 0 up to 1, which it never is. */
  uniform() {
    return this.#random.next()
  }

  /** A whole number below `most`. */
  below(most) {
    return Math.floor(this.#random.next() * most)
  }

  exponential(mean) {
    return -mean * Math.log(1 - this.#random.next())
  }

  /** A whole number from 1 on: how many until something ends that goes on with the same chance each time. */
  geometric(mean) {
    if (mean <= 1) return 1
    return 1 + Math.floor(Math.log(1 - this.#random.next()) / Math.log(1 - 1 / mean))
  }

  /** Whose logarithm is normal with the deviation `sigma`. */
  logNormal(mean, sigma) {
    const normal = Math.sqrt(-2 * Math.log(1 - this.#random.next())) * Math.cos(2 * Math.PI * this.#random.next())
    return mean * Math.exp(sigma * normal - (sigma * sigma) / 2)
  }
}
