// A layer's attention in four stages, shared by all threads: q, k, v products; rotation and cache; attention per kv
// head; output product. Reads `inputs` and writes `projected` in the layer's bank. Owns the angles of rotary position
// embedding. Does not touch the residual stream.

import { cos, pow, sin } from '../../base/elementary.js'
import type { ActivationKind } from '../../format/quants/activations.js'
import type { PlacedChanges } from '../adapters/placedAdapters.js'
import type { Kernels } from '../kernels/abi.js'
import { kvHeadBytes } from '../weights/pages.js'
import type { PlacedLayer } from '../weights/plan.js'
import { ATTENTION_RANGE, partBytes, rangesOf, rowAt, spreadTokens } from '../weights/scratch.js'
import { Linear } from './linear.js'
import { LowRankProducts } from './lowRankProducts.js'
import type { StepRows, Tile } from './step.js'
import type { Thread } from './thread.js'

/**
 * The frequencies of the pairs: (ropeDim / 2). Angles are in float64 by our own functions, so that every engine has the
 * same bits.
 */
export function ropeFrequencies(ropeDim: number, theta: number): Float64Array {
  return Float64Array.from({ length: ropeDim / 2 }, (_, i) => pow(theta, (-2 * i) / ropeDim))
}

/** Writes the rope table's row of one position, cos and sin side by side: (pairs, 2) from out[at] on. */
export function writeRopeRow(frequencies: Float64Array, position: number, out: Float32Array, at: number): void {
  for (let i = 0; i < frequencies.length; i++) {
    const angle = position * frequencies[i]!
    out[at + 2 * i] = cos(angle)
    out[at + 2 * i + 1] = sin(angle)
  }
}

export class Attention {
  readonly #thread: Thread
  readonly #layer: PlacedLayer
  readonly #qkv: readonly Linear[]
  readonly #output: Linear
  readonly #qkvChanges: LowRankProducts | undefined
  readonly #outputChanges: LowRankProducts | undefined
  /** Activation formats that the norm before must write to `inputs`. */
  readonly kinds: ReadonlySet<ActivationKind>
  readonly #inputs: Int32Array
  readonly #outputs: Int32Array

  constructor(thread: Thread, layer: PlacedLayer, changes?: PlacedChanges) {
    this.#thread = thread
    this.#layer = layer
    this.#qkv = [layer.attnQ, layer.attnK, layer.attnV].map((matrix) => new Linear(thread.banks, matrix))
    this.#output = new Linear(thread.banks, layer.attnOutput)
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
    const { count } = step
    const { scratch, config } = this.#thread
    const starts = [0, config.heads * config.headDim, (config.heads + config.kvHeads) * config.headDim]
    this.#thread.eachRows('qkv', this.#qkv, count, (which, first, groups) => {
      const linear = this.#qkv[which]!
      const area = scratch.inputs[linear.kind]!
      for (let t = 0; t < count; t++) {
        this.#inputs[t] = rowAt(area, t)
        this.#outputs[t] = rowAt(scratch.qkv, t) + (starts[which]! + first * 4) * 4
      }
      linear.multiply(first, groups, this.#inputs, this.#outputs, count)
      if (this.#qkvChanges?.isIn(step)) this.#addChanges(this.#qkvChanges, step, which, first, groups)
    })
  }

  /** Adds what adapters change to the products in `outputs`. */
  #addChanges(changes: LowRankProducts, step: StepRows, which: number, first: number, groups: number): void {
    const row = (t: number) => t
    changes.add(step, which, { first, groups, count: step.count }, row, row, this.#outputs, this.#thread.banks[this.#layer.bank]!.floats)
  }

  /** A unit is one kv head of one row: rotates its query heads and its key, and stores key and value in the cache. */
  rotateAndStore({ count, slots }: StepRows): void {
    const { scratch, config, banks } = this.#thread
    const { heads, kvHeads, headDim, ropeDim } = config
    const { kernels } = banks[this.#layer.bank]!
    const group = heads / kvHeads
    this.#thread.each('rope', count * kvHeads, (unit) => {
      const t = Math.floor(unit / kvHeads)
      const head = unit % kvHeads
      const row = rowAt(scratch.qkv, t)
      const key = row + (heads + head) * headDim * 4
      const value = row + (heads + kvHeads + head) * headDim * 4
      const angles = rowAt(scratch.ropeTable, t)
      kernels.rope(row + head * group * headDim * 4, group, headDim, ropeDim / 2, angles)
      kernels.rope(key, 1, headDim, ropeDim / 2, angles)
      kernels[`store_kv_${this.#thread.plan.kvFormat}`](key, value, headDim, this.#keys(head), this.#values(head), slots[t]!)
    })
  }

  /**
   * A unit is one kv head and one tile, all ranges of its context one after the other. Where these are too few units
   * for the threads, and the tiles are of one row, a unit is one range; then a unit is one kv head of one row, whose
   * ranges it merges. Either way the same sums are made in the same order.
   */
  attend({ tiles }: StepRows): void {
    const { config, plan } = this.#thread
    const { kvHeads } = config
    const few = tiles.length <= spreadTokens(plan.threads, kvHeads) && tiles.every(({ rows }) => rows === 1)
    const most = rangesOf(tiles[0]!.position + 1) // the first has the longest context
    if (few && most > 1 && tiles.length * kvHeads < 2 * plan.threads) {
      this.#spread(tiles, most)
      return
    }
    this.#thread.each('attention', tiles.length * kvHeads, (unit) => {
      this.#attendTile(tiles[Math.floor(unit / kvHeads)]!, unit % kvHeads)
    })
  }

  /** Attention of a few rows with a range of a head a unit. most: ranges of the longest context. */
  #spread(tiles: readonly Tile[], most: number): void {
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
      this.#finish(part, tile.firstRow, head)
    })
  }

  #attendTile(tile: Tile, head: number): void {
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
    for (let i = 0; i < rows; i++) this.#finish(privateAt + (i * tileBytes) / rows, firstRow + i, head)
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
      this.#keys(head),
      this.#values(head),
      rowAt(scratch.tables, segment),
      position,
      slidingWindow ?? 0,
      range * ATTENTION_RANGE,
      (range + 1) * ATTENTION_RANGE,
      kernelScratch,
    )
  }

  #merge(part: number, next: number, tokens: number): void {
    const { heads, kvHeads, headDim } = this.#thread.config
    this.#kernels.merge_attention(part, next, tokens * (heads / kvHeads), headDim)
  }

  #finish(part: number, t: number, head: number): void {
    const { heads, kvHeads, headDim } = this.#thread.config
    const group = heads / kvHeads
    this.#kernels.finish_attention(part, group, headDim, rowAt(this.#thread.scratch.inputs.f32!, t) + head * group * headDim * 4)
  }

  get #kernels(): Kernels {
    return this.#thread.banks[this.#layer.bank]!.kernels
  }

  /** Multiplies attention's result, in `inputs`, by the output matrix. */
  projectOutput(step: StepRows): void {
    const { count } = step
    const thread = this.#thread
    const { scratch, config } = thread
    const bank = thread.banks[this.#layer.bank]!
    const linear = this.#output
    const area = scratch.inputs[linear.kind]!
    const changes = this.#outputChanges?.isIn(step) ? this.#outputChanges : undefined
    const columns = config.heads * config.headDim
    if (linear.kind !== 'f32' || changes) {
      const kinds = new Set([linear.kind])
      thread.each('output', count, (t) => {
        thread.quantize(bank, scratch.inputs, kinds, t, columns)
        changes?.lower(step, t, t, this.#layer.bank, rowAt(scratch.inputs.f32!, t), columns * 4)
      })
    }
    thread.eachRows('output', [linear], count, (_, first, groups) => {
      for (let t = 0; t < count; t++) {
        this.#inputs[t] = rowAt(area, t)
        this.#outputs[t] = rowAt(scratch.projected, t) + first * 16
      }
      linear.multiply(first, groups, this.#inputs, this.#outputs, count)
      if (changes) this.#addChanges(changes, step, 0, first, groups)
    })
  }

  #keys(head: number): number {
    return this.#layer.keysAt + head * this.#headBytes
  }

  #values(head: number): number {
    return this.#layer.valuesAt + head * this.#headBytes
  }

  get #headBytes(): number {
    const { plan, config } = this.#thread
    return kvHeadBytes(plan.pages, config.headDim, plan.kvFormat)
  }
}
