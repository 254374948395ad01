// The bytes of the KV cache's pages in the banks, page by page, all layers of a page together: keys, then values, head
// by head. Owns where they lie. Does not know which tokens they belong to.

import { kvHeadBytes } from '../weights/pages.js'
import type { Plan } from '../weights/plan.js'
import type { ModelWorkerData } from './worker.js'

export class KvBytes {
  readonly #plan: Plan
  readonly #memories: ModelWorkerData['memories']
  /** Bytes of one head's keys, or values, in a layer: of the whole pool, and of a page. */
  readonly #headBytes: number
  readonly #partBytes: number
  readonly #kvHeads: number

  constructor({ plan, memories, config }: Pick<ModelWorkerData, 'plan' | 'memories' | 'config'>) {
    this.#plan = plan
    this.#memories = memories
    this.#kvHeads = config.kvHeads
    this.#headBytes = kvHeadBytes(plan.pages, config.headDim, plan.kvFormat)
    this.#partBytes = this.#headBytes / plan.pages
  }

  /** Bytes of a page in all layers. */
  get pageBytes(): number {
    return this.#plan.layers.length * 2 * this.#kvHeads * this.#partBytes
  }

  /** A copy of a page. */
  read(page: number): Uint8Array {
    const bytes = new Uint8Array(this.pageBytes)
    this.#each(page, (part, at) => bytes.set(part, at))
    return bytes
  }

  write(page: number, bytes: Uint8Array): void {
    this.#each(page, (part, at) => part.set(bytes.subarray(at, at + part.length)))
  }

  /** Calls with the view of each part of a page, and where it is in the page's bytes. */
  #each(page: number, call: (part: Uint8Array, at: number) => void): void {
    let at = 0
    for (const { bank, keysAt, valuesAt } of this.#plan.layers) {
      for (const start of [keysAt, valuesAt]) {
        for (let head = 0; head < this.#kvHeads; head++) {
          const from = start + head * this.#headBytes + page * this.#partBytes
          call(new Uint8Array(this.#memories[bank]!.buffer, from, this.#partBytes), at)
          at += this.#partBytes
        }
      }
    }
  }
}
