// A loaded Mixtral below its text: what it computes of token ids, what it tells of itself, and its end. Text, chats and
// sessions are mixtralModel.ts's.

import { checkKind, MixtralError, shown } from '../../base/errors.js'
import type { Gguf, GgufValue } from '../../format/gguf/gguf.js'
import type { LocalModel } from '../../registry/stores/localModels.js'
import {
  type CallOptions,
  checkCallOptions,
  checkForwardOptions,
  checkScales,
  type ForwardOptions,
  type TokenIds,
} from '../../runtime/engine/callArguments.js'
import type { Engine } from '../../runtime/engine/engine.js'
import type { LoadedAdapter } from '../../runtime/engine/loadedAdapters.js'
import type { RoutedToken } from '../../runtime/engine/routingListeners.js'
import type { EngineStatus } from '../../runtime/engine/status.js'
import type { KernelBuild } from '../../runtime/kernels/abi.js'
import type { StageTime } from '../../runtime/model/profile.js'
import type { ExpertFigures } from '../../runtime/residency/expertFigures.js'
import {
  TapChoice,
  type TracedRows,
  type TracedTensor,
  type TraceLoopOptions,
  type TraceOptions,
  type ValuesOf,
} from '../../runtime/trace/taps.js'
import { gatherTrace } from '../../runtime/trace/trace.js'
import type { MixtralConfig } from '../../runtime/weights/mixtralConfig.js'
import type { Tokenizer } from '../tokenizer/tokenizer.js'
import { HeldGenerator } from './answerStream.js'
import { type CheckedTensor, checkedTensors } from './checkedTensor.js'
import { type ModelMemory, modelMemory } from './modelMemory.js'
import { type ModelParts, notesOf } from './modelParts.js'
import { type ScoredToken, type ScoreOptions, scoreTokens } from './score.js'
import { type RoutingOptions, type RoutingTable, routeTokens, routingTable, type TokenRouting } from './tokenRouting.js'

/** As `routing`, in one piece: where a text's tokens are only counted, an object for each costs as much as counting. */
export let routingTableOf: (model: TokenModel, ids: TokenIds, options?: RoutingOptions) => Promise<RoutingTable>

/** What a MixtralModel does with token ids, and what it tells of itself. */
export class TokenModel {
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
  /** The adapters that were loaded with it, and how much of each counts where a call does not say so. */
  readonly adapters: readonly LoadedAdapter[]
  /** The build of the kernels that runs on this machine. */
  readonly kernels: KernelBuild
  /** Seconds from the call to a model ready to run. */
  readonly loadSeconds: number
  /** What is odd about the model and how it is taken, a line each, for people to read. */
  readonly notes: readonly string[]
  readonly #engine: Engine

  static {
    routingTableOf = (model, ids, options = {}) => routingTable(model.#engine, ids, options)
  }

  protected constructor(parts: ModelParts) {
    if (!parts?.engine) throw new MixtralError('OPTION', 'a model begins with new, expected await MixtralModel.load(name)')
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
    this.adapters = engine.adapters
    this.kernels = engine.kernels
    this.loadSeconds = loadSeconds
    this.notes = notesOf(parts)
    this.#engine = engine
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
   * The logits after each token: (tokens, vocabulary). The tokens are taken as they are, without BOS.
   *
   * Throws `OPTION` for an unknown option or no tokens; `CONTEXT` if the tokens do not fit the context; `TOKENIZER` for
   * an id outside the vocabulary; `IO` if an expert cannot be read; `THREAD`; `ABORTED`; `CLOSED`.
   */
  async logits(ids: TokenIds, options: ForwardOptions = {}): Promise<Float32Array> {
    const own = checkForwardOptions(options, this.#engine)
    return this.#engine.evaluateAll(this.#engine.checked(ids), own)
  }

  /**
   * The logits after the last token: (vocabulary). A beginning that the KV cache holds is not run again. Throws what
   * `logits` throws.
   */
  async evaluate(ids: TokenIds, options: ForwardOptions = {}): Promise<Float32Array> {
    const own = checkForwardOptions(options, this.#engine)
    return this.#engine.evaluate(this.#engine.checked(ids), own)
  }

  /**
   * The log-probabilities of given tokens: of each of `ids` from `from` on, what the model thinks of it after those
   * before it. No logits are copied. The tokens are taken as they are, without BOS. The last of them is not run, so
   * there may be one more than the context has room for.
   *
   * Throws `OPTION` for fewer than two tokens and an impossible `from` or `top`; `MODEL` if a logit is not finite; and
   * what `logits` throws.
   * @example
   * const ids = model.tokenizer.encodePrompt('The capital of France is Paris')
   * const sum = (await model.score(ids)).reduce((sum, { logprob }) => sum + logprob, 0)
   */
  async score(ids: TokenIds, options: ScoreOptions = {}): Promise<ScoredToken[]> {
    return scoreTokens(this.#engine, ids, options)
  }

  /**
   * The experts that each of given tokens is routed to, layer by layer, their weights, and the routers' logits. The
   * tokens are taken as they are, without BOS. Throws what `logits` throws.
   * @example
   * const [first] = await model.routing(model.tokenizer.encodePrompt('Once upon a time'))
   * first.layers[3].experts // best first
   */
  async routing(ids: TokenIds, options: RoutingOptions = {}): Promise<TokenRouting[]> {
    return routeTokens(this.#engine, ids, options)
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
  async trace<const Name extends string = string>(
    ids: TokenIds,
    options: TraceOptions<Name> & CallOptions & Pick<ForwardOptions, 'adapters'> = {},
  ): Promise<TracedTensor<ValuesOf<Name, Float32Array>>[]> {
    const { tokens, steps } = this.#trace<Name>(ids, options)
    return gatherTrace(steps, tokens)
  }

  /**
   * The tensors of `trace` one at a time: each for the tokens of one step, the first of which is at `position`. The
   * loop holds the model; where its reader is away it lends it to calls that wait, unless it is to hold it, and then
   * computes again what comes before the next tensor. Throws what `trace` throws: for its arguments at the call.
   */
  traceEach<const Name extends string = string>(
    ids: TokenIds,
    options: TraceLoopOptions<Name> & CallOptions & Pick<ForwardOptions, 'adapters'> = {},
  ): AsyncGenerator<TracedRows<ValuesOf<Name, Float32Array>>> {
    return new HeldGenerator(this.#trace<Name>(ids, options, ['hold']).steps)
  }

  #trace<Name extends string>(
    ids: TokenIds,
    given: TraceLoopOptions & CallOptions & Pick<ForwardOptions, 'adapters'>,
    others: readonly string[] = [],
  ) {
    const { adapters, ...own } = checkCallOptions(given, ['tensors', 'adapters', ...others])
    const options = { ...own, ...(adapters !== undefined && { adapters: checkScales(adapters, this.#engine) }) }
    if (options.hold !== undefined) checkKind('hold', options.hold, typeof options.hold === 'boolean', 'true or false')
    const tokens = this.#engine.checked(ids)
    const choice = new TapChoice(this.config.layers, options)
    const steps = this.#engine.trace(tokens, choice, options) as AsyncGenerator<TracedRows<ValuesOf<Name, Float32Array>>>
    return { tokens: tokens.length, steps }
  }

  /**
   * Checks the weights in memory, one tensor at a time: their bytes against the file, the kernels' products with them
   * against the oracle of their format, bit for bit, and against exact arithmetic. `verifyModel` makes a verdict of it.
   * Between two tensors other calls have the model. Throws `OPTION`, `IO`, `THREAD`, `ABORTED` and `CLOSED`.
   */
  checkWeights(options: CallOptions = {}): AsyncGenerator<CheckedTensor> {
    return new HeldGenerator(checkedTensors(this.#engine, checkCallOptions(options)))
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
}
