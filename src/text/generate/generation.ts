// One generation: the prompt, then token after token until something ends it. Owns what a token does to the text, and
// when it ends. The engine computes logits and chooses tokens; a reader takes the pieces at its own pace.

import { MixtralError } from '../../base/errors.js'
import type { Engine } from '../../runtime/engine/engine.js'
import type { Task } from '../../runtime/engine/request.js'
import type { Routing } from '../../runtime/model/routes.js'
import type { ExpertFigures } from '../../runtime/residency/expertFigures.js'
import type { Choice, Job } from '../../runtime/sampler/job.js'
import type { StreamingDecoder } from '../tokenizer/streamingDecoder.js'
import type { Tokenizer } from '../tokenizer/tokenizer.js'
import type { CallParser, ParsedPiece } from '../tools/callParser.js'
import type { ToolCall, ToolCallDelta } from '../tools/toolCalls.js'
import type { CheckedOptions } from './checkGenerationOptions.js'
import { PieceQueue } from './pieceQueue.js'
import { type DrawnLogprob, drawnLogprob } from './tokenLogprobs.js'
import { type TokenRules, tokenRules } from './tokenRules.js'
import type { ToolAnswer } from './toolAnswer.js'

/**
 * New text, and the tokens since the last piece. The text is empty while a character or a possible stop string is
 * incomplete.
 */
export interface Piece {
  readonly text: string
  readonly ids: readonly number[]
  /** With the option `logprobs`: of each token drawn since the last piece, the end token too. */
  readonly logprobs?: readonly DrawnLogprob[]
  /** With the option `experts`: of each token drawn since the last piece the experts that wrote it. */
  readonly experts?: readonly Routing[]
  /** In a chat with `tools`: what has been added to calls. All parts of a call together are the call. */
  readonly toolCalls?: readonly ToolCallDelta[]
}

/** What a generation wrote, and how it went. */
export interface GenerationResult {
  /**
   * The new text, cut before a stop string. It begins with a space where it continues the prompt's last word or
   * sentence, but not where it answers `[/INST]`.
   */
  readonly text: string
  /** All tokens written, without an end token. */
  readonly ids: readonly number[]
  /**
   * With the option `jsonSchema`: the value that the text is, unless it was cut by a limit, a stop string or one of
   * `stopIds`.
   */
  readonly parsed?: unknown
  /** With the option `logprobs`: of every token drawn, the end token too. */
  readonly logprobs?: readonly DrawnLogprob[]
  /**
   * In a chat with `tools`: the calls that the model asks for, whole ones only; empty for none. `text` is then what it
   * wrote before them.
   */
  readonly toolCalls?: readonly ToolCall[]
  readonly promptTokens: number
  /** Number of prompt tokens that were in the KV cache already, of any earlier call. */
  readonly reusedTokens: number
  /**
   * `stop`: an end token or a stop string. `length`: maxNewTokens. `context`: the context is full. `tool_calls`, in a
   * chat with `tools`: the model has asked for calls and waits for what they return.
   */
  readonly finishReason: 'stop' | 'length' | 'context' | 'tool_calls'
  /** The seed that repeats this generation. */
  readonly seed: number
  readonly prefillSeconds: number
  readonly decodeSeconds: number
  /** Counts of expert loading, for all calls that ran meanwhile; undefined where all experts are in memory. */
  readonly experts: ExpertFigures | undefined
}

/** The answer to a conversation. */
export interface ChatResult extends GenerationResult {
  /** Whether the template has no system role, so that the system message was put before the first user message. */
  readonly folded: boolean
  readonly toolCalls: readonly ToolCall[]
}

/** What a piece tells of the tokens that were drawn, beside their ids. */
type Drawn = Pick<Piece, 'logprobs' | 'experts'>

/** What a generation needs to know of the model that runs it. */
export interface GenerationModel {
  readonly tokenizer: Tokenizer
  readonly contextLength: number
  /** The counts of streamed experts since `earlier`. */
  expertFigures(earlier?: ExpertFigures): ExpertFigures | undefined
}

/** A task for the engine, which calls it after each of its tokens; and a queue of pieces for the reader. */
export class Generation implements Task {
  readonly ids: readonly number[]
  readonly from: number
  readonly pieces = new PieceQueue<Piece>()
  readonly salt: string
  readonly progress?: (loaded: number, total: number) => void
  readonly routed?: (routing: Routing) => void
  readonly #model: GenerationModel
  readonly #options: CheckedOptions
  readonly #rules: TokenRules
  readonly #decoder: StreamingDecoder
  /** Takes calls out of the text, where there may be some. */
  readonly #parser: CallParser | undefined
  readonly #written: number[] = []
  readonly #logprobs: DrawnLogprob[] = []
  #text = ''
  #finishReason: GenerationResult['finishReason'] | undefined
  /** Whether the model itself ended the text. */
  #whole = false
  #reused = 0
  #started = 0
  #prefilled = 0
  #ended = 0
  #before: ExpertFigures | undefined
  #experts: ExpertFigures | undefined
  /** Of the row of logits that comes next, if the reader wants it. */
  #routing: Routing | undefined

  private constructor(
    model: GenerationModel,
    prompt: readonly number[],
    options: CheckedOptions,
    rules: TokenRules,
    opens: boolean,
    parser: CallParser | undefined,
  ) {
    this.#model = model
    this.#parser = parser
    this.ids = prompt
    this.from = prompt.length - 1
    this.#options = options
    this.#rules = rules
    this.#decoder = model.tokenizer.decoder({ continues: !opens })
    const { onProgress } = options
    if (onProgress) this.progress = (loaded, total) => onProgress({ loaded, total })
    this.salt = options.salt
    if (options.experts) {
      this.routed = (routing) => {
        this.#routing = routing
      }
    }
    rules.sampler.read(prompt)
  }

  /**
   * Prepares the continuation of `prompt`; `answer` says what it may be where it may have calls. Throws `CONTEXT` if
   * the prompt leaves no room for a token, and what `tokenRules` throws.
   */
  static async begin(model: GenerationModel, prompt: readonly number[], options: CheckedOptions, answer?: ToolAnswer): Promise<Generation> {
    const { tokenizer, contextLength } = model
    const opens = asksForAnswer(tokenizer, prompt)
    const rules = await tokenRules({ ...options, ...(answer && { constraint: answer.constraint }) }, tokenizer, opens)
    if (prompt.length < contextLength) return new Generation(model, prompt, options, rules, opens, answer?.parser)
    throw new MixtralError(
      'CONTEXT',
      `the prompt has ${prompt.length} tokens, the context has room for ${contextLength} including the answer`,
    )
  }

  /** Whether its reader is near enough. */
  ready(): boolean {
    return !this.pieces.isLong
  }

  started(reused: number): void {
    this.#reused = reused
    this.#before = this.#model.expertFigures()
    this.#started = performance.now()
  }

  job(): Job {
    return this.#rules.sampler.job()
  }

  /** Takes the next token, and hands on what it adds to the text. Returns it unless it is the last. */
  take(choice: Choice): number | undefined {
    const { sampler, endIds, banned } = this.#rules
    const { tokenizer, contextLength } = this.#model
    const { stops, maxNewTokens } = this.#options
    this.#prefilled ||= performance.now()
    const id = sampler.take(choice)
    const drawn: Drawn = {
      ...(this.#options.logprobs !== undefined && { logprobs: [drawnLogprob(choice, this.#decoder, tokenizer)] }),
      ...(this.#routing && { experts: [this.#routing] }),
    }
    if (drawn.logprobs) this.#logprobs.push(...drawn.logprobs)
    if (endIds.has(id)) {
      this.#whole = tokenizer.endIds.has(id)
      return this.#finish('stop', drawn)
    }
    this.#written.push(id)
    banned.push(this.#decoder.bytes(id))
    const { text: read, calls } = this.#read(this.#decoder.push(id), id)
    const text = stops.push(read)
    this.#text += text
    this.pieces.push({ text, ids: [id], ...drawn, ...(calls.length > 0 && { toolCalls: calls }) })
    if (stops.stopped) return this.#finish('stop')
    if (this.#written.length >= maxNewTokens) return this.#finish('length')
    if (this.ids.length + this.#written.length >= contextLength) return this.#finish('context')
    return id
  }

  ended(error?: Error): void {
    this.#ended = performance.now()
    this.#experts = this.#model.expertFigures(this.#before)
    this.pieces.end(error)
  }

  /** What was written. Call when all pieces have been read. */
  result(): GenerationResult {
    const { constraint, logprobs } = this.#options
    const parsed = constraint && 'jsonSchema' in constraint && this.#whole && !this.#parser?.calls.length
    return {
      text: this.#text,
      ids: this.#written,
      ...(parsed && { parsed: JSON.parse(this.#text) }),
      ...(logprobs !== undefined && { logprobs: this.#logprobs }),
      ...(this.#parser && { toolCalls: this.#parser.calls }),
      promptTokens: this.ids.length,
      reusedTokens: this.#reused,
      finishReason: this.#finishReason!,
      seed: this.#rules.sampler.seed,
      prefillSeconds: (this.#prefilled - this.#started) / 1000,
      decodeSeconds: (this.#ended - this.#prefilled) / 1000,
      experts: this.#experts,
    }
  }

  /** What a token has added, to the text and to calls. Control tokens have no text, but they may begin calls. */
  #read(text: string, id?: number): ParsedPiece {
    if (!this.#parser) return { text, calls: [] }
    const isControl = id !== undefined && this.#model.tokenizer.token(id).type === 'control'
    if (isControl) this.#decoder.keepSpace() // as the constraint counts it
    return this.#parser.push(text, isControl ? id : undefined)
  }

  /** Hands on the rest of the text, with what else there is of the last token. */
  #finish(reason: GenerationResult['finishReason'], drawn: Drawn = {}): undefined {
    const { stops } = this.#options
    this.#finishReason = this.#whole && this.#parser?.calls.length ? 'tool_calls' : reason
    const read = this.#read(this.#decoder.end()).text + (this.#parser?.end().text ?? '')
    const rest = stops.push(read) + stops.end()
    this.#text += rest
    if (rest || drawn.logprobs || drawn.experts) this.pieces.push({ text: rest, ids: [], ...drawn })
  }
}

/** Runs a generation beside others, from now on, and yields its pieces. Leaving the loop ends it. */
export async function* runGeneration(
  engine: Engine,
  generation: Generation,
  signal: AbortSignal | undefined,
): AsyncGenerator<Piece, GenerationResult> {
  const request = engine.submit(generation, signal)
  generation.pieces.onRoom = request.wake
  try {
    yield* generation.pieces
    return generation.result()
  } finally {
    request.end()
  }
}

/** Reads a stream to its end: the result. */
export async function finish<T>(pieces: AsyncGenerator<Piece, T>): Promise<T> {
  for (;;) {
    const { done, value } = await pieces.next()
    if (done) return value
  }
}

/**
 * Whether the prompt ends where an answer begins, and not in the middle of a text. Then the space before the first word
 * is the tokenizer's, and not part of the answer.
 */
function asksForAnswer(tokenizer: Tokenizer, prompt: readonly number[]): boolean {
  const last = prompt.at(-1)
  if (last === undefined || tokenizer.token(last).type === 'control') return true
  return tokenizer.decode(prompt.slice(-16)).trimEnd().endsWith('[/INST]')
}
