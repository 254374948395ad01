// What later layers will probably want: their routers applied to the residual as it is before this layer's experts, which later layers change only a little. Guesses only: they decide what is
// read ahead and nothing else. Rows are written by the thread that has the token, and read by the one that asks for the layer's experts, after a barrier.

import type { Bank } from '../weights/bank.js'
import { Linear } from './linear.js'
import type { Thread } from './thread.js'

/** How many layers ahead. A guess is read only while nothing is missing, so a wrong one costs a slot and time in which the disk had nothing to do. */
const DEPTH = 2
/** A step of more tokens than this wants every expert anyway. */
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
  look(layer: number, token: number, tokens: number): void {
    if (tokens > FEW_TOKENS) return
    const { plan, banks, config, scratch, room } = this.#thread
    const x = scratch.x.at + token * scratch.x.bytes
    const { hiddenSize, experts } = config
    const from = banks[plan.layers[layer]!.bank]!
    for (const [ahead, { bank: home, ffnNormAt }] of this.#next(layer).entries()) {
      const bank: Bank = banks[home]!
      const router = this.#routers[layer + 1 + ahead]!
      // in this thread's room: the residual, its norm, the logits
      const normed = room + hiddenSize * 4
      const logits = normed + hiddenSize * 4
      bank.bytes.set(from.bytes.subarray(x, x + hiddenSize * 4), room)
      bank.kernels.rms_norm(room, ffnNormAt, normed, hiddenSize, config.rmsEps)
      router.multiply(0, router.groups, [normed], [logits], 1)
      this.#logits.set(bank.floats.subarray(logits / 4, logits / 4 + experts), (token * DEPTH + ahead) * experts)
    }
  }

  /** Experts of the next layers, as layer * experts + expert, soonest and likeliest first. */
  likely(layer: number, tokens: number): number[] {
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
