// Repeatable random numbers for the kernels' tests: floats, bits, and halves of every kind.

import { Random } from '../../../dist/runtime/sampler/random.js'

/**
 * Kinds of scales. `large` is 64 or more: such a group is packed without raising its scales. `mixed` has all of them.
 */
export const scaleKinds = ['normal', 'subnormal', 'zero', 'negative', 'large', 'mixed'] as const
export type ScaleKind = (typeof scaleKinds)[number]

export class RandomValues {
  readonly #random: Random

  constructor(seed: number) {
    this.#random = new Random(seed)
  }

  /** A whole number from 0 to below `end`. */
  below(end: number): number {
    return Math.floor(this.#random.next() * end)
  }

  /** float32 evenly from -size to size. */
  floats(count: number, size = 1): Float32Array {
    return Float32Array.from({ length: count }, () => (this.#random.next() * 2 - 1) * size)
  }

  /** float32 of any bit pattern but NaN and infinity. */
  anyFloats(count: number): Float32Array {
    const values = new Float32Array(count)
    new Uint32Array(values.buffer).set(Uint32Array.from(values, () => this.below(2 ** 32)))
    return values.map((value) => (Number.isFinite(value) ? value : 0))
  }

  bytes(count: number): Uint8Array {
    return Uint8Array.from({ length: count }, () => this.below(256))
  }

  /** The bits of a finite half of the kind. */
  half(kind: ScaleKind): number {
    if (kind === 'mixed') return this.half(scaleKinds[this.below(5)]!)
    const sign = this.below(2) * 0x8000
    if (kind === 'zero') return sign
    if (kind === 'subnormal') return sign | (1 + this.below(0x3ff))
    if (kind === 'large') return sign | (0x5400 + this.below(0x7c00 - 0x5400))
    return (kind === 'negative' ? 0x8000 : 0) | (0x400 + this.below(0x5400 - 0x400))
  }
}
