// The table of block formats that have a kernel. A new format is one file beside this one and one row here.

import { type GgmlType, ggmlTypeByName } from '../gguf/ggmlType.js'
import { dequantizeBF16, dotBF16 } from './bf16.js'
import { dequantizeF16, dotF16, encodeF16 } from './f16.js'
import { dequantizeF32, dotF32 } from './f32.js'
import { dequantizeIQ4NL, dotIQ4NL, encodeIQ4NL } from './iq4_nl.js'
import { dequantizeIQ4XS, dotIQ4XS } from './iq4_xs.js'
import { dequantizeQ2K, dotQ2K, encodeQ2K } from './q2_k.js'
import { dequantizeQ3K, dotQ3K, encodeQ3K } from './q3_k.js'
import { dequantizeQ40, dotQ40, encodeQ40 } from './q4_0.js'
import { dequantizeQ41, dotQ41 } from './q4_1.js'
import { dequantizeQ4K, dotQ4K, encodeQ4K } from './q4_k.js'
import { dequantizeQ50, dotQ50, encodeQ50 } from './q5_0.js'
import { dequantizeQ51, dotQ51, encodeQ51 } from './q5_1.js'
import { dequantizeQ5K, dotQ5K, encodeQ5K } from './q5_k.js'
import { dequantizeQ6K, dotQ6K, encodeQ6K } from './q6_k.js'
import { dequantizeQ80, dotQ80, encodeQ80 } from './q8_0.js'
import { plain, type RoundedActivations, viaQ8K, viaQ80, viaQ81 } from './roundedActivations.js'

export interface Format {
  readonly type: GgmlType
  /**
   * Writes the values of whole blocks to `out`, each operation rounded to float32 like ggml's.
   * @param blocks as many blocks as fill `out`
   * @param out (weights), a multiple of the block's weights
   */
  readonly dequantize: (blocks: Uint8Array, out: Float32Array) => void
  /** Rounds activations, (columns), as the format's kernels want them. */
  readonly round: (x: Float32Array) => RoundedActivations
  /**
   * The inverse, to the blocks that come near the values, for the formats that are written here. Every operation is rounded to float32 as the kernel's is.
   * @param values (weights), a multiple of the block's weights, of magnitudes up to `largestWeight`
   * @param blocks as many as the values fill
   */
  readonly encode?: (values: Float32Array, blocks: Uint8Array) => void
}

/** A weight beyond what a half holds has no place in a block. Real ones are thousands of times smaller. */
export const largestWeight = 65504

type Row = readonly [Format['dequantize'], Format['round'], Format['encode']?]

/** Every supported format under its ggml type name, such as `Q4_K`. */
export const formats: ReadonlyMap<string, Format> = new Map(
  Object.entries<Row>({
    F32: [dequantizeF32, plain(dotF32)],
    F16: [dequantizeF16, plain(dotF16), encodeF16],
    BF16: [dequantizeBF16, plain(dotBF16)],
    Q4_0: [dequantizeQ40, viaQ81(dotQ40), encodeQ40],
    Q4_1: [dequantizeQ41, viaQ81(dotQ41)],
    Q5_0: [dequantizeQ50, viaQ81(dotQ50), encodeQ50],
    Q5_1: [dequantizeQ51, viaQ81(dotQ51), encodeQ51],
    Q8_0: [dequantizeQ80, viaQ80(dotQ80), encodeQ80],
    Q2_K: [dequantizeQ2K, viaQ8K(dotQ2K), encodeQ2K],
    Q3_K: [dequantizeQ3K, viaQ8K(dotQ3K), encodeQ3K],
    Q4_K: [dequantizeQ4K, viaQ8K(dotQ4K), encodeQ4K],
    Q5_K: [dequantizeQ5K, viaQ8K(dotQ5K), encodeQ5K],
    Q6_K: [dequantizeQ6K, viaQ8K(dotQ6K), encodeQ6K],
    IQ4_NL: [dequantizeIQ4NL, viaQ81(dotIQ4NL), encodeIQ4NL],
    IQ4_XS: [dequantizeIQ4XS, viaQ8K(dotIQ4XS)],
  }).map(([name, [dequantize, round, encode]]) => [name, { type: ggmlTypeByName(name)!, dequantize, round, ...(encode && { encode }) }]),
)

/** The names of the supported formats, for messages: `F32, F16, ...`. */
export const supportedTypeNames: readonly string[] = [...formats.keys()]
