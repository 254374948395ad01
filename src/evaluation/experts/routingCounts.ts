// Counts of what routers did with the tokens of a text, of a size that does not depend on its length. Owns what is
// counted; the figures made of it are of other files. Knows no model.

import { exp, ln } from '../../base/elementary.js'
import type { FullRouting } from '../../runtime/model/routes.js'

/** A product of sums, each at most the number of experts, is far from overflowing here. */
const MOST_PRODUCT = 1e200

/** 2^(i / 64), and 2^-k */
const FRACTIONS = Float64Array.from({ length: 64 }, (_, i) => exp((i * Math.LN2) / 64))
const POWERS = Float64Array.from({ length: 1075 }, (_, k) => 2 ** -k)

/**
 * e^x for x from -700 to 0, a few times as fast as `exp` and exact to 13 digits; below, 0. Texts have many tokens. x =
 * n ln 2 / 64 + r with |r| <= ln 2 / 128.
 */
function oddsOf(x: number): number {
  if (!(x >= -700)) return 0
  const n = Math.floor(x * (64 / Math.LN2) + 0.5)
  const r = x - n * (Math.LN2 / 64)
  return FRACTIONS[n & 63]! * POWERS[-(n >> 6)]! * (1 + r * (1 + (r / 2) * (1 + (r / 3) * (1 + r / 4))))
}

/** The sizes of a model that counts depend on. */
export interface RoutingShape {
  readonly layers: number
  readonly experts: number
  /** Experts of a token in a layer. */
  readonly used: number
}

/** The layer in the middle, as the Mixtral paper takes 15 of 32. */
export const middleOf = (layers: number) => Math.floor((layers - 1) / 2)

/** How often two tokens have an expert in common if the choices of each are even and independent. */
export function chanceOfAny({ experts, used }: RoutingShape): number {
  let none = 1
  for (let k = 0; k < used; k++) none *= Math.max(0, experts - used - k) / (experts - k)
  return 1 - none
}

export class RoutingCounts {
  readonly shape: RoutingShape
  #tokens = 0
  #pairs = 0
  /** (layers, used, experts): how often each expert was the first choice, the second, and so on. */
  readonly choices: Float64Array
  /** (layers, experts): sums of the softmax over all experts. */
  readonly probabilities: Float64Array
  /** (layers): pairs of consecutive tokens with the same first choice. */
  readonly firstRepeats: Float64Array
  /** (layers): pairs of consecutive tokens that have an expert in common. */
  readonly anyRepeats: Float64Array
  /** (layers): sums of the difference between the two largest probabilities. */
  readonly margins: Float64Array
  /** (layers): sums of the first choice's weight among those that were used. */
  readonly firstWeights: Float64Array
  /** (layers, experts, experts): how often two experts were used for one token; on the diagonal, how often one was. */
  readonly together: Float64Array
  /** (layers - 1, experts, experts): how often an expert was used in a layer and another one in the next. */
  readonly next: Float64Array
  /** The experts of the token before, (layers, used), from `#beforeAt` on. */
  #before: Uint16Array | undefined
  #beforeAt = 0
  /** (layers): sums of the entropies without the logarithms of `#products`. */
  readonly #entropies: Float64Array
  /** (layers): products of the softmax's sums, whose logarithms are taken together. */
  readonly #products: Float64Array
  /** (experts): e to a layer's logits, below the largest. */
  readonly #odds: Float64Array

  constructor(shape: RoutingShape) {
    const { layers, experts, used } = shape
    this.shape = shape
    this.choices = new Float64Array(layers * used * experts)
    this.probabilities = new Float64Array(layers * experts)
    this.firstRepeats = new Float64Array(layers)
    this.anyRepeats = new Float64Array(layers)
    this.#entropies = new Float64Array(layers)
    this.#products = new Float64Array(layers).fill(1)
    this.margins = new Float64Array(layers)
    this.firstWeights = new Float64Array(layers)
    this.together = new Float64Array(layers * experts * experts)
    this.next = new Float64Array((layers - 1) * experts * experts)
    this.#odds = new Float64Array(experts)
  }

  /** Tokens that have been counted. */
  get tokens(): number {
    return this.#tokens
  }

  /** Pairs of consecutive tokens that have been counted. */
  get pairs(): number {
    return this.#pairs
  }

  /** The next token does not follow the last one. */
  cut(): void {
    this.#before = undefined
  }

  /** `count` tokens of a table, from the `place`-th on, which follow one another. */
  add(table: FullRouting, place = 0, count = 1): void {
    const { layers, used } = this.shape
    for (let layer = 0; layer < layers; layer++) {
      this.#addChoices(layer, table, place, count)
      this.#addProbabilities(layer, table.logits, place, count)
    }
    this.#tokens += count
    this.#pairs += this.#before ? count : count - 1
    this.#before = table.ids
    this.#beforeAt = (place + count - 1) * layers * used
  }

  /** The experts of `count` tokens in a layer. */
  #addChoices(layer: number, { ids, weights }: FullRouting, place: number, count: number): void {
    const { layers, experts, used } = this.shape
    const { choices, together, next } = this
    const width = layers * used
    let before = this.#before
    let last = this.#beforeAt + layer * used
    const start = place * width + layer * used
    for (let at = start; at < start + count * width; at += width) {
      for (let k = 0; k < used; k++) {
        const expert = ids[at + k]!
        choices[(layer * used + k) * experts + expert]!++
        const row = (layer * experts + expert) * experts
        for (let other = 0; other < used; other++) together[row + ids[at + other]!]!++
        if (layer + 1 < layers) for (let other = 0; other < used; other++) next[row + ids[at + used + other]!]!++
      }
      this.firstWeights[layer]! += weights[at]!
      if (before) {
        if (before[last] === ids[at]) this.firstRepeats[layer]!++
        if (haveCommon(before, last, ids, at, used)) this.anyRepeats[layer]!++
      }
      before = ids
      last = at
    }
  }

  /** What the router said of a layer's experts for `count` tokens. */
  #addProbabilities(layer: number, logits: Float32Array, place: number, count: number): void {
    const { layers, experts } = this.shape
    const { probabilities } = this
    const odds = this.#odds
    const sums = layer * experts
    for (let t = place; t < place + count; t++) {
      const start = (t * layers + layer) * experts
      let top = 0
      for (let e = 1; e < experts; e++) if (logits[start + e]! > logits[start + top]!) top = e
      const largest = logits[start + top]!
      let second = 0 // the largest odds of the others
      let sum = 0
      let weighted = 0 // of the exponents, for the entropy
      for (let e = 0; e < experts; e++) {
        const x = logits[start + e]! - largest
        const odd = oddsOf(x)
        odds[e] = odd
        sum += odd
        weighted += odd * x
        if (e !== top && odd > second) second = odd
      }
      const share = 1 / sum
      for (let e = 0; e < experts; e++) probabilities[sums + e]! += odds[e]! * share
      this.#entropies[layer]! -= weighted * share
      this.#products[layer]! *= sum
      if (this.#products[layer]! > MOST_PRODUCT) this.#takeLogarithm(layer)
      this.margins[layer]! += (1 - second) * share
    }
  }

  #takeLogarithm(layer: number): void {
    this.#entropies[layer]! += ln(this.#products[layer]!)
    this.#products[layer] = 1
  }

  /** (layers): sums of the entropy of the softmax over all experts, in nats. */
  get entropies(): Float64Array {
    for (let layer = 0; layer < this.shape.layers; layer++) this.#takeLogarithm(layer)
    return this.#entropies
  }

  /** Adds the counts of other tokens of the same model. */
  addAll(other: RoutingCounts): void {
    const sums = [
      [this.choices, other.choices],
      [this.probabilities, other.probabilities],
      [this.firstRepeats, other.firstRepeats],
      [this.anyRepeats, other.anyRepeats],
      [this.entropies, other.entropies],
      [this.margins, other.margins],
      [this.firstWeights, other.firstWeights],
      [this.together, other.together],
      [this.next, other.next],
    ] as const
    for (const [own, more] of sums) for (let i = 0; i < own.length; i++) own[i]! += more[i]!
    this.#tokens += other.#tokens
    this.#pairs += other.#pairs
  }
}

/** Whether two tokens have one of their `used` experts in common. */
function haveCommon(a: Uint16Array, aAt: number, b: Uint16Array, bAt: number, used: number): boolean {
  for (let i = aAt; i < aAt + used; i++) for (let k = bAt; k < bAt + used; k++) if (a[i] === b[k]) return true
  return false
}
