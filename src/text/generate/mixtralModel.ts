// The library's front door: a loaded Mixtral that writes text. Puts tokenizer, chat template, engine and generation together; computes nothing itself.

import { MixtralError } from '../../base/errors.js'
import type { Gguf, GgufValue } from '../../format/gguf/gguf.js'
import { type LocalModel, localModel } from '../../registry/stores/localModels.js'
import type { OllamaLayers } from '../../registry/stores/ollamaLayers.js'
import type { WeightFindings } from '../../runtime/engine/check/weightFindings.js'
import type { WeightPart } from '../../runtime/engine/check/weightParts.js'
import { type CallOptions, Engine } from '../../runtime/engine/engine.js'
import type { EngineOptions } from '../../runtime/engine/engineOptions.js'
import type { KernelBuild, KvFormat } from '../../runtime/kernels/abi.js'
import type { StageTime } from '../../runtime/model/profile.js'
import type { ExpertFigures } from '../../runtime/residency/expertFigures.js'
import { TapChoice, type TracedRows, type TracedTensor, type TraceOptions } from '../../runtime/trace/taps.js'
import { gatherTrace } from '../../runtime/trace/trace.js'
import { MixtralConfig } from '../../runtime/weights/mixtralConfig.js'
import { WeightLoader, type Weights } from '../../runtime/weights/weightLoader.js'
import type { ChatMessage } from '../chat/chatMessages.js'
import type { ChatTemplate } from '../chat/chatTemplate.js'
import { Tokenizer } from '../tokenizer/tokenizer.js'
import { checkCallOptions } from './callOptions.js'
import { checkGenerationOptions } from './checkGenerationOptions.js'
import { type GenerationResult, generate, type Piece } from './generation.js'
import type { GenerationOptions } from './generationOptions.js'
import { contextDefault, type ModelDefaults, modelDefaults, withDefaults, withModelMessages } from './modelDefaults.js'

/** Options of loading. Unknown ones are refused. */
export type LoadOptions = EngineOptions

export interface ChatResult extends GenerationResult {
  /** Whether the template has no system role and the system text was put before the first user message. */
  readonly folded: boolean
}

/** What came with an Ollama model beside its weights. */
interface Brought {
  readonly layers: OllamaLayers
  readonly defaults: ModelDefaults
}

const LOAD_OPTIONS = ['threads', 'contextLength', 'kvFormat', 'ram', 'batchSize', 'bankBytes', 'worker', 'profile'] // beside those of every long call

/**
 * A Mixtral in memory. Calls on one model run one after the other; the main thread stays free.
 *
 * @example
 * const model = await MixtralModel.load('demo')
 * console.log(await model.chat([{ role: 'user', content: 'What is 7 + 5?' }], { temperature: 0 }))
 * await model.close()
 */
export class MixtralModel {
  readonly config: MixtralConfig
  readonly tokenizer: Tokenizer
  readonly gguf: Gguf
  /** Seconds from the call to a model ready to run. */
  readonly loadSeconds: number
  readonly #engine: Engine
  readonly #template: ChatTemplate
  readonly #layers: OllamaLayers | undefined
  readonly #defaults: ModelDefaults | undefined

  private constructor(gguf: Gguf, engine: Engine, tokenizer: Tokenizer, template: ChatTemplate, loadSeconds: number, brought?: Brought) {
    this.config = engine.config
    this.tokenizer = tokenizer
    this.gguf = gguf
    this.loadSeconds = loadSeconds
    this.#engine = engine
    this.#layers = brought?.layers
    this.#defaults = brought?.defaults
    this.#template = template
  }

  /**
   * Loads a model that is on this machine: `demo`, a path, or a name in Ollama's store, the Hugging Face cache or ours; or
   * one that was found already, which is not looked up again. An Ollama model brings its template, system message and
   * parameters, which count where the caller says nothing else.
   * Throws `IO`, `GGUF`, `MODEL`, `UNSUPPORTED`, `TOKENIZER`, `OPTION`, `MEMORY`, `ABORTED`.
   */
  static async load(model: string | LocalModel, options: LoadOptions = {}): Promise<MixtralModel> {
    const { path, layers } = typeof model === 'object' && model ? model : await localModel(model)
    const weights = await WeightLoader.fromGguf(path)
    const config = MixtralConfig.fromGgufMetadata(weights.metadata)
    if (!layers) return MixtralModel.#open(config, weights, options)
    const defaults = modelDefaults(layers)
    const loading = withDefaults(contextDefault(defaults, config.maxPositions), options)
    return MixtralModel.#open(config, weights, loading, { layers, defaults })
  }

  /** Loads a model whose header is already open. */
  static fromWeights(config: MixtralConfig, weights: Weights, options: LoadOptions = {}): Promise<MixtralModel> {
    return MixtralModel.#open(config, weights, options)
  }

  static async #open(config: MixtralConfig, weights: Weights, options: LoadOptions, brought?: Brought): Promise<MixtralModel> {
    checkCallOptions(options, LOAD_OPTIONS)
    const started = performance.now()
    const tokenizer = Tokenizer.fromGgufMetadata(weights.metadata)
    const template = await templateOf(weights, tokenizer, brought?.layers.template)
    const engine = await Engine.open(config, weights, options)
    return new MixtralModel(weights.gguf, engine, tokenizer, template, (performance.now() - started) / 1000, brought)
  }

  /** The file's keys and values. */
  get metadata(): ReadonlyMap<string, GgufValue> {
    return this.gguf.metadata
  }

  /** Positions the KV cache has room for. */
  get contextLength(): number {
    return this.#engine.plan.contextLength
  }

  get threads(): number {
    return this.#engine.plan.threads
  }

  /** Most tokens of one step. */
  get batchSize(): number {
    return this.#engine.plan.batchSize
  }

  /** How keys and values are kept. */
  get kvFormat(): KvFormat {
    return this.#engine.plan.kvFormat
  }

  get kernels(): KernelBuild {
    return this.#engine.kernels
  }

  /** Bytes of weights in memory. */
  get weightBytes(): number {
    return this.#engine.plan.weightBytes
  }

  /** Bytes of weights, KV cache and scratch memory together: what `ram` bounds. */
  get memoryBytes(): number {
    return this.#engine.plan.bytes
  }

  /** Bytes of the KV cache. */
  get kvBytes(): number {
    return this.#engine.plan.kvBytes
  }

  /** Experts of the model, of all layers, and how many of them are in memory at once. */
  get expertSlots(): { readonly experts: number; readonly slots: number } {
    return { experts: this.config.layers * this.config.experts, slots: this.#engine.plan.slots.length }
  }

  /** What has been counted of experts that come and go, since `earlier` or from the start; undefined where all are in memory. */
  expertFigures(earlier?: ExpertFigures): ExpertFigures | undefined {
    return this.#engine.expertFigures(earlier)
  }

  /** Writes on from a raw prompt: control tokens spelled in it count, and BOS is put first unless it is there. Returns the new text. */
  async generate(prompt: string, options: GenerationOptions = {}): Promise<string> {
    return (await finish(this.stream(prompt, options))).text
  }

  /**
   * The same, piece by piece; the generator's return value is the result with its figures. Leaving the loop early ends the generation. The loop holds the model: another
   * call on it waits for the loop to end, and must not be awaited inside.
   */
  stream(prompt: string, options: GenerationOptions = {}): AsyncGenerator<Piece, GenerationResult> {
    return this.#generate(() => this.#encode(prompt), options)
  }

  /** The answer to a conversation, through the file's chat template. The text of messages never becomes a control token. */
  async chat(messages: readonly ChatMessage[], options: GenerationOptions = {}): Promise<ChatResult> {
    return finish(this.streamChat(messages, options))
  }

  /** The same, piece by piece. */
  async *streamChat(messages: readonly ChatMessage[], options: GenerationOptions = {}): AsyncGenerator<Piece, ChatResult> {
    const { ids, folded } = this.#template.render(withModelMessages(messages, this.#layers))
    const result = yield* this.#generate(() => ids, options)
    return { ...result, folded }
  }

  /** The logits after each token: (tokens, vocabulary). The tokens are taken as they are, without BOS. */
  async logits(ids: readonly number[], options: CallOptions = {}): Promise<Float32Array> {
    checkCallOptions(options)
    return this.#engine.exclusive(() => this.#engine.evaluateAll(ids, options), options.signal)
  }

  /** The logits after the last token: (vocabulary). Only what differs from the call before is run. */
  async evaluate(ids: readonly number[], options: CallOptions = {}): Promise<Float32Array> {
    checkCallOptions(options)
    return this.#engine.exclusive(() => this.#engine.evaluate(ids, options), options.signal)
  }

  /**
   * Intermediate tensors of a forward pass over all of `ids`, under the names of llama.cpp's eval callback, in the order in which they come about: `attn_norm-0`,
   * `ffn_moe_topk-3`, `l_out-5`, `result_output`. They are those of the ordinary pass, bit for bit. All of them take memory for a few hundred hidden states per token
   * in a large model. Throws `OPTION` for a name that no tensor has, and what `logits` throws.
   * @example const [routing] = await model.trace(ids, { tensors: ['ffn_moe_topk-3'] }) // values: (tokens, used) experts, best first
   */
  async trace(ids: readonly number[], options: TraceOptions & CallOptions = {}): Promise<TracedTensor[]> {
    checkCallOptions(options, ['tensors'])
    const choice = new TapChoice(this.config.layers, options)
    return this.#engine.exclusive(() => gatherTrace(this.#engine.trace(ids, choice, options), ids.length), options.signal)
  }

  /**
   * The same tensors one after the other, so that they need not all be in memory: each for the tokens of one step, the first of which is at `position`. The loop holds the
   * model, as that of `stream` does.
   */
  traceEach(ids: readonly number[], options: TraceOptions & CallOptions = {}): AsyncGenerator<TracedRows> {
    checkCallOptions(options, ['tensors'])
    const choice = new TapChoice(this.config.layers, options)
    return this.#holding(() => this.#engine.trace(ids, choice, options), options.signal)
  }

  /**
   * Checks the weights in memory, one matrix after the other: their bytes against the file, the kernels' products with them against the oracle of their format, bit for bit,
   * and against exact arithmetic. The loop holds the model. `verifyModel` makes a verdict of it.
   */
  checkWeights(options: CallOptions = {}): AsyncGenerator<WeightPart & WeightFindings> {
    checkCallOptions(options)
    return this.#holding(() => this.#engine.checkWeights(options), options.signal)
  }

  /** With the option `profile`: where the time of all calls since the last `takeProfile` went, stage by stage. */
  takeProfile(): Promise<StageTime[]> {
    return this.#engine.exclusive(async () => this.#engine.takeProfile())
  }

  /** Forgets the tokens that calls could share: the next one starts from nothing. */
  reset(): Promise<void> {
    return this.#engine.exclusive(async () => this.#engine.reset())
  }

  /** Ends the threads. Running and waiting calls fail with `CLOSED`. */
  close(): Promise<void> {
    return this.#engine.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** What `generate` gives, while it holds the engine. */
  async *#holding<T>(generate: () => AsyncGenerator<T>, signal: AbortSignal | undefined): AsyncGenerator<T> {
    const leave = await this.#engine.enter(signal)
    try {
      yield* generate()
    } finally {
      leave()
    }
  }

  #encode(prompt: string): number[] {
    if (typeof prompt !== 'string') throw new MixtralError('OPTION', `the prompt is of type ${typeof prompt}, expected a string`)
    return this.tokenizer.encodePrompt(prompt)
  }

  /** A generation that holds the engine from its first piece to its end, however it ends. */
  async *#generate(prompt: () => readonly number[], options: GenerationOptions): AsyncGenerator<Piece, GenerationResult> {
    const checked = checkGenerationOptions(withDefaults(this.#defaults?.options ?? {}, options))
    const ids = prompt()
    const leave = await this.#engine.enter(checked.signal)
    try {
      return yield* generate(this.#engine, this.tokenizer, ids, checked)
    } finally {
      leave()
    }
  }
}

async function finish<T>(pieces: AsyncGenerator<Piece, T>): Promise<T> {
  for (;;) {
    const { done, value } = await pieces.next()
    if (done) return value
  }
}

/** An Ollama model's own template counts before the file's. Their interpreters are loaded with a model, not with the library. */
async function templateOf(weights: Weights, tokenizer: Tokenizer, ollama: string | undefined): Promise<ChatTemplate> {
  const { ChatTemplate } = await import('../chat/chatTemplate.js')
  return ollama === undefined ? ChatTemplate.fromGgufMetadata(weights.metadata, tokenizer) : ChatTemplate.fromOllama(ollama, tokenizer)
}
