// The table of packed formats: which kernels multiply a format, what activations it meets and how many bytes a group of four rows takes in a bank.
// A new format is one row here, beside its files in assembly/ and src/format/quants/.

import type { ActivationKind } from './activation.js'
import type { Kernels } from './kernels.js'

export interface Packing {
  readonly activation: ActivationKind
  /** Weights of a row per block: a row's length is given to the kernels in blocks. */
  readonly blockWeights: number
  /** A group of four, or two side by side. */
  readonly rowsTogether: 4 | 8
  /** Bytes of four rows of so many blocks; where two groups stand side by side (assembly/lanes/pairs.ts), half of what they take. */
  readonly groupBytes: (blocks: number) => number
  readonly x1: (kernels: Kernels) => Kernels['matmul_f32_x1']
  readonly x4: (kernels: Kernels) => Kernels['matmul_f32_x4']
  readonly repack: (kernels: Kernels) => Kernels['repack_f32']
}

const upTo16 = (bytes: number) => Math.ceil(bytes / 16) * 16

/** By ggml type name. */
export const packings: Readonly<Record<string, Packing>> = {
  F32: {
    activation: 'f32',
    blockWeights: 1,
    rowsTogether: 4,
    groupBytes: (blocks) => blocks * 16,
    x1: (k) => k.matmul_f32_x1,
    x4: (k) => k.matmul_f32_x4,
    repack: (k) => k.repack_f32,
  },
  F16: {
    activation: 'f32',
    blockWeights: 1,
    rowsTogether: 4,
    groupBytes: (blocks) => 16 + upTo16(blocks * 8),
    x1: (k) => k.matmul_f16_x1,
    x4: (k) => k.matmul_f16_x4,
    repack: (k) => k.repack_f16,
  },
  BF16: {
    activation: 'f32',
    blockWeights: 1,
    rowsTogether: 4,
    groupBytes: (blocks) => upTo16(blocks * 8),
    x1: (k) => k.matmul_bf16_x1,
    x4: (k) => k.matmul_bf16_x4,
    repack: (k) => k.repack_bf16,
  },
  Q4_0: {
    activation: 'q8_1',
    blockWeights: 32,
    rowsTogether: 8,
    groupBytes: (blocks) => 16 + blocks * 72,
    x1: (k) => k.matmul_q4_0_x1,
    x4: (k) => k.matmul_q4_0_x4,
    repack: (k) => k.repack_q4_0,
  },
  Q4_1: {
    activation: 'q8_1',
    blockWeights: 32,
    rowsTogether: 8,
    groupBytes: (blocks) => 16 + blocks * 80,
    x1: (k) => k.matmul_q4_1_x1,
    x4: (k) => k.matmul_q4_1_x4,
    repack: (k) => k.repack_q4_1,
  },
  Q5_0: {
    activation: 'q8_1',
    blockWeights: 32,
    rowsTogether: 8,
    groupBytes: (blocks) => 16 + blocks * 88,
    x1: (k) => k.matmul_q5_0_x1,
    x4: (k) => k.matmul_q5_0_x4,
    repack: (k) => k.repack_q5_0,
  },
  Q5_1: {
    activation: 'q8_1',
    blockWeights: 32,
    rowsTogether: 8,
    groupBytes: (blocks) => 16 + blocks * 96,
    x1: (k) => k.matmul_q5_1_x1,
    x4: (k) => k.matmul_q5_1_x4,
    repack: (k) => k.repack_q5_1,
  },
  Q8_0: {
    activation: 'q8_0',
    blockWeights: 32,
    rowsTogether: 8,
    groupBytes: (blocks) => 16 + blocks * 136,
    x1: (k) => k.matmul_q8_0_x1,
    x4: (k) => k.matmul_q8_0_x4,
    repack: (k) => k.repack_q8_0,
  },
  Q2_K: {
    activation: 'q8_k',
    blockWeights: 256,
    rowsTogether: 4,
    groupBytes: (blocks) => 16 + blocks * 336,
    x1: (k) => k.matmul_q2_k_x1,
    x4: (k) => k.matmul_q2_k_x4,
    repack: (k) => k.repack_q2_k,
  },
  Q3_K: {
    activation: 'q8_k',
    blockWeights: 256,
    rowsTogether: 4,
    groupBytes: (blocks) => 16 + blocks * 464,
    x1: (k) => k.matmul_q3_k_x1,
    x4: (k) => k.matmul_q3_k_x4,
    repack: (k) => k.repack_q3_k,
  },
  Q4_K: {
    activation: 'q8_k',
    blockWeights: 256,
    rowsTogether: 8,
    groupBytes: (blocks) => 16 + blocks * 592,
    x1: (k) => k.matmul_q4_k_x1,
    x4: (k) => k.matmul_q4_k_x4,
    repack: (k) => k.repack_q4_k,
  },
  Q5_K: {
    activation: 'q8_k',
    blockWeights: 256,
    rowsTogether: 8,
    groupBytes: (blocks) => 16 + blocks * 720,
    x1: (k) => k.matmul_q5_k_x1,
    x4: (k) => k.matmul_q5_k_x4,
    repack: (k) => k.repack_q5_k,
  },
  Q6_K: {
    activation: 'q8_k',
    blockWeights: 256,
    rowsTogether: 8,
    groupBytes: (blocks) => 16 + blocks * 840,
    x1: (k) => k.matmul_q6_k_x1,
    x4: (k) => k.matmul_q6_k_x4,
    repack: (k) => k.repack_q6_k,
  },
  IQ4_NL: {
    activation: 'q8_1',
    blockWeights: 32,
    rowsTogether: 8,
    groupBytes: (blocks) => 16 + blocks * 72,
    x1: (k) => k.matmul_iq4_nl_x1,
    x4: (k) => k.matmul_iq4_nl_x4,
    repack: (k) => k.repack_iq4_nl,
  },
  IQ4_XS: {
    activation: 'q8_k',
    blockWeights: 256,
    rowsTogether: 8,
    groupBytes: (blocks) => 16 + blocks * 552,
    x1: (k) => k.matmul_iq4_xs_x1,
    x4: (k) => k.matmul_iq4_xs_x4,
    repack: (k) => k.repack_iq4_xs,
  },
}

/** What is packed or multiplied starts at a multiple of as many rows, whatever the format. */
export const ROWS_TOGETHER = 8

/** Bytes a matrix of the type takes in a bank: whole groups, or whole pairs of them. */
export function packedBytes(type: string, rows: number, columns: number): number {
  const { rowsTogether, groupBytes, blockWeights } = packings[type]!
  return ((Math.ceil(rows / rowsTogether) * rowsTogether) / 4) * groupBytes(columns / blockWeights)
}
