// What a model's header says about it: tensors by type, hyper-parameters, the memory that it needs and how it would be
// loaded here, the bytes that a token reads, or why it cannot run. Pure, except that the memory budget is this
// machine's unless one is given. Prints nothing.

import { MixtralError } from '../../base/errors.js'
import { atOnce } from '../../base/timeSlice.js'
import { type FileTypeName, fileTypeName } from '../../format/gguf/fileType.js'
import type { Gguf } from '../../format/gguf/gguf.js'
import type { OllamaLayers } from '../../registry/stores/ollamaLayers.js'
import { checkEngineOptions, type EngineOptions } from '../../runtime/engine/engineOptions.js'
import type { KernelBuild } from '../../runtime/kernels/abi.js'
import { MixtralConfig } from '../../runtime/weights/mixtralConfig.js'
import { type MixtralTensors, mixtralTensors, type TensorSlice } from '../../runtime/weights/mixtralTensors.js'
import { type PlanOptions, residentNeeds } from '../../runtime/weights/plan.js'
import { expertMatricesOf, layerRoles } from '../../runtime/weights/roles.js'
import { fileDefaults } from '../../text/generate/fileDefaults.js'
import type { GenerationOptions } from '../../text/generate/generationOptions.js'
import { contextDefault, modelDefaults, withDefaults } from '../../text/generate/modelDefaults.js'
import { readVocabulary } from '../../text/tokenizer/vocabulary.js'
import { type Fit, fitOf } from './fit.js'

export interface ModelFacts {
  readonly fileBytes: number
  /**
   * The mix of types that the file says it has, such as `IQ3_XS`. Undefined where it says none, or one that is unknown.
   */
  readonly quantization: FileTypeName | undefined
  /** Largest first. */
  readonly tensorTypes: readonly { readonly type: string; readonly count: number; readonly weights: number; readonly bytes: number }[]
  /** Undefined where the file is no Mixtral. */
  readonly config: MixtralConfig | undefined
  /** Undefined where the model cannot run on any machine, as is `fit`. */
  readonly needs: ModelNeeds | undefined
  /** How it would be loaded on this machine. */
  readonly fit: Fit | undefined
  /** Why it cannot run, on any machine or on this one. */
  readonly refusal: string | undefined
  /** Options that the file brings for callers that give none. */
  readonly sampling: GenerationOptions
  /** What is odd about the vocabulary and these options. */
  readonly notes: readonly string[]
}

/** What the model takes with all experts in memory, as it would be loaded here. */
interface ModelNeeds {
  readonly contextLength: number
  /** Bytes of the weights as they are in memory, packed for the kernels. */
  readonly weightBytes: number
  readonly kvBytes: number
  /** Bytes of activations and of the threads' buffers. */
  readonly scratchBytes: number
  /** Bytes of the adapters that come with it. */
  readonly adapterBytes: number
  /** Bytes of all of these. */
  readonly memoryBytes: number
  /** The same with no layer expanded: with less, experts are read when needed. */
  readonly leastMemoryBytes: number
  /**
   * Bytes of the file's weights that one token reads: all but the experts that the router leaves out and the embeddings
   * of other tokens.
   */
  readonly activeBytesPerToken: number
}

/** How the model is to be loaded. */
export interface Loading {
  readonly build: KernelBuild
  /** What an Ollama model brings: its context length counts where `options` has none. */
  readonly layers?: OllamaLayers | undefined
  /** Bytes of memory of the adapters that come with it. Default 0. */
  readonly adapterBytes?: number
  readonly options?: EngineOptions
}

/** Throws `OPTION`; what is wrong with the model is in `refusal`. */
export function factsOf(gguf: Gguf, loading: Loading): ModelFacts {
  const { options: sampling, notes } = fileDefaults(gguf.metadata)
  const file = {
    sampling,
    notes: [...vocabularyNotes(gguf), ...notes],
    fileBytes: gguf.files.reduce((sum, { bytes }) => sum + bytes, 0),
    quantization: fileTypeName(gguf.metadata),
    tensorTypes: tensorTypes(gguf),
  }
  let config: MixtralConfig | undefined
  try {
    config = MixtralConfig.fromGgufMetadata(gguf.metadata)
    const tensors = mixtralTensors(config, gguf)
    const options = planOptions(config, loading)
    const needs = needsOf(config, tensors, options)
    const fit = fitOf(config, tensors, options)
    return { ...file, config, needs, fit, refusal: fit.refusal }
  } catch (error) {
    if (!(error instanceof MixtralError) || error.code === 'OPTION') throw error
    return { ...file, config, needs: undefined, fit: undefined, refusal: error.message }
  }
}

/** What is odd about the vocabulary, if there is one of the kind that Mixtral has; or why it is refused. */
function vocabularyNotes({ metadata }: Gguf): readonly string[] {
  if (metadata.get('tokenizer.ggml.model') !== 'llama') return []
  try {
    return atOnce(readVocabulary(metadata)).notes
  } catch (error) {
    if (error instanceof MixtralError) return [error.message]
    throw error
  }
}

/**
 * Bytes of memory that the model takes at least with all experts in it. Throws `MODEL` or `UNSUPPORTED` where it cannot
 * run on any machine, and `OPTION`.
 */
export function residentBytes(gguf: Gguf, loading: Loading): number {
  const config = MixtralConfig.fromGgufMetadata(gguf.metadata)
  const { bytes } = residentNeeds(config, mixtralTensors(config, gguf), { ...planOptions(config, loading), ram: 0 })
  return bytes + (loading.adapterBytes ?? 0)
}

/** The options of the plan that `MixtralModel.load` makes. */
export function planOptions({ maxPositions }: MixtralConfig, { build, layers, adapterBytes = 0, options = {} }: Loading): PlanOptions {
  const all = layers ? withDefaults(contextDefault(modelDefaults(layers), maxPositions), options) : options
  return { ...checkEngineOptions(all, maxPositions), adapterBytes, build }
}

function needsOf(config: MixtralConfig, tensors: MixtralTensors, options: PlanOptions): ModelNeeds {
  const { contextLength, weightBytes, kvBytes, bytes } = residentNeeds(config, tensors, options)
  const { bytes: leastBytes } = residentNeeds(config, tensors, { ...options, ram: 0 })
  const { adapterBytes = 0 } = options
  return {
    contextLength,
    weightBytes,
    kvBytes,
    scratchBytes: bytes - weightBytes - kvBytes,
    adapterBytes,
    memoryBytes: bytes + adapterBytes,
    leastMemoryBytes: leastBytes + adapterBytes,
    activeBytesPerToken: activeBytes(config, tensors),
  }
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
