// One generation: the prompt, then token after token until something ends it. Owns what a token does to the text, and
// when it ends. The engine computes logits and chooses tokens; a reader takes the pieces at its own pace.

import { MixtralError, type PartialAnswer } from '../../base/errors.js'
import type { Draft, Failure, Task } from '../../runtime/engine/request.js'
import type { Routing } from '../../runtime/model/routes.js'
import type { ExpertFigures } from '../../runtime/residency/expertFigures.js'
import { type Choice, NOT_FINITE, notFiniteError } from '../../runtime/sampler/job.js'
import type { RowJob } from '../../runtime/sampler/jobMemory.js'
import type { StreamingDecoder } from '../tokenizer/streamingDecoder.js'
import type { Tokenizer } from '../tokenizer/tokenizer.js'
import type { CallParser, ParsedPiece } from '../tools/callParser.js'
import type { CheckedOptions } from './checkGenerationOptions.js'
import { Drafter } from './drafter.js'
import type { GenerationResult, Piece } from './generationResult.js'
import { PieceQueue } from './pieceQueue.js'
import { PromptLookup } from './promptLookup.js'
import { certain, type DrawnLogprob, drawnLogprob } from './tokenLogprobs.js'
import { asksForAnswer, type TokenRules, tokenRules } from './tokenRules.js'
import type { ToolAnswer } from './toolAnswer.js'

/** Longest draft whose tokens the main thread draws one after the other, as each depends on the one before. */
const MOST_DRAWN_HERE = 4

/** What a piece tells of the tokens that were drawn, beside their ids. */
type Drawn = Pick<Piece, 'logprobs' | 'experts'>

/** What a generation needs to know of the model that runs it. */
export interface GenerationModel {
  readonly tokenizer: Tokenizer
  readonly contextLength: number
  /** The counts of streamed experts since `earlier`. */
  expertFigures(earlier?: ExpertFigures): ExpertFigures | undefined
}

/**
 * A task for the engine, which calls it after each of its tokens; and a queue of pieces for the reader. Tokens that a
 * constraint forces are written without being drawn, and run together.
 */
export class Generation implements Task {
  /** The prompt, and what the text begins with in any case. */
  readonly ids: readonly number[]
  readonly from: number
  /** Whether forced tokens have log-probabilities or experts to report. */
  readonly everyRow: boolean
  readonly pieces = new PieceQueue<Piece>()
  readonly salt: string
  readonly expertsPerToken?: number
  readonly adapters?: readonly number[]
  readonly progress?: (loaded: number) => unknown
  readonly routed?: (routing: Routing) => void
  readonly #model: GenerationModel
  readonly #promptTokens: number
  readonly #options: CheckedOptions
  readonly #rules: TokenRules
  readonly #drafter: Drafter
  readonly #decoder: StreamingDecoder
  /** Takes calls out of the text, where there may be some. */
  readonly #parser: CallParser | undefined
  readonly #written: number[] = []
  readonly #logprobs: DrawnLogprob[] = []
  /** Forced tokens that are written when their rows have been run, and the place whose row foretells the first. */
  #forced: readonly number[] = []
  #forcedFrom = 0
  #text = ''
  #finishReason: GenerationResult['finishReason'] | undefined
  /** Whether the model itself ended the text. */
  #whole = false
  #reused = 0
  #drafted = 0
  #accepted = 0
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
    this.#options = options
    this.#rules = rules
    this.#drafter = new Drafter(rules, new PromptLookup(prompt.length))
    this.#promptTokens = prompt.length
    this.everyRow = options.logprobs !== undefined || options.experts
    this.#decoder = model.tokenizer.decoder({ continues: !opens })
    const { onProgress } = options
    const total = prompt.length // without what is forced after it
    if (onProgress) this.progress = (loaded) => onProgress({ loaded: Math.min(loaded, total), total, reused: this.#reused })
    this.salt = options.salt
    if (options.expertsPerToken !== undefined) this.expertsPerToken = options.expertsPerToken
    if (options.adapters !== undefined) this.adapters = options.adapters
    if (options.experts) {
      this.routed = ({ ids, weights }) => {
        this.#routing = { ids: ids.slice(), weights: weights.slice() }
      }
    }
    rules.sampler.read(prompt)
    this.#force(prompt.length - 1)
    this.ids = [...prompt, ...this.#forced]
    this.from = this.everyRow ? prompt.length - 1 : this.ids.length - 1
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
      { promptTokens: prompt.length, contextLength },
    )
  }

  /** Whether its reader is near enough. */
  ready(): boolean {
    return !this.pieces.isLong
  }

  started(reused: number): void {
    this.#reused = Math.min(reused, this.#promptTokens)
    this.#before = this.#model.expertFigures()
    this.#started = performance.now()
    this.#writeForced()
  }

  job(place: number): RowJob {
    const score = this.#forcedAfter(place)
    return score === undefined ? this.#rules.sampler.job() : { score, top: this.#options.logprobs ?? 0 }
  }

  /** Takes the next token, and hands on what it adds to the text. Returns it, and those that follow in any case. */
  take(choice: Choice, place: number): readonly number[] {
    this.#prefilled ||= performance.now()
    if (this.#finishReason) return []
    const forced = this.#forcedAfter(place)
    if (forced !== undefined) {
      if (choice.id === NOT_FINITE) throw notFiniteError(choice)
      this.#write(forced, this.#options.postSampling ? certain(choice) : choice)
      return []
    }
    const id = this.#rules.sampler.take(choice)
    this.#write(id, choice)
    if (!this.#finishReason) this.#force(place + 1)
    this.#writeForced()
    return this.#finishReason ? [] : [id, ...this.#forced]
  }

  draft(ids: readonly number[], most: number): Draft {
    const left = this.#room - (ids.length - this.#promptTokens) - 1 // the row of the last one foretells one more
    return this.#drafter.draft(ids, Math.min(most, left, this.#rules.sampler.looksAhead ? left : MOST_DRAWN_HERE))
  }

  jobsAhead(draft: readonly number[]): readonly (RowJob | undefined)[] {
    return this.#rules.sampler.jobsAhead(this.#drafter.path(draft.length))
  }

  drafted(count: number, accepted: number): void {
    this.#drafted += count
    this.#accepted += accepted
  }

  ended(...failure: Failure): void {
    this.#ended = performance.now()
    this.#prefilled ||= this.#ended // where nothing was drawn
    this.#experts = this.#model.expertFigures(this.#before)
    this.pieces.end(...failure)
  }

  /** Whether what is to be done for a token depends on the tokens before it alone. */
  get isStateless(): boolean {
    return this.#rules.sampler.isStateless
  }

  /** Whether it has ended by itself: it takes no more tokens. */
  get isOver(): boolean {
    return this.#finishReason !== undefined
  }

  /** What has been written so far. */
  get partial(): PartialAnswer {
    return { text: this.#text, ids: [...this.#written] }
  }

  /** What was written. Call when all pieces have been read. */
  result(): GenerationResult {
    const { constraint, logprobs, stops } = this.#options
    const parsed = constraint && 'jsonSchema' in constraint && this.#whole && !this.#parser?.calls.length
    return {
      text: this.#text,
      ids: this.#written,
      ...(parsed && { parsed: JSON.parse(this.#text) }),
      ...(logprobs !== undefined && { logprobs: this.#logprobs }),
      ...(this.#parser && { toolCalls: this.#parser.calls }),
      ...(this.#parser?.cutCall && { cutCall: this.#parser.cutCall }),
      promptTokens: this.#promptTokens,
      reusedTokens: this.#reused,
      draftedTokens: this.#drafted,
      acceptedTokens: this.#accepted,
      finishReason: this.#finishReason!,
      stopText: this.#finishReason === 'stop' ? stops.found : undefined,
      seed: this.#rules.sampler.seed,
      prefillSeconds: (this.#prefilled - this.#started) / 1000,
      decodeSeconds: (this.#ended - this.#prefilled) / 1000,
      experts: this.#experts,
    }
  }

  /** How many tokens there may be. */
  get #room(): number {
    return Math.min(this.#options.maxNewTokens, this.#model.contextLength - this.#promptTokens)
  }

  /** Asks for the tokens that come in any case; the row of `place` foretells the first of them. */
  #force(place: number): void {
    this.#forced = this.#rules.forced(this.#room - this.#written.length)
    this.#forcedFrom = place
  }

  /** The forced token that follows a place, where its row has something to report. */
  #forcedAfter(place: number): number | undefined {
    return this.everyRow ? this.#forced[place - this.#forcedFrom] : undefined
  }

  /** Writes what is forced, and the end where only that may come, unless their rows have something to report. */
  #writeForced(): void {
    if (this.everyRow) return
    for (const id of this.#forced) if (!this.#finishReason) this.#write(id)
    if (this.#finishReason || !this.#rules.isComplete()) return
    this.#whole = true
    this.#finish('stop')
  }

  /** Adds a token to the text, or ends it. */
  #write(id: number, choice?: Choice): void {
    const { endIds, banned } = this.#rules
    const { tokenizer, contextLength } = this.#model
    const { stops, maxNewTokens, minTokens, logprobs } = this.#options
    const drawn: Drawn = {
      ...(choice && logprobs !== undefined && { logprobs: [drawnLogprob(choice, this.#decoder, tokenizer)] }),
      ...(this.#routing && { experts: [this.#routing] }),
    }
    if (drawn.logprobs) this.#logprobs.push(...drawn.logprobs)
    const isEnd = tokenizer.endIds.has(id)
    if (isEnd || (endIds.has(id) && this.#written.length >= minTokens)) {
      this.#whole = isEnd
      this.#finish('stop', drawn)
      return
    }
    this.#written.push(id)
    banned.push(this.#decoder.bytes(id))
    const { text: read, calls } = this.#read(this.#decoder.push(id), id)
    const isControl = tokenizer.token(id).type === 'control'
    const text = stops.push(read) + (isControl ? stops.pushControl(tokenizer.token(id).piece.replaceAll('\u2581', ' ')) : '')
    this.#text += text
    this.pieces.push({ text, ids: [id], ...drawn, ...(calls.length > 0 && { toolCalls: calls }) })
    if (stops.stopped) this.#finish('stop')
    else if (this.#written.length >= maxNewTokens) this.#finishFull('length')
    else if (this.#promptTokens + this.#written.length >= contextLength) this.#finishFull('context')
  }

  /** There is no room for another token. A text of which a constraint leaves only the end has ended by itself. */
  #finishFull(reason: 'length' | 'context'): void {
    this.#whole = !this.everyRow && this.#rules.isComplete()
    this.#finish(this.#whole ? 'stop' : reason)
  }

  /** What a token has added, to the text and to calls. Control tokens have no text, but they may begin calls. */
  #read(text: string, id?: number): ParsedPiece {
    if (!this.#parser) return { text, calls: [] }
    const isControl = id !== undefined && this.#model.tokenizer.token(id).type === 'control'
    if (isControl) this.#decoder.keepSpace() // as the constraint counts it
    return this.#parser.push(text, isControl ? id : undefined)
  }

  /** Hands on the rest of the text, with what else there is of the last token. */
  #finish(reason: GenerationResult['finishReason'], drawn: Drawn = {}): void {
    const { stops } = this.#options
    this.#finishReason = this.#whole && this.#parser?.calls.length ? 'tool_calls' : reason
    const read = this.#read(this.#decoder.end()).text + (this.#parser?.end().text ?? '')
    const rest = stops.push(read) + stops.end()
    this.#text += rest
    if (rest || drawn.logprobs || drawn.experts) this.pieces.push({ text: rest, ids: [], ...drawn })
  }
}
