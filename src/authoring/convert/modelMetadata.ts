// The `general.*` and `llama.*` keys of a GGUF file, as llama.cpp's converter writes them for a Mixtral. Owns their
// names and order.

import type { GgufEntry } from '../../format/gguf/encodeHeader.js'
import { fileTypeNumber } from '../../format/gguf/fileType.js'
import type { JsonObject } from '../../format/tensors/jsonObject.js'
import type { ElementType } from './elementType.js'
import type { HyperParameters } from './hyperParameters.js'
import type { TargetTensor } from './tensorPlan.js'

/** `general.sampling.*`, from the keys of generation_config.json. */
const sampling = [
  ['top_k', 'int32', 'top_k'],
  ['top_p', 'float32', 'top_p'],
  ['min_p', 'float32', 'min_p'],
  ['temperature', 'float32', 'temp'],
] as const

export interface ModelDescription {
  readonly name: string
  readonly type: ElementType
  readonly parameters: HyperParameters
  readonly tensors: readonly TargetTensor[]
  readonly generationConfig: JsonObject | undefined
}

export function modelMetadata({ name, type, parameters, tensors, generationConfig }: ModelDescription): GgufEntry[] {
  const { hiddenSize, heads, headDim, slidingWindow, contextLength } = parameters
  const entries: GgufEntry[] = [
    ['general.architecture', 'string', 'llama'],
    ['general.type', 'string', 'model'],
    ['general.name', 'string', name],
    ['general.size_label', 'string', sizeLabel(tensors, parameters.experts)],
  ]
  for (const [key, kind, to] of sampling) {
    const value = kind === 'int32' ? generationConfig?.integer(key, -1, 2 ** 31 - 1) : generationConfig?.float32(key)
    if (value !== undefined) entries.push([`general.sampling.${to}`, kind, value])
  }
  entries.push(
    ['llama.block_count', 'uint32', parameters.layers],
    ['llama.context_length', 'uint32', contextLength],
    ['llama.embedding_length', 'uint32', hiddenSize],
    ['llama.feed_forward_length', 'uint32', parameters.intermediateSize],
    ['llama.attention.head_count', 'uint32', heads],
    ['llama.attention.head_count_kv', 'uint32', parameters.kvHeads],
    ['llama.rope.freq_base', 'float32', parameters.ropeTheta],
    ['llama.attention.layer_norm_rms_epsilon', 'float32', parameters.rmsEps],
    ['llama.expert_count', 'uint32', parameters.experts],
    ['llama.expert_used_count', 'uint32', parameters.expertsPerToken],
  )
  if (heads * headDim !== hiddenSize) {
    entries.push(['llama.attention.key_length', 'uint32', headDim], ['llama.attention.value_length', 'uint32', headDim])
  }
  // llama.cpp has no sliding window for this architecture; ours and transformers' have.
  if (slidingWindow !== undefined && slidingWindow < contextLength) {
    entries.push(['llama.attention.sliding_window', 'uint32', slidingWindow])
  }
  entries.push(
    ['general.file_type', 'uint32', fileTypeNumber(type)],
    ['llama.vocab_size', 'uint32', parameters.vocabSize],
    ['llama.rope.dimension_count', 'uint32', headDim],
    ['general.quantization_version', 'uint32', 2],
  )
  return entries
}

/** Such as `8x7B`: the number of experts, and the number of weights in one of them and everything they share. */
function sizeLabel(tensors: readonly TargetTensor[], experts: number): string {
  let weights = 0
  for (const { shape } of tensors) weights += shape.reduce((product, size) => product * size, 1) / (shape.length === 3 ? experts : 1)
  const units = [
    [1e12, 'T'],
    [1e9, 'B'],
    [1e6, 'M'],
    [1e3, 'K'],
  ] as const
  const [unit, suffix] = units.find(([size]) => weights > size) ?? [1e3, 'K']
  const scaled = weights / unit
  return `${experts}x${scaled.toFixed(Math.max(0, 2 - String(Math.round(scaled)).length))}${suffix}`
}
