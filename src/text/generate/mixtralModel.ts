// The library's main class: a loaded Mixtral that writes text. Connects tokenizer, chat template, engine and
// generation; computes nothing itself.

import { checkText, MixtralError, shown } from '../../base/errors.js'
import type { Gguf, GgufValue } from '../../format/gguf/gguf.js'
import type { LocalModel } from '../../registry/stores/localModels.js'
import { type CallOptions, checkCallOptions, checkForwardOptions, type ForwardOptions } from '../../runtime/engine/callOptions.js'
import { inTurn } from '../../runtime/engine/callQueue.js'
import type { Engine } from '../../runtime/engine/engine.js'
import type { EngineOptions as LoadOptions } from '../../runtime/engine/engineOptions.js'
import type { EngineStatus } from '../../runtime/engine/status.js'
import type { RoutedToken } from '../../runtime/engine/stepLoop.js'
import type { KernelBuild } from '../../runtime/kernels/abi.js'
import type { StageTime } from '../../runtime/model/profile.js'
import type { ExpertFigures } from '../../runtime/residency/expertFigures.js'
import { TapChoice, type TracedRows, type TracedTensor, type TraceOptions } from '../../runtime/trace/taps.js'
import { gatherTrace } from '../../runtime/trace/trace.js'
import type { MixtralConfig } from '../../runtime/weights/mixtralConfig.js'
import type { Weights } from '../../runtime/weights/weightLoader.js'
import type { ChatMessage } from '../chat/chatMessages.js'
import type { RenderedChat } from '../chat/chatTemplate.js'
import type { Tokenizer } from '../tokenizer/tokenizer.js'
import { askedAnswers, finish, writeAnswers } from './answers.js'
import type { ChatOptions, ChatTemplateOptions } from './chatOptions.js'
import { type ChatRequest, chatPieces, chatRequest, renderChat } from './chatRequest.js'
import { type CheckedTensor, checkedTensors } from './checkedTensor.js'
import { type Embedding, type EmbedOptions, embedTokens } from './embed.js'
import type { GenerationOptions } from './generationOptions.js'
import type { ChatResult, GenerationResult, Piece } from './generationResult.js'
import { type ModelMemory, modelMemory } from './modelMemory.js'
import { loadParts, type ModelParts, notesOf, openParts } from './modelParts.js'
import { type ScoredToken, type ScoreOptions, scoreTokens } from './score.js'
import { checkSessionOptions, openSession, type RestoredSession, type Session, type SessionOptions } from './session.js'

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
  /** What an Ollama model brings beside its weights: template, parameters, messages, licenses. */
  readonly layers: LocalModel['layers']
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
  /** What is odd about the model and how it is taken, a line each, for people to read. */
  readonly notes: readonly string[]
  readonly #engine: Engine
  readonly #parts: ModelParts

  private constructor(parts: ModelParts) {
    const { gguf, engine, tokenizer, loadSeconds } = parts
    const { config, plan } = engine
    this.config = config
    this.tokenizer = tokenizer
    this.gguf = gguf
    this.layers = parts.extras?.layers
    this.contextLength = plan.contextLength
    this.memory = modelMemory(plan, config)
    this.threads = plan.threads
    this.batchSize = plan.batchSize
    this.kernels = engine.kernels
    this.loadSeconds = loadSeconds
    this.notes = notesOf(parts)
    this.#parts = parts
    this.#engine = engine
  }

  /**
   * Loads a model that is on this machine: `demo`, a path, the URL of a file, or a name in Ollama's store, the Hugging
   * Face cache or ours; or one that has been found already. An Ollama model brings a template, a system message and
   * parameters; they apply where the caller gives none.
   *
   * Throws `IO` if the model is not here or cannot be read; `GGUF`, `MODEL`, `TOKENIZER` or `TEMPLATE` if its file is
   * damaged or not a Mixtral; `UNSUPPORTED`; `OPTION`; `MEMORY` if `ram` is too small; `THREAD`; `ABORTED`.
   */
  static async load(model: string | URL | LocalModel, options: LoadOptions = {}): Promise<MixtralModel> {
    return new MixtralModel(await loadParts(model, options))
  }

  /** Loads a model whose header has been read already. Throws what `load` throws, except `GGUF`. */
  static async fromWeights(config: MixtralConfig, weights: Weights, options: LoadOptions = {}): Promise<MixtralModel> {
    return new MixtralModel(await openParts(config, weights, options))
  }

  /** The file's keys and values. */
  get metadata(): ReadonlyMap<string, GgufValue> {
    return this.gguf.metadata
  }

  /** Counts of expert loading since `earlier`, or since loading; undefined where all experts are in memory. */
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
  async generate(prompt: string, options: GenerationOptions = {}): Promise<GenerationResult> {
    return finish(this.stream(prompt, options))
  }

  /**
   * Continues a raw prompt as `generate` does, and yields the text as it comes. The generator's return value is the
   * whole result. Leaving the loop early ends the generation. A reader that falls behind makes only its own generation
   * wait. Prompt and options are checked and copied at the call, which throws `OPTION`; the first piece throws the rest
   * of what `generate` throws.
   */
  stream(prompt: string, options: GenerationOptions = {}): AsyncGenerator<Piece, GenerationResult> {
    return this.#generate(this.tokenizer.encodePrompt(prompt), options)
  }

  /**
   * Answers a conversation, through the chat template of the model; if the last message is the assistant's, it goes on.
   * The text of a message never becomes a control token. With `tools`, the answer may be calls (docs/tools.md). Throws
   * `TEMPLATE` for messages that the template refuses or fails on, and what `generate` throws.
   */
  async chat(messages: readonly ChatMessage[], options: ChatOptions = {}): Promise<ChatResult> {
    return finish(this.streamChat(messages, options))
  }

  /**
   * Answers as `chat` does, and yields text and calls as they come. Messages and options are checked and copied at the
   * call, which throws `TEMPLATE` and `OPTION`; the first piece throws the rest of what `chat` throws.
   */
  streamChat(messages: readonly ChatMessage[], options: ChatOptions = {}): AsyncGenerator<Piece, ChatResult> {
    const request = chatRequest(this.#parts, messages, options)
    return chatPieces(this.#generate(request.prompt.ids, request.options, request), request)
  }

  /** The prompt that `chat` makes of a conversation. Throws `TEMPLATE`, and `OPTION` for tools that are none. */
  applyChatTemplate(messages: readonly ChatMessage[], options: ChatTemplateOptions = {}): RenderedChat {
    return renderChat(this.#parts, messages, options)
  }

  /**
   * The logits after each token: (tokens, vocabulary). The tokens are taken as they are, without BOS.
   *
   * Throws `OPTION` for an unknown option or no tokens; `CONTEXT` if the tokens do not fit the context; `TOKENIZER` for
   * an id outside the vocabulary; `IO` if an expert cannot be read; `THREAD`; `ABORTED`; `CLOSED`.
   */
  async logits(ids: readonly number[], options: ForwardOptions = {}): Promise<Float32Array> {
    checkForwardOptions(options, this.config.experts)
    return this.#engine.evaluateAll(this.#engine.checked(ids), options)
  }

  /**
   * The logits after the last token: (vocabulary). A beginning that the KV cache holds is not run again. Throws what
   * `logits` throws.
   */
  async evaluate(ids: readonly number[], options: ForwardOptions = {}): Promise<Float32Array> {
    checkForwardOptions(options, this.config.experts)
    return this.#engine.evaluate(this.#engine.checked(ids), options)
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

  /**
   * The embedding of a text, or of tokens: the mean of their last hidden states, of length 1. A text gets BOS if the
   * file asks for it; control tokens spelled in it are text. Tokens are taken as they are. Throws `MODEL` if a hidden
   * state is not finite, and what `logits` throws.
   */
  async embed(input: string | readonly number[], options: EmbedOptions = {}): Promise<Embedding> {
    return embedTokens(this.#engine, this.tokenizer, input, options)
  }

  /** A timeline of tokens to go on from. Throws what `logits` throws for its ids. */
  session(options: SessionOptions = {}): Session {
    return openSession(this.#parts, (ids, asked, request) => writeAnswers(this, this.#engine, ids, asked, request), options)
  }

  /**
   * A session that `Session.save` has saved, with its keys and values. Throws `SESSION` for a damaged file and one of
   * another model or version, naming what differs; `CONTEXT` where it does not fit; `IO` and `CLOSED`.
   */
  async restore(path: string, options: Pick<SessionOptions, 'salt'> = {}): Promise<RestoredSession> {
    checkText('path', path)
    const { salt = '' } = checkSessionOptions(options, ['salt'])
    const { ids, metadata } = await this.#engine.sessions.restore(path, salt)
    return { session: this.session({ ids, salt }), metadata }
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
   * of the ordinary pass. All of them together take the memory of a few hundred hidden states per token.
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
    return gatherTrace(this.#engine.trace(tokens, choice, options), tokens.length)
  }

  /**
   * The tensors of `trace` one at a time: each for the tokens of one step, the first of which is at `position`. The
   * loop holds the model: other calls wait for its end, so do not await one inside. Throws what `trace` throws.
   */
  traceEach(ids: readonly number[], options: TraceOptions & CallOptions = {}): AsyncGenerator<TracedRows> {
    checkCallOptions(options, ['tensors'])
    const tokens = this.#engine.checked(ids)
    const choice = new TapChoice(this.config.layers, options)
    return this.#engine.trace(tokens, choice, options)
  }

  /**
   * Checks the weights in memory, one tensor at a time: their bytes against the file, the kernels' products with them
   * against the oracle of their format, bit for bit, and against exact arithmetic. `verifyModel` makes a verdict of it.
   * The loop holds the model, as that of `traceEach` does. Throws `OPTION`, `IO`, `THREAD`, `ABORTED` and `CLOSED`.
   */
  checkWeights(options: CallOptions = {}): AsyncGenerator<CheckedTensor> {
    checkCallOptions(options)
    const engine = this.#engine
    const check = () => checkedTensors(engine.checkWeights(options))
    return inTurn(() => engine.turns.enter(options.signal), check)
  }

  /**
   * The time of all calls since the last `takeProfile`, stage by stage; no stages unless the model was loaded with the
   * option `profile`. Throws `CLOSED`.
   */
  takeProfile(): Promise<StageTime[]> {
    return this.#engine.turns.exclusive(async () => this.#engine.takeProfile())
  }

  /** Empties the KV cache: the next call shares no tokens with the calls before. Throws `CLOSED`. */
  reset(): Promise<void> {
    return this.#engine.turns.exclusive(async () => this.#engine.reset())
  }

  /** Ends the threads. Running and waiting calls fail with `CLOSED`. */
  close(): Promise<void> {
    return this.#engine.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** Writes answers, beside others. It begins with the first piece that is asked for. */
  #generate(prompt: readonly number[], options: GenerationOptions, request?: ChatRequest): AsyncGenerator<Piece, GenerationResult> {
    return writeAnswers(this, this.#engine, prompt, askedAnswers(this.#parts, options), request)
  }
}
