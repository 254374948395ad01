// A timeline of tokens that calls go on from: texts are added, continued, taken back, forked and saved. A session holds
// ids only; what the KV cache holds of them is shared with all other calls, and may be evicted and computed again.

import { checkNames, checkObject, checkText, checkTokenList, MixtralError, shown } from '../../base/errors.js'
import { inSlices } from '../../base/timeSlice.js'
import { type CallOptions, checkCallOptions, checkScales, type ForwardOptions, type TokenIds } from '../../runtime/engine/callArguments.js'
import type { ChatMessage } from '../chat/chatMessages.js'
import { stepsOf } from '../tokenizer/tokenizer.js'
import { jsonCopy } from '../tools/plainJson.js'
import { ReadableAnswer } from './answerStream.js'
import { type AskedAnswers, askedAnswers, finish } from './answers.js'
import { type ChatRequest, chatPieces, chatRequest } from './chatRequest.js'
import type { ChatOptions, GenerationOptions } from './generationOptions.js'
import type { AnswerStream, ChatResult, GenerationResult, Piece } from './generationResult.js'
import type { ModelParts } from './modelParts.js'

/** Continues tokens, as a model does. */
type Continue = (ids: readonly number[], asked: AskedAnswers, request?: ChatRequest) => AsyncGenerator<Piece, GenerationResult>

/** What a session needs of its model. */
interface SessionRuns {
  readonly parts: ModelParts
  readonly continue: Continue
}

/** Throws what `MixtralModel.session` throws. */
export function openSession(parts: ModelParts, go: Continue, options: SessionOptions): Session {
  const { ids = [], salt = '' } = checkSessionOptions(options, ['ids', 'salt'])
  checkTokenList(ids)
  return create({ parts, continue: go }, ids.length === 0 ? [] : parts.engine.checked(ids), salt)
}

/** A copy of the options. Throws `OPTION` for one that is not in `known`, and for a salt that is no text. */
export function checkSessionOptions(options: SessionOptions, known: readonly string[]): SessionOptions {
  checkNames(options, known)
  const own = { ...options }
  if (own.salt !== undefined) checkText('salt', own.salt)
  return own
}

export interface SessionOptions {
  /** The tokens it begins with. Default: none. */
  readonly ids?: TokenIds
  /** Its part of the KV cache is shared with sessions and calls of the same salt only. Default: none. */
  readonly salt?: string
}

export interface RestoredSession {
  readonly session: Session
  /** What was saved with it. */
  readonly metadata: unknown
}

/** Sessions are made here alone: what they are made of is not public. */
let create: (runs: SessionRuns, ids: readonly number[], salt: string) => Session

export class Session {
  static {
    create = (...parts) => new Session(...parts)
  }

  readonly #runs: SessionRuns
  readonly #salt: string
  #ids: readonly number[]
  #busy = false
  #closed = false

  private constructor(runs: SessionRuns, ids: readonly number[], salt: string) {
    this.#runs = runs
    this.#ids = ids
    this.#salt = salt
  }

  /** The tokens so far. */
  get ids(): number[] {
    return [...this.#ids]
  }

  /** How many tokens there are. */
  get length(): number {
    return this.#ids.length
  }

  /**
   * Adds a text or tokens, and computes their keys and values, so that what follows begins at once. Control tokens
   * spelled in a text count as such; the first text of a session gets BOS, as a prompt does. Adapters are those that
   * the answers to come are written with. After an error the session
   * is what it was. Throws what `MixtralModel.evaluate` throws,
   * `OPTION` while the session is in use, and `CLOSED`.
   */
  async append(what: string | TokenIds, given: CallOptions & Pick<ForwardOptions, 'adapters'> = {}): Promise<void> {
    const { tokenizer, engine } = this.#runs.parts
    const { adapters, ...options } = checkCallOptions(given, ['adapters'])
    const chosen = adapters === undefined ? {} : { adapters: checkScales(adapters, engine) }
    const before = this.#ids
    const steps = stepsOf(tokenizer)
    const encode = (text: string) =>
      before.length > 0 ? steps.encode(text, { addBos: false, parseSpecial: true, continues: true }) : steps.encodePrompt(text)
    if (typeof what !== 'string') checkTokenList(what)
    const copied = typeof what === 'string' ? what : what.length === 0 ? [] : engine.checked(what)
    return this.#alone(async () => {
      const added = typeof copied === 'string' ? await inSlices(encode(copied), options.signal) : copied
      const ids = engine.checked([...before, ...added])
      await engine.finish({ ids, from: ids.length - 1, salt: this.#salt, read: () => {}, ...chosen }, options)
      this.#ids = ids
    })
  }

  /**
   * Continues the session; what is written belongs to it. Takes the options of `MixtralModel.generate`, and throws its
   * errors.
   */
  async generate(options: GenerationOptions = {}): Promise<GenerationResult> {
    return finish(this.stream(options))
  }

  /**
   * Continues the session, and yields the text as it comes. What has been written belongs to the session, also where
   * the loop is left early or an error ends it. Options are checked and copied at the call, which throws `OPTION`; it
   * goes on from where the session is when the first piece is asked for, which throws the rest of what `generate`
   * throws.
   */
  stream(options: GenerationOptions = {}): AnswerStream {
    return new ReadableAnswer(this.#write(async () => this.#runs.parts.engine.checked(this.#ids), options))
  }

  /**
   * Answers a conversation, as `MixtralModel.chat` does. The session becomes the conversation and its answer: what it
   * has in common with the session so far is not computed again. Throws what `MixtralModel.chat` throws, `OPTION` while
   * the session is in use, and `CLOSED`.
   */
  async chat(messages: readonly ChatMessage[], options: ChatOptions = {}): Promise<ChatResult> {
    return finish(this.streamChat(messages, options))
  }

  /**
   * Answers as `chat` does, and yields text and calls as they come. Messages and options are checked and copied at the
   * call, which throws `TEMPLATE` and `OPTION`; the first piece throws the rest of what `chat` throws.
   */
  streamChat(messages: readonly ChatMessage[], options: ChatOptions = {}): AnswerStream<ChatResult> {
    const request = chatRequest(this.#runs.parts, messages, options)
    const pieces = this.#write(() => inSlices(request.prompt.tokens(), request.options.signal), request.options, request)
    return new ReadableAnswer(chatPieces(pieces, request))
  }

  /** A second session with the same tokens. */
  fork(): Session {
    this.#check()
    return new Session(this.#runs, this.#ids, this.#salt)
  }

  /** Takes back all tokens from the `length`-th on. */
  rewind(length: number): void {
    this.#check()
    if (!Number.isInteger(length) || length < 0 || length > this.#ids.length) {
      throw new MixtralError('OPTION', `length is ${shown(length)}, expected a whole number from 0 to ${this.#ids.length}`)
    }
    this.#ids = this.#ids.slice(0, length)
  }

  /**
   * Saves the tokens with their keys and values, and metadata of the application, any JSON. `MixtralModel.restore`
   * reads it. The file is complete or absent. Throws `IO`, `OPTION` for the path of a file of the model or of an
   * adapter, and what a run throws.
   */
  async save(path: string, given: CallOptions & { readonly metadata?: unknown } = {}): Promise<void> {
    checkText('path', path)
    checkObject(given)
    const { metadata = null, ...others } = given
    const options = checkCallOptions(others)
    const copied = jsonCopy(metadata, 'metadata', 'OPTION')
    return this.#alone(() => this.#runs.parts.engine.sessions.save(path, this.#ids, copied, this.#salt, options))
  }

  /** Ends the session: it can no longer be used. It holds nothing, so forgetting it does as well. */
  close(): void {
    this.#closed = true
  }

  #write(
    prompt: () => Promise<readonly number[]>,
    given: GenerationOptions,
    request?: ChatRequest,
  ): AsyncGenerator<Piece, GenerationResult> {
    checkObject(given)
    const options = { ...given }
    if (options.salt !== undefined && options.salt !== this.#salt) {
      throw new MixtralError('OPTION', `salt is ${shown(options.salt)}, expected that of the session, or none`)
    }
    const asked = askedAnswers(this.#runs.parts, { ...options, ...(this.#salt && { salt: this.#salt }) })
    if (asked.length === 1) return this.#pieces(prompt, asked, request)
    throw new MixtralError('OPTION', `n is ${asked.length}, expected 1: a session has one answer; fork it for others`)
  }

  async *#pieces(
    prompt: () => Promise<readonly number[]>,
    asked: AskedAnswers,
    request?: ChatRequest,
  ): AsyncGenerator<Piece, GenerationResult> {
    const leave = this.#enter()
    try {
      const ids = await prompt()
      const pieces = this.#runs.continue(ids, asked, request)
      const all = [...ids]
      this.#ids = all
      try {
        for (;;) {
          const { done, value } = await pieces.next()
          if (done) return value
          all.push(...value.ids)
          yield value
        }
      } finally {
        await pieces.return(undefined as never) // ends the generation where the loop is left
      }
    } finally {
      leave()
    }
  }

  /** One call at a time: two would not know from where they go on. */
  async #alone<T>(call: () => Promise<T>): Promise<T> {
    const leave = this.#enter()
    try {
      return await call()
    } finally {
      leave()
    }
  }

  #enter(): () => void {
    this.#check()
    this.#busy = true
    return () => {
      this.#busy = false
    }
  }

  #check(): void {
    if (this.#closed) throw new MixtralError('CLOSED', 'the session was closed')
    if (this.#busy) throw new MixtralError('OPTION', 'the session is in use by a call that has not ended; fork it to go on beside that')
  }
}
