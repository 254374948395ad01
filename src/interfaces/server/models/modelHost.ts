// What a server needs of its models: which there are, what lists tell of them, and one to answer with. There are two
// hosts: one model that is loaded (oneModel.ts), and those of this machine, loaded on demand (modelCatalog.ts).

import { quoted } from '../../../base/errors.js'
import { fileTypeName } from '../../../format/gguf/fileType.js'
import type { Gguf } from '../../../format/gguf/gguf.js'
import type { OllamaLayers } from '../../../registry/stores/ollamaLayers.js'
import type { EngineStatus } from '../../../runtime/engine/status.js'
import type { MixtralConfig } from '../../../runtime/weights/mixtralConfig.js'
import { ApiError } from '../apiError.js'
import { isCalled, type ServedModel } from '../servedModel.js'
import type { Lease } from './residents.js'

/** A model that may be asked for, as lists have it: known by its header. */
export interface OfferedModel {
  readonly name: string
  readonly aliases: readonly string[]
  /** Bytes of its files. */
  readonly bytes: number
  /** In seconds since 1970. */
  readonly created: number
  readonly summary: ModelSummary
  /** Most tokens of one call, if that is known: it may depend on the memory that there is when it is loaded. */
  readonly contextLength: number | undefined
  fileFacts(): Promise<FileFacts>
  header(): Promise<{ readonly gguf: Gguf; readonly layers: OllamaLayers | undefined }>
}

export interface FileFacts {
  /** 64 hex digits that tell its weights from others. */
  readonly digest: string
  /** In ISO 8601. */
  readonly modified: string
}

/** A model in memory. */
export interface LoadedModel {
  readonly offered: OfferedModel
  readonly served: ServedModel
  /** When it is unloaded unless it is used, in milliseconds since 1970; infinite for never. */
  readonly ends: number
}

/** What a request asks of its model. */
export interface Wishes {
  /** Seconds that it stays loaded after this use, and those to come. */
  readonly keepAliveSeconds?: number | undefined
  /** Tokens that a call is to have room for. Memory, and others who use the model, may be in the way of that. */
  readonly contextLength?: number | undefined
}

export interface AskOptions extends Wishes {
  readonly signal: AbortSignal
}

/** Names are those of requests; undefined is a request without one. A name without a model gives undefined. */
export interface ModelHost {
  /** Most answers of a model that are written at one time. */
  readonly sequences: number
  /** All that may be asked for. */
  list(): Promise<readonly OfferedModel[]>
  find(asked: string): Promise<OfferedModel | undefined>
  /** Whether there is a model of this name, also one that cannot run. */
  has(asked: string): Promise<boolean>
  /** The last used first. */
  loaded(): readonly LoadedModel[]
  /** A use of a model that is in memory as it is asked for, at once. */
  take(asked: string | undefined, wishes?: Wishes): Lease<ServedModel> | undefined
  /** A use of a model, loaded if need be. Throws what loading throws, and an ApiError 400 without a name. */
  borrow(asked: string | undefined, options: AskOptions): Promise<Lease<ServedModel> | undefined>
  /** Unloads a model as soon as nobody uses it. What becomes of it: a given one stays. Undefined without a model. */
  unload(asked: string): Promise<'unloads' | 'stays' | undefined>
  /** What all in memory do together. */
  status(): EngineStatus
}

/** The model that was used last, or that `asked` names. Throws an ApiError 503 for one that is not in memory. */
export function modelInMemory(host: ModelHost, asked: string | undefined): ServedModel {
  const loaded = host.loaded().map(({ served }) => served)
  const served = asked === undefined ? loaded[0] : loaded.find((one) => isCalled(one, asked))
  if (served) return served
  throw new ApiError(503, asked === undefined ? 'no model is in memory' : `the model ${quoted(asked)} is not in memory`)
}

/** What lists tell of a model, from its header. Small, since a server keeps it for each model. */
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
