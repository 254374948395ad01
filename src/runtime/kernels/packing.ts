// How matrices lie in a bank: packed in groups of four rows. Derives each format's byte counts and kernels from its row
// in quants/formats.ts and its name.

import { alignUp } from '../../base/alignUp.js'
import type { ActivationKind } from '../../format/quants/activations.js'
import { type FormatName, formats, supportedTypeNames } from '../../format/quants/formats.js'
import type { Kernels, MatmulX1, MatmulX2, MatmulX4, Repack } from './abi.js'

export interface Packing {
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
  readonly repack: (kernels: Kernels) => Repack
  /** Where products wait for memory, and so gain by `touch`: in any engine, in those with 256-bit vectors, in none. */
  readonly waits: 'anywhere' | 'wide' | 'nowhere'
}

/** As measured (bench/LOG.md). Products of formats that are not here keep the core busier than memory. */
const waits: Partial<Record<FormatName, Packing['waits']>> = {
  Q4_K: 'anywhere',
  Q6_K: 'anywhere',
  Q5_K: 'wide',
  Q8_0: 'wide',
  Q5_1: 'wide',
  Q5_0: 'wide',
  Q4_1: 'wide',
  F32: 'wide',
}

function packingOf(name: FormatName): Packing {
  const { type, activation, packed } = formats.get(name)!
  const { rowsTogether, headerBytes, unitBytes } = packed
  const format = name.toLowerCase() as Lowercase<FormatName>
  return {
    activation,
    blockWeights: type.blockWeights,
    rowsTogether,
    groupBytes: (blocks) => alignUp(headerBytes + blocks * unitBytes, 16) / (rowsTogether / 4),
    x1: (kernels) => kernels[`matmul_${format}_x1`],
    x2: (kernels) => kernels[`matmul_${format}_x2`],
    x4: (kernels) => kernels[`matmul_${format}_x4`],
    tall: (kernels) => kernels[`matmul_${format}_x4_tall`],
    repack: (kernels) => kernels[`repack_${format}`],
    waits: waits[name] ?? 'nowhere',
  }
}

/** By ggml type name. */
export const packings: Readonly<Record<string, Packing>> = Object.fromEntries(supportedTypeNames.map((name) => [name, packingOf(name)]))

/** Rows are packed and multiplied from multiples of this number on, whatever the format. */
export const ROWS_TOGETHER = 8

/** Bytes a matrix of the type takes in a bank: whole groups, or whole pairs of them. */
export function packedBytes(type: string, rows: number, columns: number): number {
  const { rowsTogether, groupBytes, blockWeights } = packings[type]!
  return (alignUp(rows, rowsTogether) / 4) * groupBytes(columns / blockWeights)
}
