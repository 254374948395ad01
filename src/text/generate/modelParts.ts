// What a loaded model consists of, and how it is loaded: a name or a path becomes an engine, a tokenizer and a chat
// template.

import { checkKind, unlessRevoked } from '../../base/errors.js'
import type { Gguf } from '../../format/gguf/gguf.js'
import { adapterName } from '../../registry/names/modelName.js'
import { checkLocalModel, type LocalModel, localModel } from '../../registry/stores/localModels.js'
import type { OllamaLayers } from '../../registry/stores/ollamaLayers.js'
import { type AdapterChoice, checkAdapters } from '../../runtime/adapters/adapterSet.js'
import { checkCallOptions } from '../../runtime/engine/callArguments.js'
import { Engine } from '../../runtime/engine/engine.js'
import type { EngineOptions as LoadOptions } from '../../runtime/engine/engineOptions.js'
import { configOf, MixtralConfig } from '../../runtime/weights/mixtralConfig.js'
import { WeightLoader, Weights } from '../../runtime/weights/weightLoader.js'
import type { ChatTemplate } from '../chat/chatTemplate.js'
import { Tokenizer } from '../tokenizer/tokenizer.js'
import { fileDefaults } from './fileDefaults.js'
import type { GenerationOptions } from './generationOptions.js'
import { contextDefault, type ModelDefaults, modelDefaults, withDefaults } from './modelDefaults.js'

/** What came with an Ollama model beside its weights. */
interface OllamaExtras {
  readonly layers: OllamaLayers
  readonly defaults: ModelDefaults
}

export interface ModelParts {
  readonly gguf: Gguf
  readonly engine: Engine
  readonly tokenizer: Tokenizer
  readonly template: ChatTemplate
  readonly loadSeconds: number
  readonly extras: OllamaExtras | undefined
  /** Options for callers that give none: those of the Ollama model, then the file's. */
  readonly defaults: GenerationOptions
}

const ENGINE_OPTIONS = [
  'threads',
  'contextLength',
  'sequences',
  'kvTokens',
  'stepMs',
  'drafts',
  'kvFormat',
  'ram',
  'batchSize',
  'bankBytes',
  'adapters',
]
/** The options of loading beside those of every long call. */
const LOAD_OPTIONS = [...ENGINE_OPTIONS, 'worker', 'profile']

/** What is odd about the parts. */
export function notesOf({ engine, tokenizer, template, extras, gguf }: ModelParts): string[] {
  const { plan, config } = engine
  const isPast = plan.contextLength > config.maxPositions
  const past = `the context of ${plan.contextLength} tokens is longer than the ${config.maxPositions} that the model was trained on: texts get worse there`
  return [
    ...(isPast ? [past] : []),
    ...tokenizer.notes,
    ...template.notes,
    ...fileDefaults(gguf.metadata).notes,
    ...(extras?.defaults.notes ?? []),
  ]
}

/** Throws what `MixtralModel.load` throws. */
export async function loadParts(given: string | URL | LocalModel, asked: LoadOptions): Promise<ModelParts> {
  const options = checkCallOptions(asked, LOAD_OPTIONS)
  const asAsked = checkAdapters(options.adapters)
  const isUrl = unlessRevoked(() => given instanceof URL)
  checkKind('the model', given, isUrl !== undefined, 'a name, a path, a URL or a found model')
  const model = isUrl ? (given as URL).href : (given as string | LocalModel)
  const local = typeof model === 'object' && model ? ownCopy(checkLocalModel(model)) : await localModel(model)
  const { path, layers } = local
  const weights = await WeightLoader.fromGguf(path, { signal: options.signal })
  const config = configOf(weights.gguf)
  const adapters = await allAdapters(local.adapters, asAsked)
  const own = adapters.length > 0 ? { ...options, adapters } : options
  if (!layers) return openParts(config, weights, own)
  const defaults = modelDefaults(layers)
  const loading = withDefaults(contextDefault(defaults, config.maxPositions), own)
  return openParts(config, weights, loading, { layers, defaults })
}

/** The adapters of an Ollama model, with the scale that Ollama gives them, then those of a caller, by path or name. */
export async function allAdapters(own: readonly string[] = [], asked: readonly AdapterChoice[]): Promise<AdapterChoice[]> {
  const choices: AdapterChoice[] = own.map((path) => ({ path, scale: 1 }))
  for (const choice of asked) {
    const isName = /^(hf:|https?:\/\/)/i.test(choice.path)
    choices.push(isName ? { ...choice, path: (await localModel(adapterName(choice.path))).path } : choice)
  }
  return choices
}

/** A copy of what a caller may change while the model is open. */
function ownCopy({ path, layers, adapters = [] }: LocalModel): Pick<LocalModel, 'path' | 'layers' | 'adapters'> {
  return { path, layers: structuredClone(layers), adapters: [...adapters] }
}

/** Throws what `MixtralModel.fromWeights` throws. */
export async function openParts(config: MixtralConfig, weights: Weights, asked: LoadOptions, extras?: OllamaExtras): Promise<ModelParts> {
  checkKind('the configuration', config, config instanceof MixtralConfig, 'a MixtralConfig')
  checkKind('the weights', weights, weights instanceof Weights, 'those of WeightLoader')
  const options = checkCallOptions(asked, LOAD_OPTIONS)
  const started = performance.now()
  const tokenizer = await Tokenizer.load(weights.metadata, options.signal ? { signal: options.signal } : {})
  const template = await templateOf(weights, tokenizer, extras?.layers.template)
  const engine = await Engine.open(config, weights, options)
  const loadSeconds = (performance.now() - started) / 1000
  const defaults = { ...fileDefaults(weights.metadata).options, ...extras?.defaults.options }
  return { gguf: weights.gguf, engine, tokenizer, template, loadSeconds, extras, defaults }
}

/**
 * The template of an Ollama model, else the file's. The interpreters are loaded with a model, so that importing the
 * library stays cheap.
 */
async function templateOf(weights: Weights, tokenizer: Tokenizer, ollama: string | undefined): Promise<ChatTemplate> {
  const { ChatTemplate } = await import('../chat/chatTemplate.js')
  const isAbsent = ollama === undefined || ollama.trim() === ''
  return isAbsent ? ChatTemplate.fromGgufMetadata(weights.metadata, tokenizer) : ChatTemplate.fromOllama(ollama, tokenizer)
}
