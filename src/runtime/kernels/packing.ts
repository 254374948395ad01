// How matrices and activations lie in a bank. Matrices are packed in groups of four rows: each format's byte counts and
// kernels derive from its row in quants/formats.ts and its name. A row of activations lies by the kind of weights that
// it is multiplied with: its byte counts are here; the kernels (assembly/ops/quantize_*.ts) own the order inside.

import { alignUp } from '../../base/alignUp.js'
import type { ActivationKind } from '../../format/quants/activations.js'
import { type FormatName, formats, type PackedLayout, supportedTypeNames } from '../../format/quants/formats.js'
import type { ExpandedFormat, ExpandedProduct, KernelBuild, Kernels, MatmulX1, MatmulX2, MatmulX4, Repack } from './abi.js'

export interface Packing {
  readonly format: FormatName
  readonly activation: ActivationKind
  /** Weights of a row per block: a row's length is given to the kernels in blocks. */
  readonly blockWeights: number
  /** A group of four, or two side by side. */
  readonly rowsTogether: 4 | 8
  /**
   * Bytes of four rows of `blocks` blocks; where two groups stand side by side (assembly/lanes/pairs.ts), half of their
   * bytes.
   */
  readonly groupBytes: (blocks: number) => number
  readonly x1: (kernels: Kernels) => MatmulX1
  readonly x2: (kernels: Kernels) => MatmulX2 | undefined
  readonly x4: (kernels: Kernels) => MatmulX4
  readonly tall: (kernels: Kernels) => MatmulX4 | undefined
  /** Whether tall tiles read weights twice, so that they come into the core's cache first. */
  readonly tallReadsTwice: boolean
  readonly repack: (kernels: Kernels) => Repack
  /** Where products wait for memory, and so gain by `touch`: in any engine, in those with 256-bit vectors, in none. */
  readonly waits: 'anywhere' | 'wide' | 'nowhere'
}

/** By name, as measured (bench/LOG.md). Products of packings that are not here keep the core busier than memory. */
const waits: Readonly<Record<string, Packing['waits']>> = {
  Q4_K: 'anywhere',
  Q6_K: 'anywhere',
  Q5_K: 'wide',
  Q8_0: 'wide',
  Q5_1: 'wide',
  Q5_0: 'wide',
  Q4_1: 'wide',
  F32: 'wide',
  F16: 'wide',
  BF16: 'wide',
  'IQ3_S expanded': 'anywhere',
  'IQ3_XXS expanded': 'wide',
}

/** The name of a format's second layout among the packings; undefined where it has none. */
export function expandedPacking(type: string): string | undefined {
  return formats.get(type)?.expanded && `${type} expanded`
}

function packingOf(name: FormatName): Packing {
  const { type, activation, packed } = formats.get(name)!
  const format = name.toLowerCase() as Lowercase<FormatName>
  return {
    format: name,
    activation,
    blockWeights: type.blockWeights,
    rowsTogether: packed.rowsTogether,
    groupBytes: groupBytesOf(packed),
    x1: (kernels) => kernels[`matmul_${format}_x1`],
    x2: (kernels) => kernels[`matmul_${format}_x2`],
    x4: (kernels) => kernels[`matmul_${format}_x4`],
    tall: (kernels) => kernels[`matmul_${format}_x4_tall`],
    tallReadsTwice: name === 'F16' || name === 'BF16',
    repack: (kernels) => kernels[`repack_${format}`],
    waits: waits[name] ?? 'nowhere',
  }
}

function groupBytesOf({ rowsTogether, headerBytes, unitBytes }: PackedLayout): Packing['groupBytes'] {
  return (blocks) => alignUp(headerBytes + blocks * unitBytes, 16) / (rowsTogether / 4)
}

/** A format in its second layout. The formats of IQ2 are one there, once they are packed. */
function expandedOf(name: FormatName): Packing {
  const format = name.toLowerCase() as ExpandedFormat
  const product = (format.startsWith('iq2') ? 'iq2' : format) as ExpandedProduct
  const packed = formats.get(name)!.expanded!
  return {
    ...packingOf(name),
    rowsTogether: packed.rowsTogether,
    groupBytes: groupBytesOf(packed),
    x1: (kernels) => kernels[`matmul_${product}_expanded_x1`],
    x2: () => undefined,
    x4: (kernels) => kernels[`matmul_${product}_expanded_x4`],
    tall: () => undefined,
    repack: (kernels) => kernels[`repack_${format}_expanded`],
    waits: waits[expandedPacking(name)!] ?? 'nowhere',
  }
}

/** By ggml type name, or `expandedPacking`. */
export const packings: Readonly<Record<string, Packing>> = Object.fromEntries(
  supportedTypeNames.flatMap((name) => {
    const expanded = expandedPacking(name)
    return [[name, packingOf(name)], ...(expanded === undefined ? [] : [[expanded, expandedOf(name)]])]
  }),
)

/** Rows are packed and multiplied from multiples of this number on, whatever the format. */
export const ROWS_TOGETHER = 8

/** Bytes a matrix takes in a bank: whole groups, or whole pairs of them. packing: its name. */
export function packedBytes(packing: string, rows: number, columns: number): number {
  const { rowsTogether, groupBytes, blockWeights } = packings[packing]!
  return (alignUp(rows, rowsTogether) / 4) * groupBytes(columns / blockWeights)
}

/** Bytes of one activation row, a multiple of 16. */
export function activationBytes(kind: ActivationKind, columns: number, build: KernelBuild): number {
  if (kind === 'f32') return alignUp(columns * 4, 16)
  if (kind === 'q8_0') return columns * 2 + alignUp((columns / 32) * 4, 16)
  const quants = columns * (build === 'relaxed-simd' ? 1 : 2)
  if (kind === 'q8_1') return quants + 2 * alignUp((columns / 32) * 4, 16)
  const blocks = columns / 256
  return quants + alignUp(blocks * 4, 16) + blocks * 112
}

/** Columns per block of the kind. A part of a row that is quantized on its own is a multiple of it. */
export const activationBlock: Readonly<Record<ActivationKind, number>> = { q8_k: 256, q8_0: 32, q8_1: 32, f32: 1 }

/** The values in an activation row, (columns), as the kernels see them. `row` starts at a multiple of 4. */
export function readActivation(kind: ActivationKind, row: Uint8Array, columns: number, build: KernelBuild): Float32Array {
  if (kind === 'f32') return new Float32Array(row.buffer, row.byteOffset, columns).slice()
  const wide = kind === 'q8_0' || build === 'simd'
  const at = row.byteOffset
  const quants = wide ? new Int16Array(row.buffer, at, columns) : new Int8Array(row.buffer, at, columns)
  const block = activationBlock[kind]
  const scales = new Float32Array(row.buffer, at + columns * (wide ? 2 : 1), columns / block)
  // quants that are narrow in other builds stand in fours in the order 0 2 1 3
  const shuffled = wide && kind !== 'q8_0'
  const values = new Float32Array(columns)
  for (let c = 0; c < columns; c++) {
    const place = shuffled && (c & 3) % 3 !== 0 ? c ^ 3 : c
    values[c] = scales[Math.floor(c / block)]! * quants[place]!
  }
  return values
}
