// The forward pass, as every thread runs it: the same program, the same barriers, each thread its own units. A reader who follows one token reads `run` downwards.
// The residual stream lies in the bank of the layer that works on it. Between stages, everything that belongs to one token alone (sums, norms, routing, quantisation)
// is one unit.

import type { ActivationKind } from '../../format/quants/activations.js'
import { formats } from '../../format/quants/formats.js'
import type { PlacedLayer } from '../weights/plan.js'
import { Attention } from './attention.js'
import type { ExpertStore } from './expertStore.js'
import { Experts } from './experts.js'
import { Linear } from './linear.js'
import { STAGES, type Step } from './step.js'
import type { Thread } from './thread.js'
import { frequencies, writeTurns } from './turns.js'

interface Layer {
  readonly index: number
  readonly placed: PlacedLayer
  readonly attention: Attention
  readonly router: Linear
  readonly experts: Experts
  /** What router and experts want their input in. */
  readonly inputKinds: ReadonlySet<ActivationKind>
}

export class Forward {
  readonly #thread: Thread
  readonly #store: ExpertStore
  readonly #layers: readonly Layer[]
  readonly #output: Linear
  readonly #homes: readonly number[]
  readonly #frequency: Float64Array

  constructor(thread: Thread, store: ExpertStore) {
    const { plan, banks, config } = thread
    this.#thread = thread
    this.#store = store
    this.#layers = plan.layers.map((placed, index) => {
      const router = new Linear(banks, placed.ffnGateInp)
      const experts = new Experts(thread, store, index, placed)
      return {
        index,
        placed,
        attention: new Attention(thread, placed),
        router,
        experts,
        inputKinds: new Set([...experts.kinds, router.kind]),
      }
    })
    this.#output = new Linear(banks, plan.output)
    this.#homes = [...new Set(plan.layers.map(({ bank }) => bank))]
    this.#frequency = frequencies(config.ropeDim, config.ropeTheta)
  }

  run(step: Step): void {
    const { firstLayer, endLayer, firstStage, endStage, count } = step
    const home = (index: number) => this.#layers[index]?.placed.bank ?? this.#output.bankIndex
    this.#thread.each('embed', count, (t) => this.#begin(step, t, home(firstLayer)))
    for (let index = firstLayer; index < endLayer; index++) {
      const layer = this.#layers[index]!
      const stages = this.#stages(layer, index > firstLayer ? this.#layers[index - 1] : undefined)
      const end = index === endLayer - 1 ? endStage : STAGES
      for (let at = index === firstLayer ? firstStage : 0; at < end; at++) stages[at]!(step)
    }
    const last = endLayer > firstLayer && endStage === STAGES ? this.#layers[endLayer - 1] : undefined
    this.#end(step, last, step.logits ? this.#output.bankIndex : home(endLayer - 1))
  }

  /** A layer's stages, in the order of `stage` (mailbox.ts); the layer before ends in the first of them. */
  #stages(layer: Layer, before: Layer | undefined): readonly ((step: Step) => void)[] {
    const { placed, attention, experts } = layer
    return [
      ({ count, traced }) =>
        this.#thread.each('norm', count, (t) => {
          if (before) this.#settle(before, t, placed.bank, traced)
          this.#norm(placed.bank, placed.attnNormAt, t, attention.kinds)
        }),
      (step) => attention.project(step),
      (step) => attention.rotateAndStore(step),
      (step) => attention.attend(step),
      (step) => attention.projectOutput(step),
      ({ count }) =>
        this.#thread.each('route', count, (t) => {
          this.#route(layer, t)
          this.#store.look(layer.index, t, count)
        }),
      (step) => experts.run(step),
    ]
  }

  /** A token's embedding, and the turns of its position for every bank that rotates. */
  #begin({ embed, tokens, position }: Step, t: number, bank: number): void {
    const { scratch, plan, banks, config } = this.#thread
    if (embed) {
      const { bank: from, at, type, rowBytes } = plan.tokenEmbd
      const start = at + tokens[t]! * rowBytes
      const x = (scratch.x.at + t * scratch.x.bytes) / 4
      formats
        .get(type)!
        .dequantize(banks[from]!.bytes.subarray(start, start + rowBytes), banks[bank]!.floats.subarray(x, x + config.hiddenSize))
    }
    const turns = scratch.turns.at + t * scratch.turns.bytes
    const [first, ...others] = this.#homes
    writeTurns(this.#frequency, position + t, banks[first!]!.floats, turns / 4)
    for (const other of others) this.#thread.copy(first!, other, turns, scratch.turns.bytes)
  }

  /** Adds the weighted outputs of a layer's experts to a token's residual, which moves to the bank `to`. */
  #settle({ placed, experts }: Layer, t: number, to: number, traced: boolean): void {
    const thread = this.#thread
    const { scratch, config } = thread
    const { floats } = thread.banks[placed.bank]!
    const x = scratch.x.at + t * scratch.x.bytes
    const { expertWeights, expertOutputs } = scratch
    thread.copy(placed.bank, to, x, scratch.x.bytes)
    for (let k = 0; k < config.expertsPerToken; k++) {
      const weight = floats[(expertWeights.at + t * expertWeights.bytes) / 4 + k]!
      const pair = t * config.expertsPerToken + k
      const y = expertOutputs.at + pair * expertOutputs.bytes
      thread.copy(experts.bankOf(pair), to, y, expertOutputs.bytes)
      if (traced)
        for (const { at, bytes } of Object.values(scratch.expertInputs)) thread.copy(experts.bankOf(pair), to, at + pair * bytes, bytes)
      thread.banks[to]!.kernels.add_scaled(x, y, config.hiddenSize, weight)
    }
  }

  /** A token's residual, normed, in the kinds that the next matrices want. */
  #norm(bankIndex: number, weightAt: number, t: number, kinds: ReadonlySet<ActivationKind>): void {
    const { scratch, banks, config } = this.#thread
    const bank = banks[bankIndex]!
    const out = scratch.inputs.f32!
    bank.kernels.rms_norm(scratch.x.at + t * scratch.x.bytes, weightAt, out.at + t * out.bytes, config.hiddenSize, config.rmsEps)
    this.#thread.quantize(bank, scratch.inputs, kinds, t, config.hiddenSize)
  }

  /** Adds attention's output, norms, and chooses the token's experts. */
  #route({ placed, router, inputKinds }: Layer, t: number): void {
    const thread = this.#thread
    const { scratch, config } = thread
    const { kernels } = thread.banks[placed.bank]!
    const { projected, routerLogits, expertIds, expertWeights } = scratch
    kernels.add(scratch.x.at + t * scratch.x.bytes, projected.at + t * projected.bytes, config.hiddenSize)
    this.#norm(placed.bank, placed.ffnNormAt, t, inputKinds)
    const area = scratch.inputs[router.kind]!
    const input = area.at + t * area.bytes
    const logits = routerLogits.at + t * routerLogits.bytes
    const ids = expertIds.at + t * expertIds.bytes
    router.multiply(0, router.groups, [input], [logits], 1)
    kernels.route(logits, config.experts, config.expertsPerToken, ids, expertWeights.at + t * expertWeights.bytes)
  }

  /** The last layer's experts, and the logits of the last positions. */
  #end({ count, logits, traced }: Step, last: Layer | undefined, bank: number): void {
    const thread = this.#thread
    const { plan, scratch } = thread
    const output = this.#output
    const from = count - logits
    thread.each('norm', count, (t) => {
      if (last) this.#settle(last, t, bank, traced)
      if (t >= from) this.#norm(bank, plan.outputNormAt, t, new Set([output.kind]))
    })
    if (!logits) return
    const area = scratch.inputs[output.kind]!
    const rowBytes = output.groups * 16
    const inputs = Array.from({ length: logits }, (_, i) => area.at + (from + i) * area.bytes)
    thread.eachRows('logits', [output], (_, first, groups) => {
      const outputs = inputs.map((_, i) => plan.logitsAt + i * rowBytes + first * 16)
      output.multiply(first, groups, inputs, outputs, logits)
    })
  }
}
