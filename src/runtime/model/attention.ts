// A layer's attention in four stages, shared by all threads: q, k, v products; rotation and cache; attention per kv
// head; output product. Reads `inputs` and writes `projected` in the layer's bank. Does not touch the residual stream.

import type { ActivationKind } from '../../format/quants/activations.js'
import type { Kernels } from '../kernels/abi.js'
import { kvHeadBytes, type PlacedLayer } from '../weights/plan.js'
import { ATTENTION_RANGE, ATTENTION_TOKENS, partBytes, rowAt } from '../weights/scratch.js'
import { Linear } from './linear.js'
import type { Step } from './step.js'
import type { Thread } from './thread.js'

export class Attention {
  readonly #thread: Thread
  readonly #layer: PlacedLayer
  readonly #qkv: readonly Linear[]
  readonly #output: Linear
  /** Activation formats that the norm before must write to `inputs`. */
  readonly kinds: ReadonlySet<ActivationKind>
  readonly #inputs: Int32Array
  readonly #outputs: Int32Array

  constructor(thread: Thread, layer: PlacedLayer) {
    this.#thread = thread
    this.#layer = layer
    this.#qkv = [layer.attnQ, layer.attnK, layer.attnV].map((matrix) => new Linear(thread.banks, matrix))
    this.#output = new Linear(thread.banks, layer.attnOutput)
    this.kinds = new Set(this.#qkv.map(({ kind }) => kind))
    this.#inputs = new Int32Array(thread.plan.batchSize)
    this.#outputs = new Int32Array(thread.plan.batchSize)
  }

  /** Writes queries, keys and values of the normed input to `qkv`. */
  project({ count }: Step): void {
    const { scratch, config } = this.#thread
    const starts = [0, config.heads * config.headDim, (config.heads + config.kvHeads) * config.headDim]
    this.#thread.eachRows('qkv', this.#qkv, (which, first, groups) => {
      const linear = this.#qkv[which]!
      const area = scratch.inputs[linear.kind]!
      for (let t = 0; t < count; t++) {
        this.#inputs[t] = rowAt(area, t)
        this.#outputs[t] = rowAt(scratch.qkv, t) + (starts[which]! + first * 4) * 4
      }
      linear.multiply(first, groups, this.#inputs, this.#outputs, count)
    })
  }

  /** A unit is one kv head of one token: rotates its query heads and its key, and stores key and value in the cache. */
  rotateAndStore({ count, position }: Step): void {
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
      kernels[`store_kv_${this.#thread.plan.kvFormat}`](key, value, headDim, this.#keys(head), this.#values(head), position + t)
    })
  }

  /**
   * One token: a unit is one kv head and one range of the context; then a unit is one kv head, whose ranges it merges.
   * Several tokens: a unit is one kv head and up to ATTENTION_TOKENS tokens.
   */
  attend({ count, position }: Step): void {
    const { scratch, config } = this.#thread
    const { kvHeads } = config
    if (count > 1) {
      const tiles = Math.ceil(count / ATTENTION_TOKENS)
      this.#thread.each('attention', tiles * kvHeads, (unit) => {
        // the last tokens have the longest context: they come first
        const t = (tiles - 1 - Math.floor(unit / kvHeads)) * ATTENTION_TOKENS
        this.#attendTile(position + t, t, Math.min(ATTENTION_TOKENS, count - t), unit % kvHeads)
      })
      return
    }
    const { parts } = scratch
    const headBytes = parts.bytes / kvHeads
    const ranges = Math.floor(position / ATTENTION_RANGE) + 1
    this.#thread.each('attention', kvHeads * ranges, (unit) => {
      const head = Math.floor(unit / ranges)
      const range = unit % ranges
      const part = rowAt(parts, range) + head * headBytes
      this.#attendRange(range, position, 0, 1, head, part, this.#thread.privateAt)
      if (ranges === 1) this.#finish(part, 0, head)
    })
    if (ranges === 1) return
    this.#thread.each('attention', kvHeads, (head) => {
      const part = rowAt(parts, 0) + head * headBytes
      for (let range = 1; range < ranges; range++) this.#merge(part, part + range * parts.bytes, 1)
      this.#finish(part, 0, head)
    })
  }

  #attendTile(position: number, t: number, tokens: number, head: number): void {
    const { config, privateAt } = this.#thread
    const tileBytes = tokens * (config.heads / config.kvHeads) * partBytes(config.headDim)
    const next = privateAt + tileBytes
    const kernelScratch = next + tileBytes
    this.#attendRange(0, position, t, tokens, head, privateAt, kernelScratch)
    for (let range = 1; range * ATTENTION_RANGE < position + tokens; range++) {
      this.#attendRange(range, position, t, tokens, head, next, kernelScratch)
      this.#merge(privateAt, next, tokens)
    }
    for (let i = 0; i < tokens; i++) this.#finish(privateAt + (i * tileBytes) / tokens, t + i, head)
  }

  #attendRange(range: number, position: number, t: number, tokens: number, head: number, part: number, kernelScratch: number): void {
    const { scratch, config, plan } = this.#thread
    const { heads, kvHeads, headDim, slidingWindow } = config
    const group = heads / kvHeads
    this.#kernels[`attention_${plan.kvFormat}`](
      rowAt(scratch.qkv, t) + head * group * headDim * 4,
      scratch.qkv.bytes / 4,
      part,
      tokens,
      group,
      headDim,
      this.#keys(head),
      this.#values(head),
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
  projectOutput({ count }: Step): void {
    const thread = this.#thread
    const { scratch, config } = thread
    const bank = thread.banks[this.#layer.bank]!
    const linear = this.#output
    const area = scratch.inputs[linear.kind]!
    if (linear.kind !== 'f32') {
      const kinds = new Set([linear.kind])
      thread.each('output', count, (t) => thread.quantize(bank, scratch.inputs, kinds, t, config.heads * config.headDim))
    }
    thread.eachRows('output', [linear], (_, first, groups) => {
      for (let t = 0; t < count; t++) {
        this.#inputs[t] = rowAt(area, t)
        this.#outputs[t] = rowAt(scratch.projected, t) + first * 16
      }
      linear.multiply(first, groups, this.#inputs, this.#outputs, count)
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
    return kvHeadBytes(plan.contextLength, config.headDim, plan.kvFormat)
  }
}
