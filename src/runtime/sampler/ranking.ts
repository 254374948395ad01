// Token ids from the highest logit to the lowest, equal ones by id, sorted only as far as somebody looks: filters keep
// a few of 32,000. A heap whose front moves into the sorted part one by one.

export class Ranking {
  readonly #logits: Float64Array
  /** (vocabulary) [0, size) is the heap; the sorted ids stand from the end backwards. */
  readonly #ids: Int32Array
  #size: number

  /** `logits` (vocabulary) must be finite, and stay as they are. */
  constructor(logits: Float64Array) {
    this.#logits = logits
    this.#ids = new Int32Array(logits.length)
    this.#size = logits.length
    for (let id = 0; id < this.#size; id++) this.#ids[id] = id
    for (let at = (this.#size >> 1) - 1; at >= 0; at--) this.#sink(at)
  }

  /** The id at a place, 0 for the highest logit. */
  at(place: number): number {
    const ids = this.#ids
    while (ids.length - this.#size <= place) {
      const first = ids[0] as number
      this.#size--
      ids[0] = ids[this.#size] as number
      ids[this.#size] = first
      this.#sink(0)
    }
    return ids[ids.length - 1 - place] as number
  }

  #sink(from: number): void {
    const ids = this.#ids
    const moved = ids[from] as number
    let at = from
    for (let child = 2 * at + 1; child < this.#size; child = 2 * at + 1) {
      if (child + 1 < this.#size && this.#before(ids[child + 1] as number, ids[child] as number)) child++
      if (!this.#before(ids[child] as number, moved)) break
      ids[at] = ids[child] as number
      at = child
    }
    ids[at] = moved
  }

  #before(a: number, b: number): boolean {
    const difference = (this.#logits[a] as number) - (this.#logits[b] as number)
    return difference > 0 || (difference === 0 && a < b)
  }
}
