// How often a cache of experts would have had what a text asked for, whatever its number of slots, and how soon all
// experts have been asked for. For `--ram`: experts that are not in memory are read from the file. Owns the stack of
// least recent use, whose depth at each request says which caches would have had it. Knows no model.

import type { RoutingShape } from './routingCounts.js'

export class ExpertCache {
  readonly #experts: number
  readonly #used: number
  /** Keys of experts, layer * experts + expert, most recently used first. */
  readonly #stack: Uint32Array
  #filled = 0
  #requests = 0
  /** (keys + 1): requests that were found at each depth of the stack; the last are first requests of an expert. */
  readonly depths: Float64Array
  /** After how many tokens each number of distinct experts was reached first: (keys). 0: not reached. */
  readonly reached: Float64Array
  #tokens = 0

  constructor({ layers, experts, used }: RoutingShape) {
    this.#experts = experts
    this.#used = used
    this.#stack = new Uint32Array(layers * experts)
    this.depths = new Float64Array(layers * experts + 1)
    this.reached = new Float64Array(layers * experts)
  }

  get requests(): number {
    return this.#requests
  }

  /** Experts that have been asked for at least once. */
  get distinct(): number {
    return this.#filled
  }

  /** ids: (count, layers, used), the experts of the next tokens, from `at` on. */
  add(ids: Uint16Array, at = 0, count = 1): void {
    const end = this.#stack.length
    let i = at
    for (let token = 0; token < count; token++) {
      this.#tokens++
      for (let layer = 0; layer < end; layer += this.#experts) {
        for (let k = 0; k < this.#used; k++, i++) this.#request(layer + ids[i]!)
      }
    }
  }

  /** The share of requests that a cache of `slots` experts of least recent use would have had. */
  hitRate(slots: number): number {
    let hits = 0
    const end = Math.min(slots, this.#stack.length)
    for (let depth = 0; depth < end; depth++) hits += this.depths[depth]!
    return this.#requests ? hits / this.#requests : 0
  }

  /** Puts a key in front; those before its place move one back. */
  #request(key: number): void {
    const stack = this.#stack
    this.#requests++
    let moved = key
    for (let depth = 0; depth < this.#filled; depth++) {
      const there = stack[depth]!
      stack[depth] = moved
      if (there === key) {
        this.depths[depth]!++
        return
      }
      moved = there
    }
    this.depths[stack.length]!++
    stack[this.#filled] = moved
    this.reached[this.#filled++] = this.#tokens
  }
}
