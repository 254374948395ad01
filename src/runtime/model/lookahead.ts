// Predicts which experts later layers will choose: applies their routers to the residual as it is before this layer's
// experts, which later layers change only a little. Predictions decide what is prefetched and nothing else. The thread
// that has a token writes its row; the thread that requests the layer's experts reads all rows, after a barrier. Owns
// these rows. Does not know what is resident.

import type { Bank } from '../weights/bank.js'
import { rowAt } from '../weights/scratch.js'
import { Linear } from './linear.js'
import type { Thread } from './thread.js'

/**
 * How many layers ahead. A prefetch may evict only while no required expert is missing, so a wrong one costs a slot and
 * time in which the disk had nothing else to do.
 */
const DEPTH = 2
/** A step of more tokens than this needs nearly every expert, and predicts them all. */
const FEW_TOKENS = 4

export class Lookahead {
  readonly #thread: Thread
  readonly #routers: readonly Linear[]
  readonly #logits: Float32Array // (FEW_TOKENS, DEPTH, experts)

  /** Bytes of the shared memory. */
  static bytes(experts: number): number {
    return 4 * FEW_TOKENS * DEPTH * experts
  }

  constructor(thread: Thread, memory: SharedArrayBuffer) {
    this.#thread = thread
    this.#routers = thread.plan.layers.map(({ ffnGateInp }) => new Linear(thread.banks, ffnGateInp))
    this.#logits = new Float32Array(memory)
  }

  /** Applies the next layers' routers to one token of a step of `tokens`. */
  predict(layer: number, token: number, tokens: number): void {
    if (tokens > FEW_TOKENS) return
    const { plan, banks, config, scratch, privateAt } = this.#thread
    const { hiddenSize, experts } = config
    const x = rowAt(scratch.x, token)
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
      this.#logits.set(bank.floats.subarray(logits / 4, logits / 4 + experts), (token * DEPTH + ahead) * experts)
    }
  }

  /** The predicted experts of the next layers by key, layer * experts + expert: soonest and likeliest first. */
  predicted(layer: number, tokens: number): number[] {
    const { experts, expertsPerToken } = this.#thread.config
    if (experts === expertsPerToken) return []
    return this.#next(layer).flatMap((_, ahead) => {
      const first = (layer + 1 + ahead) * experts
      if (tokens > FEW_TOKENS) return Array.from({ length: experts }, (_, expert) => first + expert)
      const chosen = new Set<number>()
      for (let token = 0; token < tokens; token++) {
        const at = (token * DEPTH + ahead) * experts
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
