// The usual quantizations of a Mixtral: which type llama.cpp gives to what, by the names of its mixes. Data alone; it
// is applied in quantizations.ts. Rules after llama_tensor_get_type in llama.cpp's llama-quant.cpp. Mixes that need an
// importance matrix have the types that they get with one.

import type { FileTypeName } from '../../format/gguf/fileType.js'
import type { MixtralConfig } from './mixtralConfig.js'

export interface Rule {
  /** The type of what has none of its own below. */
  readonly base: string
  /** Default: Q6_K, or Q8_0 where that is the base. */
  readonly output?: string
  readonly tokenEmbd?: string
  readonly attnQ?: string
  /** Keys and values with eight experts: small, and many queries share them. Default: Q8_0. */
  readonly attnKV?: string
  /** Keys with any other number of experts. */
  readonly otherAttnK?: string
  readonly ffnGateUp?: (layer: number, layers: number) => string
  readonly ffnDown?: (layer: number, layers: number, config: MixtralConfig) => string
  /** With an importance matrix, where that makes a difference. */
  readonly weighedFfnDown?: (layer: number, layers: number) => string
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
/** Whether four query heads or more share a key head: then its values count for more. */
const grouped = ({ heads, kvHeads }: MixtralConfig) => heads / kvHeads >= 4
const shared = (type: string, base: string) => (_: number, config: MixtralConfig) => (grouped(config) ? type : base)

/** What IQ1 and IQ2 share. better: the type of what counts for more. */
const small = (base: string, better: string, otherAttnOutput = base): Rule => ({
  base,
  output: 'Q5_K',
  tokenEmbd: better,
  attnKV: 'Q4_K',
  ffnDown: firstEighth(better, base),
  attnOutput: 'Q5_K',
  otherAttnOutput,
  otherAttnV: (_, config) => (grouped(config) || config.experts >= 4 ? 'Q4_K' : better),
})

/** By name, largest first. */
export const rules = {
  F16: { base: 'F16' },
  Q8_0: { base: 'Q8_0' },
  Q6_K: { base: 'Q6_K' },
  Q5_K_M: {
    base: 'Q5_K',
    ffnDown: important('Q6_K', 'Q5_K'),
    otherAttnV: (i, { layers }) => important('Q6_K', 'Q5_K')(i, layers),
  },
  Q5_K_S: { base: 'Q5_K' },
  Q4_K_M: {
    base: 'Q4_K',
    ffnDown: important('Q6_K', 'Q4_K'),
    attnOutput: 'Q5_K',
    otherAttnV: (i, { layers }) => important('Q6_K', 'Q4_K')(i, layers),
  },
  Q4_K_S: {
    base: 'Q4_K',
    ffnDown: firstEighth('Q5_K', 'Q4_K'),
    attnOutput: 'Q5_K',
    otherAttnV: (i) => (i < 4 ? 'Q5_K' : 'Q4_K'),
  },
  IQ4_NL: {
    base: 'IQ4_NL',
    ffnDown: firstEighth('Q5_K', 'IQ4_NL'),
    weighedFfnDown: () => 'IQ4_NL',
    attnOutput: 'Q5_K',
    otherAttnV: shared('Q5_K', 'IQ4_NL'),
  },
  Q4_0: { base: 'Q4_0', weighedFfnDown: firstEighth('Q4_1', 'Q4_0') },
  MXFP4_MOE: { base: 'Q8_0', ffnGateUp: () => 'MXFP4', ffnDown: () => 'MXFP4' },
  IQ4_XS: {
    base: 'IQ4_XS',
    ffnDown: firstEighth('Q5_K', 'IQ4_XS'),
    weighedFfnDown: () => 'IQ4_XS',
    attnOutput: 'Q5_K',
    otherAttnV: shared('Q5_K', 'IQ4_XS'),
  },
  Q3_K_L: { base: 'Q3_K', ffnDown: () => 'Q5_K', otherAttnOutput: 'Q5_K', otherAttnV: () => 'Q5_K' },
  Q3_K_M: {
    base: 'Q3_K',
    ffnDown: (i, n) => (i < Math.floor(n / 16) ? 'Q5_K' : 'Q4_K'),
    attnOutput: 'Q5_K',
    otherAttnOutput: 'Q4_K',
    otherAttnV: (i) => (i < 2 ? 'Q5_K' : 'Q4_K'),
  },
  IQ3_M: {
    base: 'IQ3_S',
    ffnDown: (i, n, { experts }) => (experts === 8 ? important : firstEighth)('Q4_K', 'IQ3_S')(i, n),
    attnOutput: 'Q5_K',
    otherAttnOutput: 'Q4_K',
    otherAttnV: () => 'Q4_K',
  },
  Q3_K_S: { base: 'Q3_K', attnOutput: 'Q5_K' },
  IQ3_S: { base: 'IQ3_S', attnOutput: 'Q5_K', otherAttnV: shared('Q4_K', 'IQ3_S') },
  IQ3_XS: {
    base: 'IQ3_S',
    attnQ: 'IQ3_XXS',
    otherAttnK: 'IQ3_XXS',
    ffnGateUp: (i, n) => (i >= Math.floor(n / 8) && i < Math.floor((7 * n) / 8) ? 'IQ3_XXS' : 'IQ3_S'),
    attnOutput: 'Q5_K',
    otherAttnV: shared('Q4_K', 'IQ3_S'),
  },
  IQ3_XXS: {
    base: 'IQ3_XXS',
    output: 'Q5_K',
    tokenEmbd: 'IQ3_S',
    attnQ: 'IQ2_S',
    otherAttnK: 'IQ2_S',
    attnOutput: 'Q5_K',
    otherAttnOutput: 'IQ3_S',
    otherAttnV: shared('Q4_K', 'IQ3_XXS'),
  },
  Q2_K: {
    base: 'Q2_K',
    ffnDown: () => 'Q3_K',
    attnOutput: 'Q5_K',
    otherAttnOutput: 'Q3_K',
    otherAttnV: shared('Q4_K', 'Q3_K'),
  },
  Q2_K_S: { base: 'Q2_K', ffnDown: firstEighth('Q4_K', 'Q2_K'), otherAttnV: shared('Q4_K', 'Q2_K') },
  IQ2_M: small('IQ2_S', 'IQ3_S', 'IQ3_S'),
  IQ2_S: small('IQ2_XS', 'IQ3_S', 'IQ3_S'),
  IQ2_XS: small('IQ2_XS', 'Q2_K'),
  IQ2_XXS: small('IQ2_XXS', 'Q2_K'),
  IQ1_M: small('IQ1_M', 'Q2_K', 'IQ2_XXS'),
  IQ1_S: small('IQ1_S', 'Q2_K', 'IQ2_XXS'),
} as const satisfies Readonly<Partial<Record<FileTypeName, Rule>>>
