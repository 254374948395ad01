// The bytes of the KV cache's pages in the banks, page by page, all layers of a page together: keys, then values, head
// by head. Owns where they lie. Does not know which tokens they belong to.

import { formats } from '../../format/quants/formats.js'
import { kvHeadBytes, PAGE_POSITIONS } from '../weights/pages.js'
import type { Plan } from '../weights/plan.js'
import type { ModelWorkerData } from './worker.js'

export class KvBytes {
  readonly #plan: Plan
  readonly #memories: ModelWorkerData['memories']
  /** Bytes of one head's keys, or values, in a layer: of the whole pool, and of a page. */
  readonly #headBytes: number
  readonly #partBytes: number
  readonly #kvHeads: number
  readonly #headDim: number

  constructor({ plan, memories, config }: Pick<ModelWorkerData, 'plan' | 'memories' | 'config'>) {
    this.#plan = plan
    this.#memories = memories
    this.#kvHeads = config.kvHeads
    this.#headDim = config.headDim
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

  /**
   * How many numbers of a page's bytes are not finite; of 8 bits, how many scales. A scale with a sign is one of them:
   * kernels read it as NaN.
   */
  notFinite(bytes: Uint8Array): number {
    const { kvFormat } = this.#plan
    if (kvFormat === 'q8') return this.#wrongScales(bytes)
    return formats.get(kvFormat === 'f32' ? 'F32' : 'F16')!.notFinite(bytes)
  }

  #wrongScales(bytes: Uint8Array): number {
    let count = 0
    for (let part = 0; part < bytes.length; part += this.#partBytes) {
      const first = part + PAGE_POSITIONS * this.#headDim // scales follow the numbers of a part
      for (let at = first + 1; at < part + this.#partBytes; at += 2) if (bytes[at]! >= 0x7c) count++
    }
    return count
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
