// Rotary position embedding: the angles, the rotation of a row's queries and keys by them, and the way of its keys and
// values into the cache of a layer, whose places it owns. Does not know what attention makes of them.

import { cos, pow, sin } from '../../base/elementary.js'
import { kvHeadBytes } from '../weights/pages.js'
import type { PlacedLayer } from '../weights/plan.js'
import { rowAt } from '../weights/scratch.js'
import type { StepRows } from './step.js'
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

export class Rotation {
  readonly #thread: Thread
  readonly #layer: PlacedLayer
  readonly #headBytes: number

  constructor(thread: Thread, layer: PlacedLayer) {
    const { plan, config } = thread
    this.#thread = thread
    this.#layer = layer
    this.#headBytes = kvHeadBytes(plan.pages, config.headDim, plan.kvFormat)
  }

  /** Rotates the query heads and the key of one kv head of a row, and stores key and value in the cache. */
  rotate({ slots }: StepRows, t: number, head: number): void {
    const { scratch, config, banks, plan } = this.#thread
    const { heads, kvHeads, headDim, ropeDim } = config
    const { kernels } = banks[this.#layer.bank]!
    const group = heads / kvHeads
    const row = rowAt(scratch.qkv, t)
    const key = row + (heads + head) * headDim * 4
    const value = row + (heads + kvHeads + head) * headDim * 4
    const angles = rowAt(scratch.ropeTable, t)
    kernels.rope(row + head * group * headDim * 4, group, headDim, ropeDim / 2, angles)
    kernels.rope(key, 1, headDim, ropeDim / 2, angles)
    kernels[`store_kv_${plan.kvFormat}`](key, value, headDim, this.keysAt(head), this.valuesAt(head), slots[t]!)
  }

  /** Where a kv head's keys begin. */
  keysAt(head: number): number {
    return this.#layer.keysAt + head * this.#headBytes
  }

  /** Where a kv head's values begin. */
  valuesAt(head: number): number {
    return this.#layer.valuesAt + head * this.#headBytes
  }
}
