// A layer's experts, shared by all threads: tokens are grouped by expert, and each expert's rows are multiplied with all its tokens at once. A pair is one token in
// one of its experts. Reads `inputs`, leaves each pair's output in `expertOutputs` of the expert's bank; the weighting is the next norm's business (residual.ts).

import type { ActivationKind } from '../kernels/activation.js'
import { activationBlock } from '../kernels/activation.js'
import type { PlacedLayer } from '../weights/plan.js'
import { EXPERT_ROWS } from '../weights/scratch.js'
import { Linear } from './linear.js'
import type { Step } from './mailbox.js'
import type { Thread } from './thread.js'

interface Expert {
  readonly bankIndex: number
  readonly gate: Linear
  readonly up: Linear
  readonly down: Linear
  /** Pairs of this step: token * used + rank. */
  readonly pairs: Int32Array
  count: number
}

export class Experts {
  readonly #thread: Thread
  readonly #home: number
  readonly #experts: readonly Expert[]
  /** What the norm before must leave in `inputs`. */
  readonly kinds: ReadonlySet<ActivationKind>
  readonly #inputs: Int32Array
  readonly #outputs: Int32Array

  constructor(thread: Thread, layer: PlacedLayer) {
    const pairs = thread.plan.batch * thread.config.expertsPerToken
    this.#thread = thread
    this.#home = layer.bank
    this.#experts = layer.experts.map((expert) => ({
      bankIndex: expert.bank,
      gate: new Linear(thread.banks, expert.ffnGate),
      up: new Linear(thread.banks, expert.ffnUp),
      down: new Linear(thread.banks, expert.ffnDown),
      pairs: new Int32Array(thread.plan.batch),
      count: 0,
    }))
    this.kinds = new Set(this.#experts.flatMap(({ gate, up }) => [gate.kind, up.kind]))
    this.#inputs = new Int32Array(pairs)
    this.#outputs = new Int32Array(pairs)
  }

  /** The bank of an expert. */
  bankOf(expert: number): number {
    return this.#experts[expert]!.bankIndex
  }

  run(step: Step): void {
    const active = this.#group(step)
    this.#gateAndUp(active)
    this.#down(active)
  }

  /** Every thread reads the routing for itself: the same lists everywhere, without a barrier. */
  #group({ count }: Step): Expert[] {
    const { scratch, banks, config } = this.#thread
    const { ints } = banks[this.#home]!
    const used = config.expertsPerToken
    for (const expert of this.#experts) expert.count = 0
    for (let t = 0; t < count; t++) {
      const row = (scratch.expertIds.at + t * scratch.expertIds.bytes) / 4
      for (let k = 0; k < used; k++) {
        const expert = this.#experts[ints[row + k]!]!
        expert.pairs[expert.count++] = t * used + k
      }
    }
    return this.#experts.filter((expert) => expert.count)
  }

  /** A unit is EXPERT_ROWS rows of an expert, all its tokens: gate, up, their product, and its blocks of ffn_down's input. */
  #gateAndUp(active: readonly Expert[]): void {
    const thread = this.#thread
    const { scratch, room } = thread
    const used = thread.config.expertsPerToken
    const groups = thread.config.intermediateSize / 4
    const blocks = Math.ceil(groups / (EXPERT_ROWS / 4))
    const upRoom = room + 4 * EXPERT_ROWS * 4
    thread.each(active.length * blocks, (unit) => {
      const expert = active[Math.floor(unit / blocks)]!
      const { gate, up, down, pairs } = expert
      const { kernels } = gate.bank
      const first = (unit % blocks) * (EXPERT_ROWS / 4)
      const size = Math.min(EXPERT_ROWS / 4, Math.ceil(groups - first))
      const rows = Math.min(EXPERT_ROWS, thread.config.intermediateSize - first * 4)
      const area = scratch.expertInputs[down.kind]!
      for (let i = 0; i < expert.count; i += 4) {
        const n = Math.min(4, expert.count - i)
        this.#products(gate, first, size, pairs, i, n, room, used)
        this.#products(up, first, size, pairs, i, n, upRoom, used)
        for (let j = 0; j < n; j++) {
          const hidden = room + j * EXPERT_ROWS * 4
          const row = area.at + pairs[i + j]! * area.bytes
          kernels.swiglu(hidden, upRoom + j * EXPERT_ROWS * 4, rows)
          if (down.kind === 'f32') {
            gate.bank.bytes.copyWithin(row + first * 16, hidden, hidden + rows * 4)
          } else {
            const block = activationBlock[down.kind]
            kernels[`quantize_${down.kind}`](hidden, rows / block, row, down.columns / block, (first * 4) / block)
          }
        }
      }
    })
  }

  #products(linear: Linear, first: number, size: number, pairs: Int32Array, from: number, n: number, out: number, used: number): void {
    const area = this.#thread.scratch.inputs[linear.kind]!
    for (let j = 0; j < n; j++) {
      this.#inputs[j] = area.at + Math.floor(pairs[from + j]! / used) * area.bytes
      this.#outputs[j] = out + j * EXPERT_ROWS * 4
    }
    linear.multiply(first, size, this.#inputs, this.#outputs, n)
  }

  #down(active: readonly Expert[]): void {
    const { scratch } = this.#thread
    const { expertOutputs } = scratch
    this.#thread.eachRows(
      active.map(({ down }) => down),
      (which, first, groups) => {
        const { down, pairs, count } = active[which]!
        const area = scratch.expertInputs[down.kind]!
        for (let i = 0; i < count; i++) {
          this.#inputs[i] = area.at + pairs[i]! * area.bytes
          this.#outputs[i] = expertOutputs.at + pairs[i]! * expertOutputs.bytes + first * 16
        }
        down.multiply(first, groups, this.#inputs, this.#outputs, count)
      },
    )
  }
}
