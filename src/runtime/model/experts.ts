// A layer's experts, shared by all threads: tokens are grouped by expert, and each expert's rows are multiplied with
// all its tokens at once. A pair is one token in one of its experts. Reads `inputs`, writes each pair's output to
// `expertOutputs` in the expert's bank. Does not weight and sum the outputs: the next stage does (forward.ts).

import type { ActivationKind } from '../../format/quants/activations.js'
import type { PlacedChanges } from '../adapters/placedAdapters.js'
import { activationBlock, packings } from '../kernels/packing.js'
import type { PlacedLayer } from '../weights/plan.js'
import { EXPERT_ROWS, rowAt } from '../weights/scratch.js'
import type { AcquiredExpert, ExpertStore } from './expertStore.js'
import type { Linear } from './linear.js'
import { LowRankProducts } from './lowRankProducts.js'
import { FEW_TOKENS } from './rowUnits.js'
import type { StepRows } from './step.js'
import type { Thread } from './thread.js'

/** Rows of gate or up that are multiplied at a time, so that they stay in the core's cache; for few tokens, more. */
const CACHED_ROWS = 64
const ROWS_FOR_FEW = 128
/** Groups of four rows of down, whose rows are longer, that are multiplied as they arrive. */
const CACHED_GROUPS = 8

/** The tokens of one expert in one step. */
interface Group {
  readonly index: number
  /** Places in the step's list of pairs. */
  readonly pairs: Int32Array
  count: number
}

/** A group whose expert has a slot. */
interface Active extends AcquiredExpert {
  readonly pairs: Int32Array
  count: number
}

export class Experts {
  readonly #thread: Thread
  readonly #store: ExpertStore
  readonly #layer: number
  readonly #home: number
  /** Units of gate and up that an expert has. */
  readonly #blocks: number
  readonly #groups: readonly Group[]
  /** The groups of this step that have tokens. */
  readonly #used: Group[] = []
  /** By expert, once it was used: experts that stay in their slots. */
  readonly #residents: Active[] = []
  /**
   * The step that runs and the experts of its round, for units, which are made once: nothing is allocated for a layer.
   */
  #step!: StepRows
  #active: Active[] = []
  readonly #downs: Linear[] = []
  /** Activation formats that the norm before must write to `inputs`. */
  readonly kinds: ReadonlySet<ActivationKind>
  readonly #inputs: Int32Array
  readonly #outputs: Int32Array
  /** (pairs): the bank of each pair's output. */
  readonly #banks: Int32Array
  /** What adapters add to gate and up, and to down, of each expert. */
  readonly #gateUpChanges: readonly LowRankProducts[]
  readonly #downChanges: readonly LowRankProducts[]

  constructor(thread: Thread, store: ExpertStore, index: number, layer: PlacedLayer, changes?: PlacedChanges) {
    const { batchSize, scratch } = thread.plan
    const { pairs } = scratch
    this.#thread = thread
    this.#store = store
    this.#layer = index
    this.#home = layer.bank
    this.#blocks = Math.ceil(thread.config.intermediateSize / EXPERT_ROWS)
    this.#groups = layer.experts.map((_, expert) => ({ index: expert, pairs: new Int32Array(batchSize), count: 0 }))
    this.kinds = new Set(layer.experts.flatMap(({ ffnGate, ffnUp }) => [ffnGate, ffnUp].map(({ type }) => packings[type.name]!.activation)))
    this.#inputs = new Int32Array(pairs)
    this.#outputs = new Int32Array(pairs)
    this.#banks = new Int32Array(pairs)
    const { experts = [] } = changes ?? {}
    this.#gateUpChanges = experts.map(({ ffnGate, ffnUp }) => new LowRankProducts(thread, thread.adapted!.low.gateUp, [ffnGate, ffnUp]))
    this.#downChanges = experts.map(({ ffnDown }) => new LowRankProducts(thread, thread.adapted!.low.down, [ffnDown]))
  }

  /** The bank that holds a pair's output after `run`. */
  bankOf(pair: number): number {
    return this.#banks[pair]!
  }

  /** Prepares what adapters add to gate and up of a row's experts, from its normed input. */
  lowerInputs(step: StepRows, t: number): void {
    if (!step.scales || this.#gateUpChanges.length === 0) return
    const { scratch, banks, config } = this.#thread
    const ids = rowAt(scratch.expertIds, t) / 4
    for (let k = 0; k < step.used[t]!; k++) {
      const changes = this.#gateUpChanges[banks[this.#home]!.ints[ids + k]!]!
      changes.lower(step, t, step.firstPair[t]! + k, this.#home, rowAt(scratch.inputs.f32!, t), config.hiddenSize * 4)
    }
  }

  /** Runs the experts in the store's rounds, or all together. A pair's output does not depend on the round. */
  run(step: StepRows): void {
    this.#step = step
    this.#group(step)
    if (this.#gatherResidents()) {
      this.#runRound()
      return
    }
    const used = this.#used.map(({ index }) => index)
    for (const round of this.#store.rounds(this.#layer, step, used)) {
      this.#active = round.map((expert) => {
        const { pairs, count } = this.#groups[expert.index]!
        return { ...expert, pairs, count }
      })
      this.#runRound()
    }
  }

  #runRound(): void {
    this.#distribute(this.#active, this.#step.pairRows)
    this.#thread.each('gate and up', this.#active.length * this.#blocks, this.#gateAndUpUnit)
    this.#lowerHidden(this.#active, this.#step)
    this.#down(this.#active)
  }

  /** Makes all experts of the step the round's, if every expert has a slot of its own. Returns whether that is so. */
  #gatherResidents(): boolean {
    this.#active.length = 0
    for (const { index, pairs, count } of this.#used) {
      let active = this.#residents[index]
      if (!active) {
        const expert = this.#store.resident(this.#layer, index)
        if (!expert) return false
        active = { ...expert, pairs, count }
        this.#residents[index] = active
      }
      active.count = count
      this.#active.push(active)
    }
    return true
  }

  /** Groups the pairs by expert. Every thread reads the routing for itself: the same lists, without a barrier. */
  #group({ count, used, firstPair }: StepRows): void {
    const { scratch, banks } = this.#thread
    const { ints } = banks[this.#home]!
    for (const group of this.#groups) group.count = 0
    for (let t = 0; t < count; t++) {
      const row = rowAt(scratch.expertIds, t) / 4
      for (let k = 0; k < used[t]!; k++) {
        const group = this.#groups[ints[row + k]!]!
        group.pairs[group.count++] = firstPair[t]! + k
      }
    }
    this.#used.length = 0
    for (const group of this.#groups) if (group.count) this.#used.push(group)
    this.#used.sort(mostRowsFirst)
  }

  /** Copies the inputs of experts that lie in another bank than the layer's. */
  #distribute(active: readonly Active[], pairRows: Int32Array): void {
    const { scratch } = this.#thread
    let isAway = false
    for (const { bankIndex, pairs, count } of active) {
      for (let i = 0; i < count; i++) this.#banks[pairs[i]!] = bankIndex
      isAway ||= bankIndex !== this.#home
    }
    if (!isAway) return
    const away = active.filter(({ bankIndex }) => bankIndex !== this.#home)
    this.#thread.each('route', away.length, (unit) => {
      const { bankIndex, pairs, count } = away[unit]!
      for (let i = 0; i < count; i++) {
        const t = pairRows[pairs[i]!]!
        for (const kind of this.kinds) {
          const area = scratch.inputs[kind]!
          this.#thread.copy(this.#home, bankIndex, rowAt(area, t), area.bytes)
        }
      }
    })
  }

  /**
   * A unit is EXPERT_ROWS rows of an expert for all its tokens: gate, up, swiglu, and their blocks of ffn_down's input.
   */
  readonly #gateAndUpUnit = (unit: number): void => {
    const of = this.#step
    const { pairRows } = of
    const { privateAt: gated, config } = this.#thread // in the thread's scratch: (tokens, EXPERT_ROWS) of gate, then of up
    const { intermediateSize } = config
    const expert = this.#active[Math.floor(unit / this.#blocks)]!
    const row = (unit % this.#blocks) * EXPERT_ROWS
    const rows = Math.min(EXPERT_ROWS, intermediateSize - row)
    const raised = gated + expert.count * EXPERT_ROWS * 4
    const step = expert.whole ? (expert.count === 1 ? rows : expert.count < FEW_TOKENS ? ROWS_FOR_FEW : CACHED_ROWS) : CACHED_ROWS
    for (let r = 0; r < rows; r += step) {
      const some = Math.min(step, rows - r)
      const groups = Math.ceil(some / 4)
      this.#store.waitForRows(expert, this.#layer, 'ffnGate', row + r, some)
      this.#products(expert, expert.gate, (row + r) / 4, groups, gated + r * 4, pairRows)
      this.#addChanges(this.#gateUpChanges[expert.index], of, 0, expert, expert.gate, (row + r) / 4, groups)
      this.#store.waitForRows(expert, this.#layer, 'ffnUp', row + r, some)
      this.#products(expert, expert.up, (row + r) / 4, groups, raised + r * 4, pairRows)
      this.#addChanges(this.#gateUpChanges[expert.index], of, 1, expert, expert.up, (row + r) / 4, groups)
    }
    for (let i = 0; i < expert.count; i++) {
      expert.gate.bank.kernels.swiglu(gated + i * EXPERT_ROWS * 4, raised + i * EXPERT_ROWS * 4, rows)
      this.#storeInput(expert, i, gated + i * EXPERT_ROWS * 4, row, rows, of)
    }
  }

  #products({ pairs, count }: Active, linear: Linear, first: number, groups: number, out: number, pairRows: Int32Array): void {
    const area = this.#thread.scratch.inputs[linear.kind]!
    for (let i = 0; i < count; i++) {
      this.#inputs[i] = rowAt(area, pairRows[pairs[i]!]!)
      this.#outputs[i] = out + i * EXPERT_ROWS * 4
    }
    linear.multiply(first, groups, this.#inputs, this.#outputs, count)
  }

  /** Adds what adapters change to the products of an expert's pairs in `outputs`. */
  #addChanges(
    changes: LowRankProducts | undefined,
    step: StepRows,
    which: number,
    { pairs, count }: Active,
    { bank }: Linear,
    first: number,
    groups: number,
  ): void {
    if (!changes?.isIn(step)) return
    const rowOf = (i: number) => step.pairRows[pairs[i]!]!
    changes.add(step, which, { first, groups, count }, rowOf, (i) => pairs[i]!, this.#outputs, bank.floats)
  }

  /** Prepares what adapters add to down: a unit is a pair, whose whole input there must be. */
  #lowerHidden(active: readonly Active[], step: StepRows): void {
    if (!step.scales || this.#downChanges.length === 0) return
    const places = active.flatMap((expert) =>
      this.#downChanges[expert.index]?.isIn(step)
        ? Array.from({ length: expert.count }, (_, i) => ({ expert, pair: expert.pairs[i]! }))
        : [],
    )
    if (places.length === 0) return
    const { scratch, config } = this.#thread
    this.#thread.each('down', places.length, (unit) => {
      const { expert, pair } = places[unit]!
      const at = rowAt(scratch.expertInputs.f32!, pair)
      this.#downChanges[expert.index]!.lower(step, step.pairRows[pair]!, pair, expert.bankIndex, at, config.intermediateSize * 4)
    })
  }

  /**
   * Stores rows row .. row + rows - 1 of swiglu's result for the expert's i-th token, at `hidden`, in the input of
   * ffn_down.
   */
  #storeInput({ index, gate, down, pairs }: Active, i: number, hidden: number, row: number, rows: number, step: StepRows): void {
    const { expertInputs } = this.#thread.scratch
    if (down.kind === 'f32' || this.#downChanges[index]?.isIn(step)) {
      const plain = rowAt(expertInputs.f32!, pairs[i]!)
      gate.bank.bytes.copyWithin(plain + row * 4, hidden, hidden + rows * 4)
    }
    if (down.kind !== 'f32') {
      const at = rowAt(expertInputs[down.kind]!, pairs[i]!)
      const block = activationBlock[down.kind]
      gate.bank.kernels[`quantize_${down.kind}`](hidden, rows / block, at, down.columns / block, row / block)
    }
  }

  #down(active: readonly Active[]): void {
    let most = 0
    this.#downs.length = 0
    for (const { down, count } of active) {
      this.#downs.push(down)
      most = Math.max(most, count)
    }
    this.#thread.eachRows('down', this.#downs, most, this.#downRows)
  }

  readonly #downRows = (which: number, first: number, groups: number): void => {
    const { expertInputs, expertOutputs } = this.#thread.scratch
    const expert = this.#active[which]!
    const { down, pairs, count } = expert
    const area = expertInputs[down.kind]!
    const step = expert.whole || count > 1 ? groups : CACHED_GROUPS
    for (let g = first; g < first + groups; g += step) {
      const some = Math.min(step, first + groups - g)
      this.#store.waitForRows(expert, this.#layer, 'ffnDown', g * 4, some * 4)
      for (let i = 0; i < count; i++) {
        this.#inputs[i] = rowAt(area, pairs[i]!)
        this.#outputs[i] = rowAt(expertOutputs, pairs[i]!) + g * 16
      }
      down.multiply(g, some, this.#inputs, this.#outputs, count)
      this.#addChanges(this.#downChanges[expert.index], this.#step, 0, expert, down, g, some)
    }
  }
}

/** While those are computed, other experts are read. */
function mostRowsFirst(a: Group, b: Group): number {
  return b.count - a.count || a.index - b.index
}
