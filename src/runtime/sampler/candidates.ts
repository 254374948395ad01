// The tokens that may still be drawn, with their logits. Steps of a sampler change logits or take candidates away; this
// file owns the order of the candidates (by logit, equal ones by id), their weights, and the order of sums, on which
// the bits of a result depend.

import { exp, ln } from '../../base/elementary.js'
import { highest, LONGEST_SCAN, Ranking } from './ranking.js'

/**
 * Bounds logits that a bias, a penalty or a temperature next to 0 would make infinite, with room for what steps add.
 */
export const LARGEST = 1e300

export class Candidates {
  /** Number of tokens of the model. */
  readonly vocabulary: number
  /** (vocabulary) by id. Call `changed` after writing. Entries of ids that are no candidates mean nothing. */
  readonly logits: Float64Array
  readonly #weights: Float64Array
  /**
   * (vocabulary) the first `count` are the candidates: by id until all but the best were cut off, from then on by rank.
   */
  readonly #ids: Int32Array
  readonly #allIds: Int32Array
  readonly #ranking: Ranking
  #count = 0
  #byRank = false
  #ranked = false
  #weighed = false
  #best = -1
  #divisor = 1

  constructor(vocabulary: number) {
    this.vocabulary = vocabulary
    this.logits = new Float64Array(vocabulary)
    this.#weights = new Float64Array(vocabulary)
    this.#ids = new Int32Array(vocabulary)
    this.#allIds = Int32Array.from({ length: vocabulary }, (_, id) => id)
    this.#ranking = new Ranking(vocabulary)
  }

  /**
   * Makes every token a candidate, or those whose bit is set in `mask`: bit `id % 32` of word `id >> 5`.
   * @param row (vocabulary) logits
   * @returns the first id of the row whose logit is not finite; -1 if there is none, and only then are the candidates
   * of use
   */
  load(row: Float32Array, mask: Uint32Array | undefined): number {
    const { logits } = this
    logits.set(row)
    let poison = 0
    let best = 0
    let top = -Infinity
    for (let id = 0; id < logits.length; id++) {
      const logit = logits[id]!
      poison += logit - logit // NaN where one is not finite
      if (logit > top) {
        best = id
        top = logit
      }
    }
    if (poison !== 0) return row.findIndex((logit) => !Number.isFinite(logit))
    this.#byRank = false
    this.#divisor = 1
    this.changed()
    if (mask) this.#take(mask)
    else {
      this.#ids.set(this.#allIds)
      this.#count = this.vocabulary
      this.#best = best
    }
    return -1
  }

  get count(): number {
    return this.#count
  }

  /** The id at a rank, 0 for the highest logit. */
  at(rank: number): number {
    if (rank === 0) return this.#highest()
    if (this.#byRank) return this.#ids[rank]!
    this.#rank()
    return this.#ranking.at(rank)
  }

  /**
   * The candidates in the order of sums: by id, or by rank once only the best were kept. For `place` from 0 to `count`.
   */
  member(place: number): number {
    return this.#ids[place]!
  }

  /** How far a candidate's logit is below the highest, with the temperatures so far: 0 or less. */
  distance(id: number): number {
    return (this.logits[id]! - this.logits[this.#highest()]!) / this.#divisor
  }

  /**
   * The product of the temperatures so far, by which logits are divided where they count: dividing them at once would
   * round once more.
   */
  get divisor(): number {
    return this.#divisor
  }

  /** Applies a temperature above 0. */
  divide(temperature: number): void {
    this.#divisor *= temperature
    this.#weighed = false
  }

  /** Divides the logits themselves by the temperatures so far, for steps to which their size matters. */
  settle(): void {
    if (this.#divisor === 1) return
    for (let i = 0; i < this.#count; i++) {
      const id = this.#ids[i]!
      this.logits[id] = Math.max(-LARGEST, Math.min(LARGEST, this.logits[id]! / this.#divisor))
    }
    this.#divisor = 1
    this.changed()
  }

  /** To be called when logits were written: ranks and weights are made anew. */
  changed(): void {
    this.#weighed = false
    this.#ranked = false
    this.#best = -1
    if (this.#byRank) this.#putFirst(this.#count)
  }

  /** Keeps the candidates of the first ranks: at least one, and all if there are no more. */
  keepFirst(count: number): void {
    if (count >= this.#count) return
    const kept = Math.max(1, count)
    const ids = this.#ids
    if (!this.#byRank) {
      if (kept === 1) ids[0] = this.#highest()
      else if (this.#ranked || kept > LONGEST_SCAN) this.#putFirst(kept)
      else ids.set(highest(this.logits, ids, this.#count, kept))
    }
    this.#byRank = true
    this.#count = kept
  }

  /** Keeps these candidates, in any order. */
  keep(ids: Int32Array): void {
    this.#ids.set(ids)
    this.#count = ids.length
    this.#byRank = true
    this.changed()
  }

  /** Takes the candidates of the first ranks away, fewer than all. */
  dropFirst(count: number): void {
    const first = Int32Array.from({ length: count }, (_, rank) => this.at(rank))
    for (const id of first) this.logits[id] = -Infinity
    this.dropBanned()
  }

  /** Takes candidates with a logit of minus infinity away: all of them, perhaps. */
  dropBanned(): void {
    const { logits } = this
    const ids = this.#ids
    let count = 0
    for (let i = 0; i < this.#count; i++) if (logits[ids[i]!]! > -Infinity) ids[count++] = ids[i]!
    this.#count = count
    this.changed()
  }

  /**
   * The sum of the weights of all candidates; a weight is exp(distance), so probabilities are weights divided by this.
   */
  sumOfWeights(): number {
    const { logits } = this
    const ids = this.#ids
    const weights = this.#weights
    const count = this.#count
    if (!this.#weighed) {
      const top = logits[this.#highest()]!
      for (let i = 0; i < count; i++) weights[ids[i]!] = exp((logits[ids[i]!]! - top) / this.#divisor)
    }
    this.#weighed = true
    let sum = 0
    for (let i = 0; i < count; i++) sum += weights[ids[i]!]!
    return sum
  }

  /** A candidate's weight, after `sumOfWeights` and before any change. */
  weight(id: number): number {
    return this.#weights[id]!
  }

  /** The entropy of the candidates in nats: -sum(p ln p), as ln(sum) - sum(weight * distance) / sum. */
  entropy(): number {
    const sum = this.sumOfWeights()
    const { logits } = this
    const ids = this.#ids
    const top = logits[this.#highest()]!
    let products = 0
    for (let i = 0; i < this.#count; i++) {
      const weight = this.#weights[ids[i]!]!
      // A weight of 0 may be infinitely far.
      if (weight > 0) products += weight * ((logits[ids[i]!]! - top) / this.#divisor)
    }
    return Math.max(0, ln(sum) - products / sum)
  }

  #highest(): number {
    if (this.#byRank) return this.#ids[0]!
    if (this.#best >= 0) return this.#best
    const { logits } = this
    const ids = this.#ids
    let best = ids[0]!
    let top = logits[best]!
    for (let i = 1; i < this.#count; i++) {
      const id = ids[i]!
      if (logits[id]! > top) {
        best = id
        top = logits[id]!
      }
    }
    this.#best = best
    return best
  }

  /** Makes those ids candidates whose bits are set. */
  #take(mask: Uint32Array): void {
    const ids = this.#ids
    let count = 0
    for (let word = 0; word << 5 < this.vocabulary; word++) {
      const most = Math.min(this.vocabulary, (word + 1) << 5)
      let bits = mask[word]!
      for (let id = word << 5; bits !== 0 && id < most; id++) {
        if (bits & 1) ids[count++] = id
        bits >>>= 1
      }
    }
    this.#count = count
  }

  #rank(): void {
    if (!this.#ranked) this.#ranking.begin(this.logits, this.#ids, this.#count)
    this.#ranked = true
  }

  /** Puts the candidates of the first ranks in front, in their order. */
  #putFirst(count: number): void {
    this.#rank()
    for (let rank = 0; rank < count; rank++) this.#ids[rank] = this.#ranking.at(rank)
  }
}
