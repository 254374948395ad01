// The table over which the matrix kernels are tested, of all formats that there are: where the halves of a block lie,
// and the dot product that defines a kernel's result.

import { formats } from '../../../dist/format/quants/formats.js'
import { halfToFloat } from '../../../dist/format/quants/half.js'
import { type Packing, packings } from '../../../dist/runtime/kernels/packing.js'
import { halfOffsets } from '../../format/quants/halfOffsets.js'
import type { RandomValues, ScaleKind } from './randomValues.js'

export interface BlockFormat {
  /** Of its packing. */
  readonly name: string
  readonly packing: Packing
  readonly blockBytes: number
  /** Blocks per row to test. */
  readonly blockCounts: readonly number[]
  /** Quantizes the token (columns), and gives its dot product with any row. */
  readonly dotWith: (x: Float32Array) => (row: Uint8Array) => number
  /**
   * Offsets of the halves in a block whose values must be finite. None in F32 and BF16, whose weight is a float, in
   * IQ1_M, whose half is in four parts, and in MXFP4.
   */
  readonly halfOffsets: readonly number[]
}

export const blockFormats: readonly BlockFormat[] = Object.entries(packings).map(([name, packing]) => {
  const format = formats.get(packing.format)!
  return {
    name,
    packing,
    blockBytes: format.type.blockBytes,
    blockCounts: format.type.blockWeights === 1 ? [1, 2, 3, 5, 16, 263] : [1, 2, 3, 16],
    dotWith: (x) => format.round(x).dot,
    halfOffsets: halfOffsets(format),
  }
})

/** `count` blocks of random bits (or of all ones: the largest quants there are), with scales of the kind. */
export function randomBlocks(format: BlockFormat, count: number, kind: ScaleKind, random: RandomValues, fill?: number): Uint8Array {
  const bytes = fill === undefined ? random.bytes(count * format.blockBytes) : new Uint8Array(count * format.blockBytes).fill(fill)
  const view = new DataView(bytes.buffer)
  for (let block = 0; block < bytes.length; block += format.blockBytes) {
    for (const offset of format.halfOffsets) view.setUint16(block + offset, random.half(kind), true)
    if (format.packing.format === 'IQ1_M') setSplitHalf(view, block, random.half(kind))
    if (format.packing.format === 'MXFP4') view.setUint8(block, exponentOfKind(kind, random))
    if (format.packing.format === 'F32') view.setFloat32(block, floatOfKind(kind, random), true)
    if (format.packing.format === 'BF16') view.setUint16(block, highHalf(floatOfKind(kind, random)), true)
  }
  return bytes
}

/** Writes IQ1_M's d, whose four nibbles are the high ones of four words (src/format/quants/iq1_m.ts). */
export function setSplitHalf(view: DataView, block: number, half: number): void {
  for (let k = 0; k < 4; k++) {
    const at = block + 48 + k * 2
    view.setUint16(at, (view.getUint16(at, true) & 0xfff) | (((half >> (4 * k)) & 15) << 12), true)
  }
}

/** float32 has no raised packing, but the same kinds: subnormal ones are its own. */
function floatOfKind(kind: ScaleKind, random: RandomValues): number {
  const value = halfToFloat(random.half(kind))
  return kind === 'subnormal' ? value * 2 ** -125 : value
}

/** MXFP4's exponents: any that keep weights finite, of the smallest two the scale is subnormal. */
function exponentOfKind(kind: ScaleKind, random: RandomValues): number {
  if (kind === 'subnormal' || kind === 'zero') return random.below(2)
  return kind === 'normal' || kind === 'negative' ? 110 + random.below(32) : random.below(253)
}

/** The high 16 bits of a float32. */
function highHalf(value: number): number {
  return new Uint32Array(Float32Array.of(value).buffer)[0]! >>> 16
}
