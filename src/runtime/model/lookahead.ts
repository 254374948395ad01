// Predicts which experts later layers will choose: applies their routers to the residual as it is before this layer's
// experts, which later layers change only a little. Predictions decide what is prefetched and nothing else. The thread
// that has a token writes its row; the thread that requests the layer's experts reads all rows, after a barrier. Owns
// these rows. Does not know what is resident.

import { FEW_ROWS } from '../residency/nextUse.js'
import type { Bank } from '../weights/bank.js'
import { rowAt } from '../weights/scratch.js'
import { Linear } from './linear.js'
import type { Thread } from './thread.js'

/**
 * How many layers ahead. A prefetch may evict only while no required expert is missing, so a wrong one costs a slot and
 * time in which the disk had nothing else to do.
 */
const DEPTH = 2
export class Lookahead {
  readonly #thread: Thread
  readonly #routers: readonly Linear[]
  readonly #logits: Float32Array // (FEW_ROWS, DEPTH, experts)

  /** Bytes of the shared memory. */
  static bytes(experts: number): number {
    return 4 * FEW_ROWS * DEPTH * experts
  }

  constructor(thread: Thread, memory: SharedArrayBuffer) {
    this.#thread = thread
    this.#routers = thread.plan.layers.map(({ ffnGateInp }) => new Linear(thread.banks, ffnGateInp))
    this.#logits = new Float32Array(memory)
  }

  /** Applies the next layers' routers to one row of a step of `rows`. */
  predict(layer: number, row: number, rows: number): void {
    if (rows > FEW_ROWS) return
    const { plan, banks, config, scratch, privateAt } = this.#thread
    const { hiddenSize, experts } = config
    const x = rowAt(scratch.x, row)
    const from = banks[plan.layers[layer]!.bank]!
    for (const [ahead, { bank: home, ffnNormAt }] of this.#next(layer).entries()) {
      const bank: Bank = banks[home]!
      const router = this.#routers[layer + 1 + ahead]!
      // in this thread's scratch: the residual, its norm, the logits
      const normed = privateAt + hiddenSize * 4
      const logits = normed + hiddenSize * 4
      bank.bytes.set(from.bytes.subarray(x, x + hiddenSize * 4), privateAt)
      bank.kernels.rms_norm(privateAt, ffnNormAt, normed, hiddenSize, config.rmsEps)
      router.multiply(0, router.groups, [normed], [logits], 1)
      this.#logits.set(bank.floats.subarray(logits / 4, logits / 4 + experts), (row * DEPTH + ahead) * experts)
    }
  }

  /**
   * The predicted experts of the next layers by key, layer * experts + expert: soonest and likeliest first. All of them
   * for a step of more than a few rows.
   */
  predicted(layer: number, rows: number): number[] {
    const { experts, expertsPerToken } = this.#thread.config
    if (experts === expertsPerToken) return []
    return this.#next(layer).flatMap((_, ahead) => {
      const first = (layer + 1 + ahead) * experts
      if (rows > FEW_ROWS) return Array.from({ length: experts }, (_, expert) => first + expert)
      const chosen = new Set<number>()
      for (let row = 0; row < rows; row++) {
        const at = (row * DEPTH + ahead) * experts
        const logits = this.#logits.subarray(at, at + experts)
        const order = [...logits.keys()].sort((a, b) => logits[b]! - logits[a]!)
        for (const expert of order.slice(0, expertsPerToken)) chosen.add(first + expert)
      }
      return [...chosen]
    })
  }

  #next(layer: number) {
    return this.#thread.plan.layers.slice(layer + 1, layer + 1 + DEPTH)
  }
}
