// The sequence of calls that run one after the other: each goes on with what the KV cache holds of its tokens, of the
// call before or of any earlier one. Owns the cache and the sequence that is open.

import { MixtralError } from '../../base/errors.js'
import type { PageCopy } from '../model/step.js'
import { PAGE_POSITIONS } from '../weights/pages.js'
import { KvCache, type Sequence } from './kvCache.js'

export class CurrentSequence {
  readonly #cache: KvCache
  #sequence: Sequence

  /** @param pages of the KV cache */
  constructor(pages: number) {
    this.#cache = new KvCache(pages * PAGE_POSITIONS)
    this.#sequence = this.#cache.open([], 0)
  }

  /** How many tokens have been run. */
  get length(): number {
    return this.#sequence.ids.length
  }

  /** The page of each PAGE_POSITIONS tokens. */
  get table(): readonly number[] {
    return this.#sequence.table
  }

  /** Goes on with what the cache holds of `ids`, all but the last at most. Returns how many tokens that is. */
  reuse(ids: readonly number[]): number {
    const most = ids.length - 1
    const common = Math.min(commonPrefix(this.#sequence.ids, ids), most)
    if (common === most) {
      this.#cache.rewind(this.#sequence, common)
      return common
    }
    const other = this.#cache.open(ids, most)
    if (other.ids.length > common) {
      this.#cache.close(this.#sequence)
      this.#sequence = other
    } else {
      this.#cache.close(other)
      this.#cache.rewind(this.#sequence, common)
    }
    return this.length
  }

  /** Begins anew. What was run stays in the cache. */
  restart(): void {
    this.#cache.close(this.#sequence)
    this.#sequence = this.#cache.open([], 0)
  }

  /** Begins anew with an empty cache. */
  reset(): void {
    this.restart()
    this.#cache.clear()
  }

  /** Makes places for the next `count` tokens, runs the step, and has the tokens if it succeeds. */
  async run(tokens: readonly number[], step: (copies: readonly PageCopy[]) => Promise<void>): Promise<void> {
    const copies = this.extend(tokens.length)
    try {
      await step(copies)
    } finally {
      this.#cache.copied(copies)
    }
    this.#cache.commit(this.#sequence, tokens)
  }

  /** Makes places for the next `count` tokens. Throws `CONTEXT` if there are not enough pages. */
  extend(count: number): PageCopy[] {
    const copies = this.#cache.extend(this.#sequence, count)
    if (copies) return copies
    const space = this.#cache.pages * PAGE_POSITIONS
    throw new MixtralError('CONTEXT', `${this.length + count} tokens, the KV cache has space for ${space}`)
  }
}

function commonPrefix(a: readonly number[], b: readonly number[]): number {
  let n = 0
  while (n < a.length && n < b.length && a[n] === b[n]) n++
  return n
}
