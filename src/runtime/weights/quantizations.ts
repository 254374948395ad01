// The usual quantizations of a Mixtral: the type that llama.cpp gives to each tensor, and the size of a model of given
// shapes. Owns these rules; what a file really holds is in its header.
// Rules after llama_tensor_get_type in llama.cpp's llama-quant.cpp.

import { bytesIn, type GgmlType, ggmlTypeByName } from '../../format/gguf/ggmlType.js'
import type { MixtralConfig } from './mixtralConfig.js'
import { expertRoles, isQuantized, layerRoles, type QuantizedRole, type Role, shapeOf } from './roles.js'

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

/** The types that replace others whose blocks do not fill a row exactly. F16 replaces all that are not listed. */
const substitutes: Readonly<Record<string, string>> = {
  IQ4_XS: 'IQ4_NL',
  Q2_K: 'IQ4_NL',
  Q3_K: 'IQ4_NL',
  Q4_K: 'Q5_0',
  Q5_K: 'Q5_1',
  Q6_K: 'Q8_0',
}

/** The quantization's number in `general.file_type`. */
export function fileTypeOf(name: QuantizationName): number {
  return rules[name].fileType
}

/** The type of a matrix of `columns` columns. A tied embedding gets the type of the output: pass `output` for it. */
export function quantizedType(
  name: QuantizationName,
  role: QuantizedRole,
  layer: number,
  columns: number,
  config: MixtralConfig,
): GgmlType {
  const wanted = ggmlTypeByName(wantedType(name, role, layer, config))!
  if (columns % wanted.blockWeights === 0) return wanted
  const substitute = ggmlTypeByName(substitutes[wanted.name] ?? 'F16')!
  return columns % substitute.blockWeights === 0 ? substitute : ggmlTypeByName('F16')!
}

function wantedType(name: QuantizationName, role: QuantizedRole, layer: number, config: MixtralConfig): string {
  const { base, ffnDown, attnOutput, otherAttnOutput, otherAttnV } = rules[name]
  const eight = config.experts === 8
  if (base === 'F16') return base
  if (role === 'output') return base === 'Q8_0' ? base : 'Q6_K'
  // small, and many queries share them
  if (eight && (role === 'attnK' || role === 'attnV')) return 'Q8_0'
  if (role === 'attnV') return otherAttnV?.(layer, config) ?? base
  if (role === 'attnOutput') return (eight ? attnOutput : otherAttnOutput) ?? base
  if (role === 'ffnDown') return ffnDown?.(layer, config.layers) ?? base
  return base
}

export interface QuantizedSize {
  /** Bytes of all weights. */
  readonly bytes: number
  /** Bytes of the weights that one token reads. */
  readonly activeBytesPerToken: number
}

/** The size of a model of these shapes in a quantization, without the file's header, which takes about a megabyte. */
export function quantizedSize(config: MixtralConfig, name: QuantizationName): QuantizedSize {
  const { layers, experts, expertsPerToken, vocabSize } = config
  const f32 = ggmlTypeByName('F32')!
  const bytesOf = (role: Role, layer = 0) => {
    const { rows, columns } = shapeOf(role, config)
    return bytesIn(isQuantized(role) ? quantizedType(name, role, layer, columns, config) : f32, rows * columns)
  }
  let dense = bytesOf('outputNorm') + bytesOf('output')
  let oneExpertEach = 0
  for (let layer = 0; layer < layers; layer++) {
    for (const role of layerRoles) dense += bytesOf(role, layer)
    for (const role of expertRoles) oneExpertEach += bytesOf(role, layer)
  }
  const embeddings = bytesOf('tokenEmbd')
  return {
    bytes: embeddings + dense + experts * oneExpertEach,
    activeBytesPerToken: embeddings / vocabSize + dense + expertsPerToken * oneExpertEach,
  }
}
