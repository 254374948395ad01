// What can be said about a model from its header alone: tensors by type, hyper-parameters, memory it needs, bytes a token reads, and if it
// cannot run, why. Pure; prints nothing.

import { MixtralError } from '../../base/errors.js'
import type { Gguf } from '../../format/gguf/gguf.js'
import { defaultContextLength } from '../../runtime/engine/engineOptions.js'
import { MixtralConfig } from '../../runtime/weights/mixtralConfig.js'
import { type MixtralTensors, mixtralTensors, type TensorSlice } from '../../runtime/weights/mixtralTensors.js'
import { planModel } from '../../runtime/weights/plan.js'
import { expertMatricesOf, layerRoles } from '../../runtime/weights/roles.js'

export interface ModelFacts {
  readonly fileBytes: number
  /** Largest first. */
  readonly tensorTypes: readonly { readonly type: string; readonly count: number; readonly weights: number; readonly bytes: number }[]
  /** Undefined where the file is no Mixtral. */
  readonly config: MixtralConfig | undefined
  /** Undefined where the model cannot run. */
  readonly needs: ModelNeeds | undefined
  /** Why it cannot run. */
  readonly refusal: string | undefined
}

interface ModelNeeds {
  readonly contextLength: number
  /** As they lie in memory, packed for the kernels. */
  readonly weightBytes: number
  readonly kvBytes: number
  /** Bytes of the file's weights that one token reads: all but the experts that the router leaves out and the embeddings of other tokens. */
  readonly activeBytesPerToken: number
}

/** @param contextLength in tokens; by default that with which the model is loaded */
export function factsOf(gguf: Gguf, contextLength?: number): ModelFacts {
  const base = { fileBytes: gguf.files.reduce((sum, { bytes }) => sum + bytes, 0), tensorTypes: tensorTypes(gguf) }
  let config: MixtralConfig | undefined
  try {
    config = MixtralConfig.fromGgufMetadata(gguf.metadata)
    return {
      ...base,
      config,
      needs: needsOf(config, mixtralTensors(config, gguf), contextLength ?? defaultContextLength(config.maxPositions)),
      refusal: undefined,
    }
  } catch (error) {
    if (!(error instanceof MixtralError)) throw error
    return { ...base, config, needs: undefined, refusal: error.message }
  }
}

function needsOf(config: MixtralConfig, tensors: MixtralTensors, contextLength: number): ModelNeeds {
  // Threads, batch and kernel build change scratch memory only, which does not count here.
  const { weightBytes, kvBytes } = planModel(config, tensors, { build: 'simd', threads: 1, batchSize: 1, contextLength })
  return { contextLength, weightBytes, kvBytes, activeBytesPerToken: activeBytes(config, tensors) }
}

function activeBytes({ experts, expertsPerToken }: MixtralConfig, { tokenEmbd, outputNorm, output, layers }: MixtralTensors): number {
  const perLayer = layers.map((layer) => {
    const expertBytes = bytesOf(layer.experts.flatMap(expertMatricesOf))
    return bytesOf(layerRoles.map((role) => layer[role])) + (expertBytes * expertsPerToken) / experts
  })
  return tokenEmbd.bytes / tokenEmbd.rows + outputNorm.bytes + output.bytes + perLayer.reduce((a, b) => a + b, 0)
}

function bytesOf(slices: readonly TensorSlice[]): number {
  return slices.reduce((sum, { bytes }) => sum + bytes, 0)
}

function tensorTypes(gguf: Gguf): ModelFacts['tensorTypes'] {
  const byType = new Map<string, { type: string; count: number; weights: number; bytes: number }>()
  for (const { type, shape, bytes } of gguf.tensors.values()) {
    const entry = byType.get(type.name) ?? { type: type.name, count: 0, weights: 0, bytes: 0 }
    entry.count++
    entry.weights += shape.reduce((product, dimension) => product * dimension, 1)
    entry.bytes += bytes
    byType.set(type.name, entry)
  }
  return [...byType.values()].sort((a, b) => b.bytes - a.bytes)
}
