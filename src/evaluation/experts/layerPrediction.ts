// How well a layer's experts can be told before its router has spoken, from the counts of the tokens before: what
// reading ahead for `--ram` could hope for without applying a router. Owns the counts that predictions are made of; a
// token is predicted first and counted then. Knows no model.

import type { RoutingShape } from './routingCounts.js'

export class LayerPrediction {
  readonly #shape: RoutingShape
  /** (layers, experts, experts): uses in a layer beside those in the layer before; none of layer 0. */
  readonly #after: Float64Array
  /** (layers, experts): uses. */
  readonly #uses: Float64Array
  /** (layers, experts): uses in the layer before, by the tokens that have been counted in this one. */
  readonly #usesBefore: Float64Array
  /** (experts) */
  readonly #likely: Float64Array
  /** (layers): uses that the experts of the layer before have told. */
  readonly fromBefore: Float64Array
  /** (layers): uses that were of the layer's most used experts. */
  readonly fromUses: Float64Array
  #tokens = 0

  constructor(shape: RoutingShape) {
    const { layers, experts } = shape
    this.#shape = shape
    this.#after = new Float64Array(layers * experts * experts)
    this.#uses = new Float64Array(layers * experts)
    this.#usesBefore = new Float64Array(layers * experts)
    this.#likely = new Float64Array(experts)
    this.fromBefore = new Float64Array(layers)
    this.fromUses = new Float64Array(layers)
  }

  get tokens(): number {
    return this.#tokens
  }

  /** ids: (count, layers, used), the experts of the next tokens, from `start` on. */
  add(ids: Uint16Array, start = 0, count = 1): void {
    this.#tokens += count
    const { layers, used } = this.#shape
    const width = layers * used
    for (let layer = 0; layer < layers; layer++) {
      const first = start + layer * used
      for (let at = first; at < first + count * width; at += width) {
        if (layer > 0) this.#addAfter(layer, ids, at)
        this.#addUse(layer, ids, at)
      }
    }
  }

  /** A token's experts in a layer, which are told from the uses before. */
  #addUse(layer: number, ids: Uint16Array, at: number): void {
    const { experts, used } = this.#shape
    const uses = this.#uses
    const own = layer * experts
    this.fromUses[layer]! += this.#told(ids, at, uses, own)
    for (let k = 0; k < used; k++) uses[own + ids[at + k]!]!++
  }

  /** The same, told from those in the layer before. */
  #addAfter(layer: number, ids: Uint16Array, at: number): void {
    const { experts, used } = this.#shape
    const [likely, before, after] = [this.#likely, this.#usesBefore, this.#after]
    const own = layer * experts
    likely.fill(0)
    for (let k = 0; k < used; k++) {
      const expert = ids[at - used + k]!
      const count = before[own + expert]!
      if (count === 0) continue
      const row = (own + expert) * experts
      const each = 1 / count
      for (let e = 0; e < experts; e++) likely[e]! += after[row + e]! * each
    }
    this.fromBefore[layer]! += this.#told(ids, at, likely, 0)
    for (let k = 0; k < used; k++) {
      const expert = ids[at - used + k]!
      before[own + expert]!++
      const row = (own + expert) * experts
      for (let other = 0; other < used; other++) after[row + ids[at + other]!]!++
    }
  }

  /**
   * How many of the experts at `at` are among the `used` likeliest, as the numbers from `own` on say; of equal ones the
   * first.
   */
  #told(ids: Uint16Array, at: number, likely: Float64Array, own: number): number {
    const { experts, used } = this.#shape
    let told = 0
    for (let k = 0; k < used; k++) {
      const expert = ids[at + k]!
      const mine = likely[own + expert]!
      let before = 0
      for (let e = 0; e < expert && before < used; e++) if (likely[own + e]! >= mine) before++
      for (let e = expert + 1; e < experts && before < used; e++) if (likely[own + e]! > mine) before++
      if (before < used) told++
    }
    return told
  }
}
