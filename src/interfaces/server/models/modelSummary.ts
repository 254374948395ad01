// What lists tell of a model, from its header. Small, since a server keeps it for each model.

import { fileTypeName } from '../../../format/gguf/fileType.js'
import type { Gguf } from '../../../format/gguf/gguf.js'
import type { MixtralConfig } from '../../../runtime/weights/mixtralConfig.js'

export interface ModelSummary {
  /** Number of weights. */
  readonly weights: number
  /** Such as `Q4_K_M`. */
  readonly quantization: string
  /** Tokens of the context that it was trained with. */
  readonly trainedContext: number
  readonly hiddenSize: number
  readonly vocabSize: number
  readonly layers: number
  readonly experts: number
  readonly expertsPerToken: number
}

export function modelSummary({ metadata, tensors }: Gguf, config: MixtralConfig): ModelSummary {
  const { maxPositions, hiddenSize, vocabSize, layers, experts, expertsPerToken } = config
  let weights = 0
  for (const { shape } of tensors.values()) weights += shape.reduce((product, dimension) => product * dimension, 1)
  const quantization = fileTypeName(metadata) ?? 'unknown'
  return { weights, quantization, trainedContext: maxPositions, hiddenSize, vocabSize, layers, experts, expertsPerToken }
}
