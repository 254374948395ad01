// A layer's attention in four stages, shared by all threads: q, k, v products; rotation and cache; attention per kv
// head; output product. What a unit of attention can do for itself, rotation before it and rounding after it, is no
// stage of its own: threads meet less often. Reads `inputs` and writes `projected` in the layer's bank. Does not touch
// the residual stream.

import type { ActivationKind } from '../../format/quants/activations.js'
import type { PlacedChanges } from '../adapters/placedAdapters.js'
import type { Kernels } from '../kernels/abi.js'
import { hasWideVectors } from '../kernels/compile.js'
import { activationBlock } from '../kernels/packing.js'
import type { PlacedLayer } from '../weights/plan.js'
import { ATTENTION_RANGE, partBytes, rangesOf, rowAt, spreadTokens } from '../weights/scratch.js'
import { Linear } from './linear.js'
import { LowRankProducts } from './lowRankProducts.js'
import { Rotation } from './rotation.js'
import { runsStage, type StepRows, type Tile } from './step.js'
import type { Thread } from './thread.js'

export class Attention {
  readonly #thread: Thread
  readonly #index: number
  readonly #layer: PlacedLayer
  readonly #rotation: Rotation
  readonly #qkv: readonly Linear[]
  readonly #output: Linear
  readonly #outputMatrix: readonly Linear[]
  readonly #outputKinds: ReadonlySet<ActivationKind>
  readonly #qkvChanges: LowRankProducts | undefined
  readonly #outputChanges: LowRankProducts | undefined
  /** Activation formats that the norm before must write to `inputs`. */
  readonly kinds: ReadonlySet<ActivationKind>
  readonly #inputs: Int32Array
  readonly #outputs: Int32Array
  readonly #wide = hasWideVectors() ? 1 : 0
  /** The step that runs, for units, which are made once: a step allocates nothing for a layer. */
  #step!: StepRows

  constructor(thread: Thread, index: number, layer: PlacedLayer, changes?: PlacedChanges) {
    this.#thread = thread
    this.#index = index
    this.#layer = layer
    this.#rotation = new Rotation(thread, layer)
    this.#qkv = [layer.attnQ, layer.attnK, layer.attnV].map((matrix) => new Linear(thread.banks, matrix))
    this.#output = new Linear(thread.banks, layer.attnOutput)
    this.#outputMatrix = [this.#output]
    this.#outputKinds = new Set([this.#output.kind])
    this.kinds = new Set(this.#qkv.map(({ kind }) => kind))
    if (changes) {
      const { matrices } = changes
      const { low } = thread.adapted!
      this.#qkvChanges = new LowRankProducts(thread, low.attention, [matrices.attnQ, matrices.attnK, matrices.attnV])
      this.#outputChanges = new LowRankProducts(thread, low.output, [matrices.attnOutput])
    }
    this.#inputs = new Int32Array(thread.plan.batchSize)
    this.#outputs = new Int32Array(thread.plan.batchSize)
  }

  /** Prepares what adapters add to queries, keys and values of a row, from its normed input. */
  lowerInput(step: StepRows, t: number): void {
    const { scratch, config } = this.#thread
    if (!this.#qkvChanges?.isIn(step)) return
    this.#qkvChanges.lower(step, t, t, this.#layer.bank, rowAt(scratch.inputs.f32!, t), config.hiddenSize * 4)
  }

  /** Writes queries, keys and values of the normed input to `qkv`. */
  project(step: StepRows): void {
    this.#step = step
    this.#thread.eachRows('qkv', this.#qkv, step.count, this.#projectRows)
  }

  readonly #projectRows = (which: number, first: number, groups: number): void => {
    const step = this.#step
    const { scratch, config } = this.#thread
    const start = which === 0 ? 0 : (config.heads + (which - 1) * config.kvHeads) * config.headDim
    const linear = this.#qkv[which]!
    const area = scratch.inputs[linear.kind]!
    for (let t = 0; t < step.count; t++) {
      this.#inputs[t] = rowAt(area, t)
      this.#outputs[t] = rowAt(scratch.qkv, t) + (start + first * 4) * 4
    }
    linear.multiply(first, groups, this.#inputs, this.#outputs, step.count)
    if (this.#qkvChanges?.isIn(step)) this.#addChanges(this.#qkvChanges, step, which, first, groups)
  }

  /** Adds what adapters change to the products in `outputs`. */
  #addChanges(changes: LowRankProducts, step: StepRows, which: number, first: number, groups: number): void {
    const row = (t: number) => t
    changes.add(step, which, { first, groups, count: step.count }, row, row, this.#outputs, this.#thread.banks[this.#layer.bank]!.floats)
  }

  /**
   * A unit is one kv head of one row: rotates its query heads and its key, and stores key and value in the cache. None
   * if units of attention do it.
   */
  rotateAndStore(step: StepRows): void {
    const { kvHeads } = this.#thread.config
    if (this.#rotatesItself(step)) return
    this.#step = step
    this.#thread.each('rope', step.count * kvHeads, this.#rotateUnit)
  }

  readonly #rotateUnit = (unit: number): void => {
    const { kvHeads } = this.#thread.config
    this.#rotation.rotate(this.#step, Math.floor(unit / kvHeads), unit % kvHeads)
  }

  /** Whether units of attention rotate and store their rows: each has one, whose keys no other unit needs. */
  #rotatesItself(step: StepRows): boolean {
    return step.singles && !this.#isSpread(step) && runsStage(step, this.#index, 'rope') && runsStage(step, this.#index, 'attention')
  }

  /** Whether tiles are too few units for the threads, so that each range of their contexts is one. */
  #isSpread({ tiles, singles }: StepRows): boolean {
    const { config, plan } = this.#thread
    const few = singles && tiles.length <= spreadTokens(plan.threads, config.kvHeads)
    return few && rangesOf(tiles[0]!.position + 1) > 1 && tiles.length * config.kvHeads < 2 * plan.threads // the first has the longest context
  }

  /** Whether units of attention round their part of the output product's input: whole blocks of it. */
  #roundsItself(step: StepRows): boolean {
    const { heads, kvHeads, headDim } = this.#thread.config
    if (this.#output.kind === 'f32' || this.#outputChanges?.isIn(step)) return false
    if (((heads / kvHeads) * headDim) % activationBlock[this.#output.kind] !== 0) return false
    return runsStage(step, this.#index, 'attention') && runsStage(step, this.#index, 'output')
  }

  /**
   * A unit is one kv head and one tile, all ranges of its context one after the other. Where these are too few units
   * for the threads, and the tiles are of one row, a unit is one range; then a unit is one kv head of one row, whose
   * ranges it merges. Either way the same sums are made in the same order.
   */
  attend(step: StepRows): void {
    const { tiles } = step
    const { kvHeads } = this.#thread.config
    const rounds = this.#roundsItself(step)
    if (this.#isSpread(step)) {
      this.#spread(tiles, rangesOf(tiles[0]!.position + 1), rounds)
      return
    }
    this.#step = step
    this.#rounds = rounds
    this.#rotates = this.#rotatesItself(step)
    this.#thread.each('attention', tiles.length * kvHeads, this.#attendUnit)
  }

  #rounds = false
  #rotates = false
  readonly #attendUnit = (unit: number): void => {
    const { kvHeads } = this.#thread.config
    const tile = this.#step.tiles[Math.floor(unit / kvHeads)]!
    const head = unit % kvHeads
    if (this.#rotates) this.#rotation.rotate(this.#step, tile.firstRow, head)
    this.#attendTile(tile, head, this.#rounds)
  }

  /** Attention of a few rows with a range of a head a unit. most: ranges of the longest context. */
  #spread(tiles: readonly Tile[], most: number, rounds: boolean): void {
    const { parts } = this.#thread.scratch
    const { kvHeads } = this.#thread.config
    const headBytes = parts.bytes / kvHeads
    const partAt = (tile: number, range: number, head: number) => rowAt(parts, tile * most + range) + head * headBytes
    this.#thread.each('attention', tiles.length * most * kvHeads, (unit) => {
      const head = unit % kvHeads
      const range = Math.floor(unit / kvHeads) % most
      const place = Math.floor(unit / kvHeads / most)
      const tile = tiles[place]!
      if (range < rangesOf(tile.position + 1)) this.#attendRange(range, tile, head, partAt(place, range, head), this.#thread.privateAt)
    })
    this.#thread.each('attention', tiles.length * kvHeads, (unit) => {
      const head = unit % kvHeads
      const place = Math.floor(unit / kvHeads)
      const tile = tiles[place]!
      const part = partAt(place, 0, head)
      for (let range = 1; range < rangesOf(tile.position + 1); range++) this.#merge(part, partAt(place, range, head), 1)
      this.#finish(part, tile.firstRow, head, rounds)
    })
  }

  #attendTile(tile: Tile, head: number, rounds: boolean): void {
    const { config, privateAt } = this.#thread
    const { firstRow, rows, position } = tile
    const tileBytes = rows * (config.heads / config.kvHeads) * partBytes(config.headDim)
    const next = privateAt + tileBytes
    const kernelScratch = next + tileBytes
    this.#attendRange(0, tile, head, privateAt, kernelScratch)
    for (let range = 1; range * ATTENTION_RANGE < position + rows; range++) {
      this.#attendRange(range, tile, head, next, kernelScratch)
      this.#merge(privateAt, next, rows)
    }
    for (let i = 0; i < rows; i++) this.#finish(privateAt + (i * tileBytes) / rows, firstRow + i, head, rounds)
  }

  #attendRange(range: number, { segment, firstRow, rows, position }: Tile, head: number, part: number, kernelScratch: number): void {
    const { scratch, config, plan } = this.#thread
    const { heads, kvHeads, headDim, slidingWindow } = config
    const group = heads / kvHeads
    this.#kernels[`attention_${plan.kvFormat}`](
      rowAt(scratch.qkv, firstRow) + head * group * headDim * 4,
      scratch.qkv.bytes / 4,
      part,
      rows,
      group,
      headDim,
      this.#rotation.keysAt(head),
      this.#rotation.valuesAt(head),
      rowAt(scratch.tables, segment),
      position,
      slidingWindow ?? 0,
      range * ATTENTION_RANGE,
      (range + 1) * ATTENTION_RANGE,
      kernelScratch,
      this.#wide,
    )
  }

  #merge(part: number, next: number, tokens: number): void {
    const { heads, kvHeads, headDim } = this.#thread.config
    this.#kernels.merge_attention(part, next, tokens * (heads / kvHeads), headDim)
  }

  /** Writes a head's output, and rounds it for the product that follows if `rounds` says so. */
  #finish(part: number, t: number, head: number, rounds: boolean): void {
    const { scratch, config } = this.#thread
    const { heads, kvHeads, headDim } = config
    const group = heads / kvHeads
    const width = group * headDim
    const at = rowAt(scratch.inputs.f32!, t) + head * width * 4
    this.#kernels.finish_attention(part, group, headDim, at)
    const { kind } = this.#output
    if (!rounds || kind === 'f32') return
    const block = activationBlock[kind]
    const blocks = (heads * headDim) / block
    this.#kernels[`quantize_${kind}`](at, width / block, rowAt(scratch.inputs[kind]!, t), blocks, (head * width) / block)
  }

  get #kernels(): Kernels {
    return this.#thread.banks[this.#layer.bank]!.kernels
  }

  /** Multiplies attention's result, in `inputs`, by the output matrix. */
  projectOutput(step: StepRows): void {
    const { count } = step
    this.#step = step
    const { kind } = this.#output
    if ((kind !== 'f32' || this.#outputChanges?.isIn(step)) && !this.#roundsItself(step)) this.#thread.each('output', count, this.#roundRow)
    this.#thread.eachRows('output', this.#outputMatrix, count, this.#outputRows)
  }

  readonly #roundRow = (t: number): void => {
    const { scratch, config, banks } = this.#thread
    const columns = config.heads * config.headDim
    this.#thread.quantize(banks[this.#layer.bank]!, scratch.inputs, this.#outputKinds, t, columns)
    if (!this.#outputChanges?.isIn(this.#step)) return
    this.#outputChanges.lower(this.#step, t, t, this.#layer.bank, rowAt(scratch.inputs.f32!, t), columns * 4)
  }

  readonly #outputRows = (_: number, first: number, groups: number): void => {
    const step = this.#step
    const { scratch } = this.#thread
    const area = scratch.inputs[this.#output.kind]!
    for (let t = 0; t < step.count; t++) {
      this.#inputs[t] = rowAt(area, t)
      this.#outputs[t] = rowAt(scratch.projected, t) + first * 16
    }
    this.#output.multiply(first, groups, this.#inputs, this.#outputs, step.count)
    if (this.#outputChanges?.isIn(step)) this.#addChanges(this.#outputChanges, step, 0, first, groups)
  }
}
