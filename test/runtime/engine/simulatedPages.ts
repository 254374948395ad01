// Pages of a KV cache that are simulated: each cell says which tokens it was written after. Not a test.

import { expect } from 'vitest'
import type { KvCache, Sequence } from '../../../dist/runtime/engine/kvCache.js'
import type { PageCopy } from '../../../dist/runtime/model/step.js'
import { PAGE_POSITIONS } from '../../../dist/runtime/weights/pages.js'

export class SimulatedPages {
  readonly cache: KvCache
  readonly #cells: string[][]

  constructor(cache: KvCache) {
    this.cache = cache
    this.#cells = Array.from({ length: cache.pages }, () => Array(PAGE_POSITIONS).fill('nothing'))
  }

  copy(copies: readonly PageCopy[]): void {
    for (const { from, to } of copies) this.#cells[to] = [...this.#cells[from]!]
  }

  /** Writes the next tokens of a sequence to its pages, as a step does. */
  write(sequence: Sequence, ids: readonly number[]): void {
    const all = [...sequence.ids]
    for (const id of ids) {
      all.push(id)
      const at = all.length - 1
      this.#cells[sequence.table[Math.floor(at / PAGE_POSITIONS)]!]![at % PAGE_POSITIONS] = all.join()
    }
  }

  /** Expects the pages of a sequence to hold its own tokens. */
  check(sequence: Sequence): void {
    for (let at = 0; at < sequence.ids.length; at++) {
      const cell = this.#cells[sequence.table[Math.floor(at / PAGE_POSITIONS)]!]![at % PAGE_POSITIONS]
      expect(cell).toBe(sequence.ids.slice(0, at + 1).join())
    }
  }
}
