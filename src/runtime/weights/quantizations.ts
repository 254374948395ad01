// The usual quantisations of a Mixtral: which type llama.cpp gives to which tensor, and how large a model of given shapes becomes. Owns these rules; what a file
// really holds is in its header.
// Rules after llama_tensor_get_type in llama.cpp's llama-quant.cpp.

import { type GgmlType, ggmlTypeByName } from '../../format/gguf/ggmlType.js'
import type { MixtralConfig } from './mixtralConfig.js'

/** Largest first. */
export const quantizationNames = [
  'F16',
  'Q8_0',
  'Q6_K',
  'Q5_K_M',
  'Q5_K_S',
  'Q4_K_M',
  'Q4_K_S',
  'Q4_0',
  'IQ4_XS',
  'Q3_K_L',
  'Q3_K_M',
  'Q3_K_S',
  'Q2_K',
] as const
export type QuantizationName = (typeof quantizationNames)[number]

/** A matrix of the model by the name of its tensor, with all experts as one; norms and routers stay as they are. */
export type Matrix = 'token_embd' | 'output' | 'attn_q' | 'attn_k' | 'attn_v' | 'attn_output' | 'ffn_gate' | 'ffn_up' | 'ffn_down'

interface Rule {
  /** `general.file_type`. */
  readonly fileType: number
  readonly base: string
  readonly ffnDown?: (layer: number, layers: number) => string
  /** With eight experts, which leave attention a small share of the file. */
  readonly attnOutput?: string
  /** With any other number of experts, as in dense models. */
  readonly otherAttnOutput?: string
  readonly otherAttnV?: (layer: number, config: MixtralConfig) => string
}

/** The first and last eighth of the layers, and every third between. */
const isImportant = (i: number, n: number) => i < Math.floor(n / 8) || i >= Math.floor((7 * n) / 8) || (i - Math.floor(n / 8)) % 3 === 2
const important = (type: string, base: string) => (i: number, n: number) => (isImportant(i, n) ? type : base)
const firstEighth = (type: string, base: string) => (i: number, n: number) => (i < Math.floor(n / 8) ? type : base)
/** Where four query heads or more share a key head, its values count for more. */
const shared =
  (type: string, base: string) =>
  (_: number, { heads, kvHeads }: MixtralConfig) =>
    heads / kvHeads >= 4 ? type : base

const rules: Readonly<Record<QuantizationName, Rule>> = {
  F16: { fileType: 1, base: 'F16' },
  Q8_0: { fileType: 7, base: 'Q8_0' },
  Q6_K: { fileType: 18, base: 'Q6_K' },
  Q5_K_M: {
    fileType: 17,
    base: 'Q5_K',
    ffnDown: important('Q6_K', 'Q5_K'),
    otherAttnV: (i, { layers }) => important('Q6_K', 'Q5_K')(i, layers),
  },
  Q5_K_S: { fileType: 16, base: 'Q5_K' },
  Q4_K_M: {
    fileType: 15,
    base: 'Q4_K',
    ffnDown: important('Q6_K', 'Q4_K'),
    attnOutput: 'Q5_K',
    otherAttnV: (i, { layers }) => important('Q6_K', 'Q4_K')(i, layers),
  },
  Q4_K_S: {
    fileType: 14,
    base: 'Q4_K',
    ffnDown: firstEighth('Q5_K', 'Q4_K'),
    attnOutput: 'Q5_K',
    otherAttnV: (i) => (i < 4 ? 'Q5_K' : 'Q4_K'),
  },
  Q4_0: { fileType: 2, base: 'Q4_0' },
  IQ4_XS: {
    fileType: 30,
    base: 'IQ4_XS',
    ffnDown: firstEighth('Q5_K', 'IQ4_XS'),
    attnOutput: 'Q5_K',
    otherAttnV: shared('Q5_K', 'IQ4_XS'),
  },
  Q3_K_L: { fileType: 13, base: 'Q3_K', ffnDown: () => 'Q5_K', otherAttnOutput: 'Q5_K', otherAttnV: () => 'Q5_K' },
  Q3_K_M: {
    fileType: 12,
    base: 'Q3_K',
    ffnDown: (i, n) => (i < Math.floor(n / 16) ? 'Q5_K' : 'Q4_K'),
    attnOutput: 'Q5_K',
    otherAttnOutput: 'Q4_K',
    otherAttnV: (i) => (i < 2 ? 'Q5_K' : 'Q4_K'),
  },
  Q3_K_S: { fileType: 11, base: 'Q3_K', attnOutput: 'Q5_K' },
  Q2_K: {
    fileType: 10,
    base: 'Q2_K',
    ffnDown: () => 'Q3_K',
    attnOutput: 'Q5_K',
    otherAttnOutput: 'Q3_K',
    otherAttnV: shared('Q4_K', 'Q3_K'),
  },
}

/** What takes the place of a type where rows are no whole number of its blocks. */
const substitutes: Readonly<Record<string, string>> = {
  IQ4_XS: 'IQ4_NL',
  Q2_K: 'IQ4_NL',
  Q3_K: 'IQ4_NL',
  Q4_K: 'Q5_0',
  Q5_K: 'Q5_1',
  Q6_K: 'Q8_0',
}

/** How the quantisation calls itself in `general.file_type`. */
export function fileTypeOf(name: QuantizationName): number {
  return rules[name].fileType
}

/** The type of a matrix of `columns` columns. `token_embd` means one that is not the output too. */
export function quantizedType(name: QuantizationName, matrix: Matrix, layer: number, columns: number, config: MixtralConfig): GgmlType {
  const wanted = ggmlTypeByName(wantedType(name, matrix, layer, config))!
  if (columns % wanted.blockWeights === 0) return wanted
  const substitute = ggmlTypeByName(substitutes[wanted.name] ?? 'F16')!
  return columns % substitute.blockWeights === 0 ? substitute : ggmlTypeByName('F16')!
}

function wantedType(name: QuantizationName, matrix: Matrix, layer: number, config: MixtralConfig): string {
  const { base, ffnDown, attnOutput, otherAttnOutput, otherAttnV } = rules[name]
  const eight = config.experts === 8
  if (base === 'F16') return base
  if (matrix === 'output') return base === 'Q8_0' ? base : 'Q6_K'
  // small, and many queries share them
  if (eight && (matrix === 'attn_k' || matrix === 'attn_v')) return 'Q8_0'
  if (matrix === 'attn_v') return otherAttnV?.(layer, config) ?? base
  if (matrix === 'attn_output') return (eight ? attnOutput : otherAttnOutput) ?? base
  if (matrix === 'ffn_down') return ffnDown?.(layer, config.layers) ?? base
  return base
}

export interface QuantizedSize {
  /** Of all weights. */
  readonly bytes: number
  /** Of the weights that one token reads. */
  readonly activeBytesPerToken: number
}

/** The size of a model of these shapes in a quantisation, without the header of the file, which takes a megabyte or so. */
export function quantizedSize(config: MixtralConfig, name: QuantizationName): QuantizedSize {
  const { hiddenSize, intermediateSize, layers, heads, kvHeads, headDim, experts, expertsPerToken, vocabSize } = config
  const bytesOf = (matrix: Matrix, layer: number, rows: number, columns: number) =>
    bytesIn(quantizedType(name, matrix, layer, columns, config), rows * columns)
  const f32 = ggmlTypeByName('F32')!
  let dense = bytesIn(f32, hiddenSize) + bytesOf('output', 0, vocabSize, hiddenSize)
  let oneExpertEach = 0
  for (let layer = 0; layer < layers; layer++) {
    dense += bytesIn(f32, (2 + experts) * hiddenSize) // norms and router
    dense += bytesOf('attn_q', layer, heads * headDim, hiddenSize) + bytesOf('attn_output', layer, hiddenSize, heads * headDim)
    for (const matrix of ['attn_k', 'attn_v'] as const) dense += bytesOf(matrix, layer, kvHeads * headDim, hiddenSize)
    for (const matrix of ['ffn_gate', 'ffn_up'] as const) oneExpertEach += bytesOf(matrix, layer, intermediateSize, hiddenSize)
    oneExpertEach += bytesOf('ffn_down', layer, hiddenSize, intermediateSize)
  }
  const embeddings = bytesOf('token_embd', 0, vocabSize, hiddenSize)
  return {
    bytes: embeddings + dense + experts * oneExpertEach,
    activeBytesPerToken: embeddings / vocabSize + dense + expertsPerToken * oneExpertEach,
  }
}

function bytesIn({ blockWeights, blockBytes }: GgmlType, weights: number): number {
  return (weights / blockWeights) * blockBytes
}
