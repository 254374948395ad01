// How large a model would be in each of the usual quantisations, from its shapes alone: which type llama.cpp gives to which tensor of a mixture of
// eight experts. Owns these rules; what a file really holds is in its header.
// Rules after llama_tensor_get_type in llama.cpp's llama-quant.cpp.

import { ggmlTypeByName } from '../gguf/ggmlType.js'
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

interface Rule {
  readonly base: string
  /** Of keys and values: small, and many queries share them. */
  readonly keys: string
  readonly attnOutput?: string
  readonly output: string
  readonly ffnDown?: (layer: number, layers: number) => string
}

/** The first and last eighth of the layers, and every third between. */
const isImportant = (i: number, n: number) => i < Math.floor(n / 8) || i >= Math.floor((7 * n) / 8) || (i - Math.floor(n / 8)) % 3 === 2

const isFirstEighth = (i: number, n: number) => i < Math.floor(n / 8)

const rules: Readonly<Record<QuantizationName, Rule>> = {
  F16: { base: 'F16', keys: 'F16', output: 'F16' },
  Q8_0: { base: 'Q8_0', keys: 'Q8_0', output: 'Q8_0' },
  Q6_K: { base: 'Q6_K', keys: 'Q8_0', output: 'Q6_K' },
  Q5_K_M: { base: 'Q5_K', keys: 'Q8_0', output: 'Q6_K', ffnDown: (i, n) => (isImportant(i, n) ? 'Q6_K' : 'Q5_K') },
  Q5_K_S: { base: 'Q5_K', keys: 'Q8_0', output: 'Q6_K' },
  Q4_K_M: { base: 'Q4_K', keys: 'Q8_0', attnOutput: 'Q5_K', output: 'Q6_K', ffnDown: (i, n) => (isImportant(i, n) ? 'Q6_K' : 'Q4_K') },
  Q4_K_S: { base: 'Q4_K', keys: 'Q8_0', attnOutput: 'Q5_K', output: 'Q6_K', ffnDown: (i, n) => (isFirstEighth(i, n) ? 'Q5_K' : 'Q4_K') },
  Q4_0: { base: 'Q4_0', keys: 'Q8_0', output: 'Q6_K' },
  IQ4_XS: {
    base: 'IQ4_XS',
    keys: 'Q8_0',
    attnOutput: 'Q5_K',
    output: 'Q6_K',
    ffnDown: (i, n) => (isFirstEighth(i, n) ? 'Q5_K' : 'IQ4_XS'),
  },
  Q3_K_L: { base: 'Q3_K', keys: 'Q8_0', output: 'Q6_K', ffnDown: () => 'Q5_K' },
  Q3_K_M: { base: 'Q3_K', keys: 'Q8_0', attnOutput: 'Q5_K', output: 'Q6_K', ffnDown: (i, n) => (i < Math.floor(n / 16) ? 'Q5_K' : 'Q4_K') },
  Q3_K_S: { base: 'Q3_K', keys: 'Q8_0', attnOutput: 'Q5_K', output: 'Q6_K' },
  Q2_K: { base: 'Q2_K', keys: 'Q8_0', attnOutput: 'Q5_K', output: 'Q6_K', ffnDown: () => 'Q3_K' },
}

export interface QuantizedSize {
  /** Of all weights. */
  readonly bytes: number
  /** Of the weights that one token reads. */
  readonly activeBytesPerToken: number
}

/** The size of a model of these shapes in a quantisation, without the header of the file, which takes a megabyte or so. */
export function quantizedSize(config: MixtralConfig, name: QuantizationName): QuantizedSize {
  const { base, keys, attnOutput = base, output, ffnDown = () => base } = rules[name]
  const { hiddenSize, intermediateSize, layers, heads, kvHeads, headDim, experts, expertsPerToken, vocabSize } = config
  const queries = heads * headDim * hiddenSize
  const ffn = intermediateSize * hiddenSize
  let dense = bytesIn('F32', hiddenSize) + bytesIn(output, vocabSize * hiddenSize)
  let oneExpertEach = 0
  for (let layer = 0; layer < layers; layer++) {
    dense += bytesIn('F32', (2 + experts) * hiddenSize) // norms and router
    dense += bytesIn(base, queries) + 2 * bytesIn(keys, kvHeads * headDim * hiddenSize) + bytesIn(attnOutput, queries)
    oneExpertEach += 2 * bytesIn(base, ffn) + bytesIn(ffnDown(layer, layers), ffn)
  }
  const embeddings = bytesIn(base, vocabSize * hiddenSize)
  return {
    bytes: embeddings + dense + experts * oneExpertEach,
    activeBytesPerToken: embeddings / vocabSize + dense + expertsPerToken * oneExpertEach,
  }
}

/** The types of the weights in a quantisation. */
export function typesIn(name: QuantizationName, layers: number): ReadonlySet<string> {
  const { base, keys, attnOutput = base, output, ffnDown = () => base } = rules[name]
  return new Set([base, keys, attnOutput, output, ...Array.from({ length: layers }, (_, layer) => ffnDown(layer, layers))])
}

function bytesIn(type: string, weights: number): number {
  const { blockWeights, blockBytes } = ggmlTypeByName(type)!
  return (weights / blockWeights) * blockBytes
}
