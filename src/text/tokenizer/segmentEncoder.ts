// Plain text to tokens by SentencePiece's byte-pair algorithm: repeatedly merge the two neighbors whose piece has the
// highest score, the left-most first. Owns the cutting of a text into segments that no merge can cross, and a cache of
// segments, since words recur. Owns the spelling of spaces, which is U+2581 in the vocabulary. Knows nothing of special
// tokens.

import { atOnce, type Steps } from '../../base/timeSlice.js'
import { MergeQueue } from './mergeQueue.js'
import type { MergeTable } from './mergeTable.js'
import type { Vocabulary } from './vocabulary.js'

const CACHED_SEGMENTS = 32768
const LONGEST_CACHED = 48
/** Characters, or merges, between two places where the work may pause. */
const PAUSE = 512
const NONE = -1
/** A space, and how the vocabulary spells it: of one UTF-16 unit both. */
const SPACE = 0x20
const SPELLED_SPACE = 0x2581

/** The characters of one segment while they merge. Each array is (position). */
class MergeList {
  readonly points: Int32Array
  readonly symbols: Int32Array
  readonly next: Int32Array
  readonly previous: Int32Array
  /** The token that a position and the next one merge into. */
  readonly candidates: Int32Array
  readonly queue: MergeQueue

  constructor(length: number) {
    this.points = new Int32Array(length)
    this.symbols = new Int32Array(length)
    this.next = new Int32Array(length)
    this.previous = new Int32Array(length)
    this.candidates = new Int32Array(length)
    this.queue = new MergeQueue(3 * length) // one entry per position, and each merge takes one out and puts at most two in
  }
}

export class SegmentEncoder {
  readonly #vocabulary: Vocabulary
  readonly #table: MergeTable
  readonly #cache = new Map<string, readonly number[]>()
  readonly #short = new MergeList(LONGEST_CACHED)
  readonly #utf8 = new TextEncoder()

  constructor(vocabulary: Vocabulary, table: MergeTable) {
    this.#vocabulary = vocabulary
    this.#table = table
  }

  /** Appends the tokens of a well-formed text to `ids`. Time is at most O(n log n) in the longest segment. */
  *encode(text: string, ids: number[]): Steps<void> {
    const table = this.#table
    let start = 0
    let pause = PAUSE
    let previous = NONE
    for (let at = 0; at < text.length; ) {
      const point = pointAt(text, at)
      const symbol = table.symbolOf(point)
      if (at > start && !table.areNeighbors(previous, symbol)) {
        const segment = text.slice(start, at)
        if (segment.length > LONGEST_CACHED) yield* this.#appendLong(segment, ids)
        else this.#append(segment, ids)
        start = at
      }
      if (at >= pause) {
        yield
        pause = at + PAUSE
      }
      previous = symbol
      at += point < 65536 ? 1 : 2
    }
    if (start < text.length) yield* this.#appendLong(text.slice(start), ids)
  }

  *#appendLong(segment: string, ids: number[]): Steps<void> {
    if (segment.length <= LONGEST_CACHED) return this.#append(segment, ids)
    for (const id of yield* this.#merge(segment)) ids.push(id)
  }

  #append(segment: string, ids: number[]): void {
    let tokens = this.#cache.get(segment)
    if (tokens === undefined) {
      tokens = atOnce(this.#merge(segment)) // its list is that of all short segments
      if (this.#cache.size === CACHED_SEGMENTS) this.#cache.clear()
      this.#cache.set(segment, tokens)
    }
    for (let i = 0; i < tokens.length; i++) ids.push(tokens[i]!)
  }

  /** The tokens of one segment: a linked list over its characters that shrinks as neighbors merge. */
  *#merge(segment: string): Steps<readonly number[]> {
    const table = this.#table
    const list = segment.length <= LONGEST_CACHED ? this.#short : new MergeList(segment.length)
    const { points, symbols, next, previous, queue } = list
    let count = 0
    for (let at = 0; at < segment.length; at += points[count++]! < 65536 ? 1 : 2) {
      points[count] = pointAt(segment, at)
      symbols[count] = table.symbolOf(points[count]!)
      next[count] = count + 1
      previous[count] = count - 1
      if (count % PAUSE === PAUSE - 1) yield
    }
    next[count - 1] = NONE
    for (let at = 0; at < count; at++) {
      this.#consider(list, at)
      if (at % PAUSE === PAUSE - 1) yield
    }
    while (!queue.isEmpty) {
      this.#mergeSome(list)
      yield
    }
    const tokens: number[] = []
    for (let at = 0; at !== NONE; at = next[at]!) {
      const symbol = symbols[at]!
      if (symbol >= 0 && symbol < this.#vocabulary.pieces.length) tokens.push(symbol)
      else tokens.push(...this.#spell(points[at]!))
      if (tokens.length % PAUSE === 0) yield
    }
    return tokens
  }

  /** Merges some neighbors, or all that are left. */
  #mergeSome(list: MergeList): void {
    const { rank } = this.#table
    const { symbols, next, previous, candidates, queue } = list
    for (let merges = 0; merges < PAUSE && !queue.isEmpty; merges++) {
      const first = queue.pop()
      const left = first.position
      const token = candidates[left]!
      if (token === NONE || rank[token] !== first.rank) continue // a neighbor has merged since
      const right = next[left]!
      const after = next[right]!
      symbols[left] = token
      candidates[right] = NONE
      next[left] = after
      if (after !== NONE) previous[after] = left
      this.#consider(list, left)
      if (previous[left] !== NONE) this.#consider(list, previous[left]!)
    }
  }

  /** Puts what a position and the next one merge into in the queue. */
  #consider({ symbols, next, candidates, queue }: MergeList, left: number): void {
    const right = next[left]!
    const token = right === NONE ? NONE : this.#table.merged(symbols[left]!, symbols[right]!)
    candidates[left] = token
    if (token !== NONE) queue.push(this.#table.rank[token]!, left)
  }

  /**
   * A character without a token: the tokens of its UTF-8 bytes, or the unknown token when the vocabulary lacks one of
   * them.
   */
  #spell(point: number): number[] {
    const { idOfByte, unknownId } = this.#vocabulary
    const tokens = Array.from(this.#utf8.encode(String.fromCodePoint(point)), (byte) => idOfByte[byte]!)
    return tokens.includes(-1) ? [unknownId!] : tokens
  }
}

function pointAt(text: string, at: number): number {
  const point = text.codePointAt(at)!
  return point === SPACE ? SPELLED_SPACE : point
}
