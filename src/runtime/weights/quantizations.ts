// The usual quantizations of a Mixtral: the type that llama.cpp gives to each tensor, and the size of a model of given
// shapes. Applies the rules of quantizationRules.ts; what a file really holds is in its header.

import { fileTypeNumber } from '../../format/gguf/fileType.js'
import { bytesIn, type GgmlType, ggmlTypeByName } from '../../format/gguf/ggmlType.js'
import type { MixtralConfig } from './mixtralConfig.js'
import { type Rule, rules } from './quantizationRules.js'
import { expertRoles, isQuantized, layerRoles, type QuantizedRole, type Role, shapeOf } from './roles.js'

export type QuantizationName = keyof typeof rules
/** Largest first. */
export const quantizationNames = Object.keys(rules) as readonly QuantizationName[]

/** The types that replace others whose blocks do not fill a row exactly. F16 replaces all that are not listed. */
const substitutes: Readonly<Record<string, string>> = {
  IQ4_XS: 'IQ4_NL',
  IQ3_S: 'IQ4_NL',
  IQ3_XXS: 'IQ4_NL',
  IQ2_S: 'IQ4_NL',
  IQ2_XS: 'IQ4_NL',
  IQ2_XXS: 'IQ4_NL',
  IQ1_M: 'IQ4_NL',
  IQ1_S: 'IQ4_NL',
  Q2_K: 'IQ4_NL',
  Q3_K: 'IQ4_NL',
  Q4_K: 'Q5_0',
  Q5_K: 'Q5_1',
  Q6_K: 'Q8_0',
}

/** The quantization's number in `general.file_type`. */
export function fileTypeOf(name: QuantizationName): number {
  return fileTypeNumber(name)
}

/**
 * The type of a matrix of `columns` columns. A tied embedding gets the type of the output: pass `output` for it.
 * @param weighed whether there is an importance matrix
 */
export function quantizedType(
  name: QuantizationName,
  role: QuantizedRole,
  layer: number,
  columns: number,
  config: MixtralConfig,
  weighed = false,
): GgmlType {
  const wanted = ggmlTypeByName(wantedType(name, role, layer, config, weighed))!
  if (columns % wanted.blockWeights === 0) return wanted
  const substitute = ggmlTypeByName(role === 'output' ? 'Q8_0' : (substitutes[wanted.name] ?? 'F16'))!
  return columns % substitute.blockWeights === 0 ? substitute : ggmlTypeByName('F16')!
}

function wantedType(name: QuantizationName, role: QuantizedRole, layer: number, config: MixtralConfig, weighed: boolean): string {
  const rule: Rule = rules[name]
  const { base } = rule
  const eight = config.experts === 8
  if (base === 'F16') return base
  switch (role) {
    case 'output':
      return rule.output ?? (base === 'Q8_0' ? base : 'Q6_K')
    case 'tokenEmbd':
      return rule.tokenEmbd ?? base
    case 'attnQ':
      return rule.attnQ ?? base
    case 'attnK':
      return eight ? (rule.attnKV ?? 'Q8_0') : (rule.otherAttnK ?? base)
    case 'attnV':
      return eight ? (rule.attnKV ?? 'Q8_0') : (rule.otherAttnV?.(layer, config) ?? base)
    case 'attnOutput':
      return (eight ? rule.attnOutput : rule.otherAttnOutput) ?? base
    case 'ffnGate':
    case 'ffnUp':
      return rule.ffnGateUp?.(layer, config.layers) ?? base
    case 'ffnDown':
      return (weighed && rule.weighedFfnDown?.(layer, config.layers)) || (rule.ffnDown?.(layer, config.layers, config) ?? base)
  }
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
