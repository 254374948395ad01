// The table over which the matrix kernels are tested: where a format's scales lie in a block, and the dot product that defines its result.

import { ggmlTypeByName } from '../../dist/gguf/ggmlType.js'
import { type Packing, packings } from '../../dist/kernels/packing.js'
import type { ActivationQ8K, ActivationQ80, ActivationQ81 } from '../../dist/quants/activations.js'
import { quantizeQ8K, quantizeQ80, quantizeQ81 } from '../../dist/quants/activations.js'
import { dotBF16 } from '../../dist/quants/bf16.js'
import { dotF16 } from '../../dist/quants/f16.js'
import { dotF32 } from '../../dist/quants/f32.js'
import { halfToFloat } from '../../dist/quants/half.js'
import { dotIQ4NL } from '../../dist/quants/iq4_nl.js'
import { dotIQ4XS } from '../../dist/quants/iq4_xs.js'
import { dotQ2K } from '../../dist/quants/q2_k.js'
import { dotQ3K } from '../../dist/quants/q3_k.js'
import { dotQ40 } from '../../dist/quants/q4_0.js'
import { dotQ41 } from '../../dist/quants/q4_1.js'
import { dotQ4K } from '../../dist/quants/q4_k.js'
import { dotQ50 } from '../../dist/quants/q5_0.js'
import { dotQ51 } from '../../dist/quants/q5_1.js'
import { dotQ5K } from '../../dist/quants/q5_k.js'
import { dotQ6K } from '../../dist/quants/q6_k.js'
import { dotQ80 } from '../../dist/quants/q8_0.js'
import type { RandomValues, ScaleKind } from './randomValues.js'

/** The dot product of a row of blocks with the token that `x` was made of. */
type Dot = (row: Uint8Array) => number

export interface BlockFormat {
  readonly name: string
  readonly packing: Packing
  readonly blockBytes: number
  /** Blocks per row to test. */
  readonly blockCounts: readonly number[]
  /** Quantises the token (columns), and gives its dot product with any row. */
  readonly dotWith: (x: Float32Array) => Dot
  /** Offsets of the halves in a block whose values must be finite; F32 and BF16 have none, their weight is a float. */
  readonly halfOffsets: readonly number[]
}

const viaQ8K =
  (dot: (row: Uint8Array, x: ActivationQ8K) => number) =>
  (x: Float32Array): Dot => {
    const quantized = quantizeQ8K(x)
    return (row) => dot(row, quantized)
  }
const viaQ80 =
  (dot: (row: Uint8Array, x: ActivationQ80) => number) =>
  (x: Float32Array): Dot => {
    const quantized = quantizeQ80(x)
    return (row) => dot(row, quantized)
  }
const viaQ81 =
  (dot: (row: Uint8Array, x: ActivationQ81) => number) =>
  (x: Float32Array): Dot => {
    const quantized = quantizeQ81(x)
    return (row) => dot(row, quantized)
  }
const plain =
  (dot: (row: Uint8Array, x: Float32Array) => number) =>
  (x: Float32Array): Dot =>
  (row) =>
    dot(row, x)

function format(name: string, halfOffsets: readonly number[], dotWith: BlockFormat['dotWith'], blockCounts = [1, 2, 3, 16]): BlockFormat {
  return { name, packing: packings[name]!, blockBytes: ggmlTypeByName(name)!.blockBytes, blockCounts, dotWith, halfOffsets }
}

const floatColumns = [1, 2, 3, 5, 16, 263]

export const blockFormats: readonly BlockFormat[] = [
  format('F32', [], plain(dotF32), floatColumns),
  format('F16', [0], plain(dotF16), floatColumns),
  format('BF16', [], plain(dotBF16), floatColumns),
  format('Q4_0', [0], viaQ81(dotQ40)),
  format('Q4_1', [0, 2], viaQ81(dotQ41)),
  format('Q5_0', [0], viaQ81(dotQ50)),
  format('Q5_1', [0, 2], viaQ81(dotQ51)),
  format('Q8_0', [0], viaQ80(dotQ80)),
  format('Q2_K', [80, 82], viaQ8K(dotQ2K)),
  format('Q3_K', [108], viaQ8K(dotQ3K)),
  format('Q4_K', [0, 2], viaQ8K(dotQ4K)),
  format('Q5_K', [0, 2], viaQ8K(dotQ5K)),
  format('Q6_K', [208], viaQ8K(dotQ6K)),
  format('IQ4_NL', [0], viaQ81(dotIQ4NL)),
  format('IQ4_XS', [0], viaQ8K(dotIQ4XS)),
]

/** `count` blocks of random bits (or of all ones: the largest quants there are), with scales of the kind. */
export function randomBlocks(format: BlockFormat, count: number, kind: ScaleKind, random: RandomValues, fill?: number): Uint8Array {
  const bytes = fill === undefined ? random.bytes(count * format.blockBytes) : new Uint8Array(count * format.blockBytes).fill(fill)
  const view = new DataView(bytes.buffer)
  for (let block = 0; block < bytes.length; block += format.blockBytes) {
    for (const offset of format.halfOffsets) view.setUint16(block + offset, random.half(kind), true)
    if (format.name === 'F32') view.setFloat32(block, floatOfKind(kind, random), true)
    if (format.name === 'BF16') view.setUint16(block, highHalf(floatOfKind(kind, random)), true)
  }
  return bytes
}

/** float32 has no raised packing, but the same kinds: subnormal ones are its own. */
function floatOfKind(kind: ScaleKind, random: RandomValues): number {
  const value = halfToFloat(random.half(kind))
  return kind === 'subnormal' ? value * 2 ** -125 : value
}

/** The high 16 bits of a float32. */
function highHalf(value: number): number {
  return new Uint32Array(Float32Array.of(value).buffer)[0]! >>> 16
}
