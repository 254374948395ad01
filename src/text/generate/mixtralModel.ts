// The library's main class: a loaded Mixtral that writes text. Connects tokenizer, chat template, engine and
// generation; computes nothing itself.

import { MixtralError, shown } from '../../base/errors.js'
import type { Gguf, GgufValue } from '../../format/gguf/gguf.js'
import { checkLocalModel, type LocalModel, localModel } from '../../registry/stores/localModels.js'
import type { OllamaLayers } from '../../registry/stores/ollamaLayers.js'
import { type CallOptions, checkCallOptions } from '../../runtime/engine/callOptions.js'
import { Engine, type EngineStatus } from '../../runtime/engine/engine.js'
import type { EngineOptions as LoadOptions } from '../../runtime/engine/engineOptions.js'
import type { RoutedToken } from '../../runtime/engine/stepLoop.js'
import type { KernelBuild } from '../../runtime/kernels/abi.js'
import type { StageTime } from '../../runtime/model/profile.js'
import type { ExpertFigures } from '../../runtime/residency/expertFigures.js'
import { TapChoice, type TracedRows, type TracedTensor, type TraceOptions } from '../../runtime/trace/taps.js'
import { gatherTrace } from '../../runtime/trace/trace.js'
import { MixtralConfig } from '../../runtime/weights/mixtralConfig.js'
import { WeightLoader, type Weights } from '../../runtime/weights/weightLoader.js'
import type { ChatMessage } from '../chat/chatMessages.js'
import type { ChatTemplate } from '../chat/chatTemplate.js'
import { Tokenizer } from '../tokenizer/tokenizer.js'
import { type CheckedTensor, checkedTensor } from './checkedTensor.js'
import { checkGenerationOptions } from './checkGenerationOptions.js'
import { type ChatResult, finish, Generation, type GenerationResult, type Piece } from './generation.js'
import type { GenerationOptions } from './generationOptions.js'
import { contextDefault, type ModelDefaults, modelDefaults, withDefaults, withModelMessages } from './modelDefaults.js'
import { type ModelMemory, modelMemory } from './modelMemory.js'
import { type ScoredToken, type ScoreOptions, scoreTokens } from './score.js'

/** What came with an Ollama model beside its weights. */
interface OllamaExtras {
  readonly layers: OllamaLayers
  readonly defaults: ModelDefaults
}

const LOAD_OPTIONS = [
  'threads',
  'contextLength',
  'sequences',
  'kvTokens',
  'stepMs',
  'kvFormat',
  'ram',
  'batchSize',
  'bankBytes',
  'worker',
  'profile',
] // beside those of every long call

/**
 * A Mixtral in memory. Calls at the same time share its steps, up to `sequences` of them; each gets what it would get
 * alone, bit for bit. The main thread stays free.
 *
 * @example
 * const model = await MixtralModel.load('demo')
 * const { text } = await model.chat([{ role: 'user', content: 'What is 7 + 5?' }], { temperature: 0 })
 * console.log(text)
 * await model.close()
 */
export class MixtralModel {
  readonly config: MixtralConfig
  readonly tokenizer: Tokenizer
  readonly gguf: Gguf
  /** Most tokens of one call, prompt and answer together. */
  readonly contextLength: number
  readonly memory: ModelMemory
  readonly threads: number
  /** Largest number of tokens in one step. */
  readonly batchSize: number
  /** The build of the kernels that runs on this machine. */
  readonly kernels: KernelBuild
  /** Seconds from the call to a model ready to run. */
  readonly loadSeconds: number
  readonly #engine: Engine
  readonly #template: ChatTemplate
  readonly #extras: OllamaExtras | undefined

  private constructor(
    gguf: Gguf,
    engine: Engine,
    tokenizer: Tokenizer,
    template: ChatTemplate,
    loadSeconds: number,
    extras?: OllamaExtras,
  ) {
    const { config, plan } = engine
    this.config = config
    this.tokenizer = tokenizer
    this.gguf = gguf
    this.contextLength = plan.contextLength
    this.memory = modelMemory(plan, config)
    this.threads = plan.threads
    this.batchSize = plan.batchSize
    this.kernels = engine.kernels
    this.loadSeconds = loadSeconds
    this.#engine = engine
    this.#template = template
    this.#extras = extras
  }

  /**
   * Loads a model that is on this machine: `demo`, a path, or a name in Ollama's store, the Hugging Face cache or ours;
   * or one that has been found already. An Ollama model brings a template, a system message and parameters; they apply
   * where the caller gives none.
   *
   * Throws `IO` if the model is not here or cannot be read; `GGUF`, `MODEL`, `TOKENIZER` or `TEMPLATE` if its file is
   * damaged or not a Mixtral; `UNSUPPORTED`; `OPTION`; `MEMORY` if `ram` is too small; `THREAD`; `ABORTED`.
   */
  static async load(model: string | LocalModel, options: LoadOptions = {}): Promise<MixtralModel> {
    const { path, layers } = typeof model === 'object' && model ? checkLocalModel(model) : await localModel(model)
    const weights = await WeightLoader.fromGguf(path)
    const config = MixtralConfig.fromGgufMetadata(weights.metadata)
    if (!layers) return MixtralModel.#open(config, weights, options)
    const defaults = modelDefaults(layers)
    const loading = withDefaults(contextDefault(defaults, config.maxPositions), options)
    return MixtralModel.#open(config, weights, loading, { layers, defaults })
  }

  /**
   * Loads a model whose header has been read already. Throws `MODEL`, `UNSUPPORTED`, `TOKENIZER`, `TEMPLATE`, `OPTION`,
   * `MEMORY`, `IO`, `THREAD` and `ABORTED`, as `load` does.
   */
  static fromWeights(config: MixtralConfig, weights: Weights, options: LoadOptions = {}): Promise<MixtralModel> {
    return MixtralModel.#open(config, weights, options)
  }

  static async #open(config: MixtralConfig, weights: Weights, options: LoadOptions, extras?: OllamaExtras): Promise<MixtralModel> {
    checkCallOptions(options, LOAD_OPTIONS)
    const started = performance.now()
    const tokenizer = Tokenizer.fromGgufMetadata(weights.metadata)
    const template = await templateOf(weights, tokenizer, extras?.layers.template)
    const engine = await Engine.open(config, weights, options)
    return new MixtralModel(weights.gguf, engine, tokenizer, template, (performance.now() - started) / 1000, extras)
  }

  /** The file's keys and values. */
  get metadata(): ReadonlyMap<string, GgufValue> {
    return this.gguf.metadata
  }

  /**
   * Counts of expert loading since `earlier`, or since the model was opened; undefined where all experts are in memory.
   */
  expertFigures(earlier?: ExpertFigures): ExpertFigures | undefined {
    return this.#engine.expertFigures(earlier)
  }

  /**
   * Continues a raw prompt. Control tokens spelled in the prompt count as such, and BOS is put first unless it is there
   * already.
   *
   * Throws `OPTION`; `CONTEXT` if the prompt leaves no room for a token; `MODEL` if the model computes a logit that is
   * not finite; `IO` if an expert cannot be read; `THREAD`; `ABORTED`; `CLOSED`.
   * @example const { text, finishReason } = await model.generate('Once upon a time', { maxNewTokens: 40 })
   */
  generate(prompt: string, options: GenerationOptions = {}): Promise<GenerationResult> {
    return finish(this.stream(prompt, options))
  }

  /**
   * Continues a raw prompt as `generate` does, and yields the text as it comes. The generator's return value is the
   * whole result. Leaving the loop early ends the generation. A reader that falls behind makes only its own generation
   * wait. The first piece throws what `generate` throws.
   */
  stream(prompt: string, options: GenerationOptions = {}): AsyncGenerator<Piece, GenerationResult> {
    return this.#generate(() => this.tokenizer.encodePrompt(prompt), options)
  }

  /**
   * Answers a conversation, through the chat template of the model. The text of a message never becomes a control
   * token. Throws `TEMPLATE` for messages that the template refuses and for a template that fails, and what `generate`
   * throws.
   */
  chat(messages: readonly ChatMessage[], options: GenerationOptions = {}): Promise<ChatResult> {
    return finish(this.streamChat(messages, options))
  }

  /**
   * Answers a conversation as `chat` does, and yields the text as it comes, as `stream` does. The first piece throws
   * what `chat` throws.
   */
  async *streamChat(messages: readonly ChatMessage[], options: GenerationOptions = {}): AsyncGenerator<Piece, ChatResult> {
    const { ids, folded } = this.#template.render(withModelMessages(messages, this.#extras?.layers))
    const result = yield* this.#generate(() => ids, options)
    return { ...result, folded }
  }

  /**
   * The logits after each token: (tokens, vocabulary). The tokens are taken as they are, without BOS.
   *
   * Throws `OPTION` for an unknown option or no tokens; `CONTEXT` if the tokens do not fit the context; `TOKENIZER` for
   * an id outside the vocabulary; `IO` if an expert cannot be read; `THREAD`; `ABORTED`; `CLOSED`.
   */
  async logits(ids: readonly number[], options: CallOptions = {}): Promise<Float32Array> {
    checkCallOptions(options)
    const tokens = this.#engine.checked(ids)
    return this.#engine.evaluateAll(tokens, options)
  }

  /**
   * The logits after the last token: (vocabulary). Only tokens after a beginning that the KV cache holds of earlier
   * calls are run. Throws what `logits` throws.
   */
  async evaluate(ids: readonly number[], options: CallOptions = {}): Promise<Float32Array> {
    checkCallOptions(options)
    const tokens = this.#engine.checked(ids)
    return this.#engine.evaluate(tokens, options)
  }

  /**
   * The log-probabilities of given tokens: of each of `ids` from `from` on, what the model thinks of it after those
   * before it. No logits are copied. The tokens are taken as they are, without BOS.
   *
   * Throws `OPTION` for fewer than two tokens and an impossible `from` or `top`; `MODEL` if a logit is not finite; and
   * what `logits` throws.
   * @example
   * const ids = model.tokenizer.encodePrompt('The capital of France is Paris')
   * const sum = (await model.score(ids)).reduce((sum, { logprob }) => sum + logprob, 0)
   */
  async score(ids: readonly number[], options: ScoreOptions = {}): Promise<ScoredToken[]> {
    return scoreTokens(this.#engine, ids, options)
  }

  /** What runs and waits now, and how full the KV cache is. Never waits. */
  status(): EngineStatus {
    return this.#engine.status
  }

  /** How often each expert was used since the model was loaded: (layers, experts). */
  expertUses(): Float64Array {
    return this.#engine.expertUses
  }

  /**
   * Calls a listener with the experts of every token that runs, prompts too, between two steps. Returns a function that
   * ends it. A listener that throws is not called again, and the process warns.
   */
  onRouting(listener: (routed: RoutedToken) => void): () => void {
    if (typeof listener !== 'function') throw new MixtralError('OPTION', `the listener is ${shown(listener)}, expected a function`)
    return this.#engine.onRouting(listener)
  }

  /**
   * Intermediate tensors of a forward pass over all of `ids`, under the names of llama.cpp's eval callback, in the
   * order in which they are computed: `attn_norm-0`, `ffn_moe_topk-3`, `l_out-5`, `result_output`. They have the bits
   * of the ordinary pass. In a large model, all of them together take the memory of a few hundred hidden states per
   * token.
   *
   * Throws `OPTION` for a name that no tensor has, and what `logits` throws.
   * @example
   * const [routing] = await model.trace(ids, { tensors: ['ffn_moe_topk-3'] })
   * routing.values // (tokens, used) experts, best first
   */
  async trace(ids: readonly number[], options: TraceOptions & CallOptions = {}): Promise<TracedTensor[]> {
    checkCallOptions(options, ['tensors'])
    const tokens = this.#engine.checked(ids)
    const choice = new TapChoice(this.config.layers, options)
    return this.#engine.exclusive(() => gatherTrace(this.#engine.trace(tokens, choice, options), tokens.length), options.signal)
  }

  /**
   * The tensors of `trace` one at a time, so that they need not all fit in memory: each for the tokens of one step, the
   * first of which is at `position`. The loop holds the model: another call on it waits until the loop has ended, so do
   * not await one inside. Throws what `trace` throws.
   */
  traceEach(ids: readonly number[], options: TraceOptions & CallOptions = {}): AsyncGenerator<TracedRows> {
    checkCallOptions(options, ['tensors'])
    const tokens = this.#engine.checked(ids)
    const choice = new TapChoice(this.config.layers, options)
    return this.#holding(() => this.#engine.trace(tokens, choice, options), options.signal)
  }

  /**
   * Checks the weights in memory, one tensor at a time: their bytes against the file, the kernels' products with them
   * against the oracle of their format, bit for bit, and against exact arithmetic. `verifyModel` makes a verdict of it.
   * The loop holds the model, as that of `traceEach` does. Throws `OPTION`, `IO`, `THREAD`, `ABORTED` and `CLOSED`.
   */
  checkWeights(options: CallOptions = {}): AsyncGenerator<CheckedTensor> {
    checkCallOptions(options)
    const engine = this.#engine
    async function* check() {
      for await (const part of engine.checkWeights(options)) yield checkedTensor(part)
    }
    return this.#holding(check, options.signal)
  }

  /**
   * The time of all calls since the last `takeProfile`, stage by stage; no stages unless the model was loaded with the
   * option `profile`. Throws `CLOSED`.
   */
  takeProfile(): Promise<StageTime[]> {
    return this.#engine.exclusive(async () => this.#engine.takeProfile())
  }

  /** Empties the KV cache: the next call shares no tokens with the calls before. Throws `CLOSED`. */
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

  /** Yields what `generate` yields, and holds the engine from the first value to the end. */
  async *#holding<T>(generate: () => AsyncGenerator<T>, signal: AbortSignal | undefined): AsyncGenerator<T> {
    const leave = await this.#engine.enter(signal)
    try {
      yield* generate()
    } finally {
      leave()
    }
  }

  /** Runs one generation, beside others. It begins with the first piece that is asked for. */
  async *#generate(prompt: () => readonly number[], options: GenerationOptions): AsyncGenerator<Piece, GenerationResult> {
    const checked = checkGenerationOptions(withDefaults(this.#extras?.defaults.options ?? {}, options))
    const generation = await Generation.begin(this, prompt(), checked)
    const request = this.#engine.submit(generation, checked.signal)
    generation.pieces.onRoom = request.wake
    try {
      yield* generation.pieces
      return generation.result()
    } finally {
      request.end()
    }
  }
}

/**
 * The template of an Ollama model, else the file's. The interpreters are loaded with a model, so that importing the
 * library stays cheap.
 */
async function templateOf(weights: Weights, tokenizer: Tokenizer, ollama: string | undefined): Promise<ChatTemplate> {
  const { ChatTemplate } = await import('../chat/chatTemplate.js')
  return ollama === undefined ? ChatTemplate.fromGgufMetadata(weights.metadata, tokenizer) : ChatTemplate.fromOllama(ollama, tokenizer)
}
