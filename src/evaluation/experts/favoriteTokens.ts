// Which experts the tokens of a vocabulary go to: what share of a token's occurrences each expert has. Of a size that
// depends on the vocabulary and not on the text. Knows no model and no spelling.

import type { RoutingShape } from './routingCounts.js'

/** A token with fewer occurrences says nothing: the limit of OLMoE's figures (arXiv 2409.02060, section 5). */
const LEAST_OCCURRENCES = 8

export interface FavoriteToken {
  readonly id: number
  readonly occurrences: number
  /** The share of its occurrences that this expert took part in. */
  readonly share: number
}

export class FavoriteTokens {
  readonly #shape: RoutingShape
  /** Of each token that came: occurrences, then (layers, experts) uses. */
  readonly #counts = new Map<number, Uint32Array>()

  constructor(shape: RoutingShape) {
    this.#shape = shape
  }

  /** ids: (layers, used), the experts of an occurrence of the token, from `at` on. */
  add(token: number, ids: Uint16Array, at = 0): void {
    const { layers, experts, used } = this.#shape
    let counts = this.#counts.get(token)
    if (!counts) {
      counts = new Uint32Array(1 + layers * experts)
      this.#counts.set(token, counts)
    }
    counts[0]!++
    for (let layer = 0, i = at; layer < layers; layer++) for (let k = 0; k < used; k++, i++) counts[1 + layer * experts + ids[i]!]!++
  }

  /** Adds the counts of other texts. */
  addAll(other: FavoriteTokens): void {
    for (const [token, more] of other.#counts) {
      const counts = this.#counts.get(token)
      if (counts) for (let i = 0; i < counts.length; i++) counts[i]! += more[i]!
      else this.#counts.set(token, more.slice())
    }
  }

  /**
   * The tokens of which an expert has the largest share, at most `most`, none that never came to it or too rarely at
   * all; ties: the more frequent one, then the lower id.
   */
  of(layer: number, expert: number, most: number): FavoriteToken[] {
    const at = 1 + layer * this.#shape.experts + expert
    const all: FavoriteToken[] = []
    for (const [id, counts] of this.#counts) {
      const occurrences = counts[0]!
      if (occurrences >= LEAST_OCCURRENCES && counts[at]! > 0) all.push({ id, occurrences, share: counts[at]! / occurrences })
    }
    return all.sort((a, b) => b.share - a.share || b.occurrences - a.occurrences || a.id - b.id).slice(0, most)
  }

  /**
   * The mean over tokens, each as often as it came, of the largest share that an expert of the layer has of a token:
   * used / experts where tokens do not matter, 1 where a token always goes to the same expert. Undefined where no token
   * came often enough.
   */
  specialization(layer: number): number | undefined {
    const { experts } = this.#shape
    const at = 1 + layer * experts
    let sum = 0
    let weight = 0
    for (const counts of this.#counts.values()) {
      const occurrences = counts[0]!
      if (occurrences < LEAST_OCCURRENCES) continue
      let most = 0
      for (let e = 0; e < experts; e++) most = Math.max(most, counts[at + e]!)
      sum += most
      weight += occurrences
    }
    return weight ? sum / weight : undefined
  }
}
