// The table of block formats that have a kernel: what their blocks mean, how they are multiplied, and how many bytes
// they take once packed for the kernels. A format is a row here, its oracle beside this file, and its kernel;
// everything else derives from the row. Types without a kernel, and the ids and block sizes of all, are in
// gguf/ggmlType.ts: a file that has such a type must still be read, and be refused by its name.

import { type GgmlType, ggmlTypeByName } from '../gguf/ggmlType.js'
import { dequantizeBF16, dotBF16 } from './bf16.js'
import { dequantizeF16, dotF16, encodeF16 } from './f16.js'
import { dequantizeF32, dotF32 } from './f32.js'
import { dequantizeIQ1M, dotIQ1M } from './iq1_m.js'
import { dequantizeIQ1S, dotIQ1S } from './iq1_s.js'
import { dequantizeIQ2S, dotIQ2S, encodeIQ2S, tableIQ2S } from './iq2_s.js'
import { dequantizeIQ2XS, dotIQ2XS, encodeIQ2XS, tableIQ2XS } from './iq2_xs.js'
import { dequantizeIQ2XXS, dotIQ2XXS, encodeIQ2XXS, tableIQ2XXS } from './iq2_xxs.js'
import { dequantizeIQ3S, dotIQ3S, encodeIQ3S, tableIQ3S } from './iq3_s.js'
import { dequantizeIQ3XXS, dotIQ3XXS, encodeIQ3XXS, tableIQ3XXS } from './iq3_xxs.js'
import { dequantizeIQ4NL, dotIQ4NL, encodeIQ4NL } from './iq4_nl.js'
import { dequantizeIQ4XS, dotIQ4XS, encodeIQ4XS } from './iq4_xs.js'
import { tableIQ4 } from './iq4Search.js'
import { dequantizeMXFP4, dotMXFP4 } from './mxfp4.js'
import { type CountNotFinite, countIQ1M, countMXFP4, floatsOf, halvesAt } from './notFinite.js'
import { dequantizeQ2K, dotQ2K, encodeQ2K } from './q2_k.js'
import { dequantizeQ3K, dotQ3K, encodeQ3K } from './q3_k.js'
import { dequantizeQ40, dotQ40, encodeQ40 } from './q4_0.js'
import { dequantizeQ41, dotQ41, encodeQ41 } from './q4_1.js'
import { dequantizeQ4K, dotQ4K, encodeQ4K } from './q4_k.js'
import { dequantizeQ50, dotQ50, encodeQ50 } from './q5_0.js'
import { dequantizeQ51, dotQ51, encodeQ51 } from './q5_1.js'
import { dequantizeQ5K, dotQ5K, encodeQ5K } from './q5_k.js'
import { dequantizeQ6K, dotQ6K, encodeQ6K } from './q6_k.js'
import { dequantizeQ80, dotQ80, encodeQ80 } from './q8_0.js'
import { floats, type Product, q8_0, q8_1, q8_k } from './roundedActivations.js'
import { dequantizeTQ10, dotTQ10 } from './tq1_0.js'
import { dequantizeTQ20, dotTQ20 } from './tq2_0.js'

/**
 * How the kernels keep a format's rows: groups of four alone, or two groups side by side. A header, then a unit per
 * block, padded to 16 bytes.
 */
export interface PackedLayout {
  readonly rowsTogether: 4 | 8
  readonly headerBytes: number
  /** Bytes of one block of all the rows together: UNIT or BLOCK in the format's file in assembly/formats/. */
  readonly unitBytes: number
}

interface Row {
  /**
   * Writes the values of whole blocks to `out`, each operation rounded to float32 like ggml's.
   * @param blocks as many blocks as fill `out`
   * @param out (weights), a multiple of the block's weights
   */
  readonly dequantize: (blocks: Uint8Array, out: Float32Array) => void
  readonly notFinite: CountNotFinite
  /** What the format's kernels multiply with, and the result. */
  readonly product: Product
  readonly packed: PackedLayout
  /** A second layout, of more bytes, in which products are faster. */
  readonly expanded?: PackedLayout
  /**
   * The inverse of `dequantize`, to blocks whose values come near, for the formats that are written here. Every
   * operation is rounded to float32, as in the kernel.
   * @param values (weights), a multiple of the block's weights, of magnitudes up to `largestWeight`
   * @param blocks as many as the values fill
   * @param importance (weights) how much errors count at each value, about 1 on average; passed over by formats without
   * a search
   */
  readonly encode?: (values: Float32Array, blocks: Uint8Array, importance?: Float32Array) => void
  /** What the kernel of `encode` looks up in its memory, if it does. */
  readonly encodeTable?: () => Uint8Array
}

export interface Format extends Omit<Row, 'product'>, Product {
  readonly type: GgmlType
}

/** A weight beyond what a half holds has no place in a block. Real ones are thousands of times smaller. */
export const largestWeight = 65504

/** Four rows. The header, if there are halves as scales, says how to read them. */
const four = (headerBytes: 0 | 16, unitBytes: number): PackedLayout => ({ rowsTogether: 4, headerBytes, unitBytes })
/** Eight rows: two groups of four side by side, with a header each. */
const eight = (unitBytes: number): PackedLayout => ({ rowsTogether: 8, headerBytes: 32, unitBytes })

/** By ggml type name. */
const rows = {
  F32: { dequantize: dequantizeF32, notFinite: floatsOf(4, 0x7f80), product: floats(dotF32), packed: four(0, 16) },
  F16: { dequantize: dequantizeF16, notFinite: floatsOf(2, 0x7c00), product: floats(dotF16), packed: eight(16), encode: encodeF16 },
  BF16: {
    dequantize: dequantizeBF16,
    notFinite: floatsOf(2, 0x7f80),
    product: floats(dotBF16),
    packed: { rowsTogether: 8, headerBytes: 0, unitBytes: 16 },
  },
  Q4_0: { dequantize: dequantizeQ40, notFinite: halvesAt(18, 0), product: q8_1(dotQ40), packed: eight(144), encode: encodeQ40 },
  Q4_1: { dequantize: dequantizeQ41, notFinite: halvesAt(20, 0, 2), product: q8_1(dotQ41), packed: eight(160), encode: encodeQ41 },
  Q5_0: { dequantize: dequantizeQ50, notFinite: halvesAt(22, 0), product: q8_1(dotQ50), packed: eight(176), encode: encodeQ50 },
  Q5_1: { dequantize: dequantizeQ51, notFinite: halvesAt(24, 0, 2), product: q8_1(dotQ51), packed: eight(192), encode: encodeQ51 },
  Q8_0: { dequantize: dequantizeQ80, notFinite: halvesAt(34, 0), product: q8_0(dotQ80), packed: eight(272), encode: encodeQ80 },
  Q2_K: { dequantize: dequantizeQ2K, notFinite: halvesAt(84, 80, 82), product: q8_k(dotQ2K), packed: four(16, 336), encode: encodeQ2K },
  Q3_K: { dequantize: dequantizeQ3K, notFinite: halvesAt(110, 108), product: q8_k(dotQ3K), packed: four(16, 464), encode: encodeQ3K },
  Q4_K: { dequantize: dequantizeQ4K, notFinite: halvesAt(144, 0, 2), product: q8_k(dotQ4K), packed: eight(1184), encode: encodeQ4K },
  Q5_K: { dequantize: dequantizeQ5K, notFinite: halvesAt(176, 0, 2), product: q8_k(dotQ5K), packed: eight(1440), encode: encodeQ5K },
  Q6_K: { dequantize: dequantizeQ6K, notFinite: halvesAt(210, 208), product: q8_k(dotQ6K), packed: eight(1680), encode: encodeQ6K },
  IQ1_S: { dequantize: dequantizeIQ1S, notFinite: halvesAt(50, 0), product: q8_k(dotIQ1S), packed: eight(400), expanded: eight(560) },
  IQ1_M: { dequantize: dequantizeIQ1M, notFinite: countIQ1M, product: q8_k(dotIQ1M), packed: eight(464), expanded: eight(848) },
  IQ2_XXS: {
    dequantize: dequantizeIQ2XXS,
    notFinite: halvesAt(66, 0),
    product: q8_k(dotIQ2XXS),
    packed: eight(528),
    expanded: eight(848),
    encode: encodeIQ2XXS,
    encodeTable: tableIQ2XXS,
  },
  IQ2_XS: {
    dequantize: dequantizeIQ2XS,
    notFinite: halvesAt(74, 0),
    product: q8_k(dotIQ2XS),
    packed: eight(592),
    expanded: eight(848),
    encode: encodeIQ2XS,
    encodeTable: tableIQ2XS,
  },
  IQ2_S: {
    dequantize: dequantizeIQ2S,
    notFinite: halvesAt(82, 0),
    product: q8_k(dotIQ2S),
    packed: eight(656),
    expanded: eight(848),
    encode: encodeIQ2S,
    encodeTable: tableIQ2S,
  },
  IQ3_XXS: {
    dequantize: dequantizeIQ3XXS,
    notFinite: halvesAt(98, 0),
    product: q8_k(dotIQ3XXS),
    packed: eight(784),
    expanded: eight(1072),
    encode: encodeIQ3XXS,
    encodeTable: tableIQ3XXS,
  },
  IQ3_S: {
    dequantize: dequantizeIQ3S,
    notFinite: halvesAt(110, 0),
    product: q8_k(dotIQ3S),
    packed: eight(880),
    expanded: eight(1072),
    encode: encodeIQ3S,
    encodeTable: tableIQ3S,
  },
  IQ4_NL: {
    dequantize: dequantizeIQ4NL,
    notFinite: halvesAt(18, 0),
    product: q8_1(dotIQ4NL),
    packed: eight(144),
    encode: encodeIQ4NL,
    encodeTable: tableIQ4,
  },
  IQ4_XS: {
    dequantize: dequantizeIQ4XS,
    notFinite: halvesAt(136, 0),
    product: q8_k(dotIQ4XS),
    packed: eight(1104),
    encode: encodeIQ4XS,
    encodeTable: tableIQ4,
  },
  TQ1_0: { dequantize: dequantizeTQ10, notFinite: halvesAt(54, 52), product: q8_k(dotTQ10), packed: eight(528) },
  TQ2_0: { dequantize: dequantizeTQ20, notFinite: halvesAt(66, 64), product: q8_k(dotTQ20), packed: eight(528) },
  MXFP4: {
    dequantize: dequantizeMXFP4,
    notFinite: countMXFP4,
    product: q8_1(dotMXFP4),
    packed: { rowsTogether: 8, headerBytes: 0, unitBytes: 136 },
  },
} satisfies Readonly<Record<string, Row>>

/** The name of a supported format, such as `Q4_K`. Kernels have it in small letters: `matmul_q4_k_x1`. */
export type FormatName = keyof typeof rows

/** Every supported format under its ggml type name. */
export const formats: ReadonlyMap<string, Format> = new Map(
  Object.entries<Row>(rows).map(([name, { product, ...row }]) => [name, { type: ggmlTypeByName(name)!, ...product, ...row }]),
)

/** The names of the supported formats, for messages: `F32, F16, ...`. */
export const supportedTypeNames = [...formats.keys()] as readonly FormatName[]
