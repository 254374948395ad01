// Token ids from the highest score to the lowest, equal ones by id. Ids are put into buckets of similar scores, and a
// bucket is sorted when its place is asked for: most filters look at a few of 32,000. What the scores mean, it does not
// know.

const BUCKETS = 4096
/** Scores further below the highest share the last bucket: a softmax gives them e^-64. */
const RANGE = 64
/** Up to this many ids insertion is the fastest sort. */
const SMALL = 32

export class Ranking {
  /**
   * (capacity) [0, count) holds the ids: those before `#sorted` in their final order, the others in the right bucket.
   */
  readonly #ids: Int32Array
  readonly #bucketOf: Uint16Array
  /** (BUCKETS) where each bucket ends in `#ids`. */
  readonly #ends = new Int32Array(BUCKETS)
  #scores: Float64Array = new Float64Array(0)
  #sorted = 0
  #nextBucket = 0

  constructor(capacity: number) {
    this.#ids = new Int32Array(capacity)
    this.#bucketOf = new Uint16Array(capacity)
  }

  /**
   * Begins a new ranking.
   * @param scores by id; finite, and unchanged until the next ranking
   * @param ids the first `count` are ranked
   */
  begin(scores: Float64Array, ids: Int32Array, count: number): void {
    let most = -Infinity
    let least = Infinity
    for (let i = 0; i < count; i++) {
      const score = scores[ids[i]!]!
      if (score > most) most = score
      if (score < least) least = score
    }
    const range = Math.min(RANGE, most - least)
    const scale = range > 1e-200 ? (BUCKETS - 1) / range : 0 // scores that are next to equal share one bucket
    const ends = this.#ends.fill(0)
    for (let i = 0; i < count; i++) {
      const bucket = Math.min(BUCKETS - 1, (most - scores[ids[i]!]!) * scale) | 0
      this.#bucketOf[i] = bucket
      ends[bucket]!++
    }
    let start = 0
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      const size = ends[bucket]!
      ends[bucket] = start
      start += size
    }
    for (let i = 0; i < count; i++) this.#ids[ends[this.#bucketOf[i]!]!++] = ids[i]!
    this.#scores = scores
    this.#sorted = 0
    this.#nextBucket = 0
  }

  /** The id at a place below `count`; 0 is the highest score's. */
  at(place: number): number {
    while (this.#sorted <= place) {
      const end = this.#ends[this.#nextBucket++]!
      this.#sort(this.#sorted, end)
      this.#sorted = end
    }
    return this.#ids[place]!
  }

  #sort(start: number, end: number): void {
    const scores = this.#scores
    const ids = this.#ids
    if (end - start > SMALL) {
      ids.subarray(start, end).sort((a, b) => scores[b]! - scores[a]! || a - b)
      return
    }
    for (let i = start + 1; i < end; i++) {
      const id = ids[i]!
      const score = scores[id]!
      let at = i
      while (at > start && (scores[ids[at - 1]!]! < score || (scores[ids[at - 1]!] === score && ids[at - 1]! > id))) {
        ids[at] = ids[at - 1]!
        at--
      }
      ids[at] = id
    }
  }
}

/** Longer lists are faster by buckets. */
export const LONGEST_SCAN = 128

/**
 * The `length` ids of the highest scores in their order, by one scan that compares with the last of the best so far.
 * @param ids the first `count` are looked at; in ascending order
 * @param length at most `count`
 */
export function highest(scores: Float64Array | Float32Array, ids: Int32Array, count: number, length: number): Int32Array {
  const best = new Int32Array(length)
  if (length === 0) return best
  let filled = 0
  let least = Infinity
  for (let i = 0; i < count; i++) {
    const id = ids[i]!
    const score = scores[id]!
    if (filled === length && score <= least) continue
    let at = filled < length ? filled++ : length - 1
    for (; at > 0 && scores[best[at - 1]!]! < score; at--) best[at] = best[at - 1]!
    best[at] = id
    least = scores[best[filled - 1]!]!
  }
  return best
}
