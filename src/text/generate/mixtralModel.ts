// The library's main class: a loaded Mixtral that writes text. Connects tokenizer, chat template, engine and
// generation; computes nothing itself.

import { checkNames, checkText } from '../../base/errors.js'
import type { Steps } from '../../base/timeSlice.js'
import type { LocalModel } from '../../registry/stores/localModels.js'
import type { TokenIds } from '../../runtime/engine/callArguments.js'
import type { EngineOptions as LoadOptions } from '../../runtime/engine/engineOptions.js'
import type { MixtralConfig } from '../../runtime/weights/mixtralConfig.js'
import type { Weights } from '../../runtime/weights/weightLoader.js'
import type { ChatMessage } from '../chat/chatMessages.js'
import type { RenderedChat } from '../chat/chatTemplate.js'
import { stepsOf } from '../tokenizer/tokenizer.js'
import { ReadableAnswer } from './answerStream.js'
import { askedAnswers, finish, writeAnswers } from './answers.js'
import { type ChatRequest, chatPieces, chatRequest, renderChat, renderSteps } from './chatRequest.js'
import {
  type ChatSession,
  type ChatSessionOptions,
  type ChatSessionRules,
  chatOpener,
  openChatSession,
  savedMessages,
} from './chatSession.js'
import { type Embedding, type EmbedOptions, embedTokens } from './embed.js'
import type { ChatOptions, ChatTemplateOptions, GenerationOptions } from './generationOptions.js'
import type { AnswerStream, ChatResult, GenerationResult, Piece } from './generationResult.js'
import { loadParts, type ModelParts, openParts } from './modelParts.js'
import { checkSessionOptions, openSession, type RestoredSession, type Session, type SessionOptions } from './session.js'
import { TokenModel } from './tokenModel.js'

/** `applyChatTemplate` as work that may pause: a long conversation takes tenths of a second. */
export let templateSteps: (model: MixtralModel, messages: readonly ChatMessage[], options?: ChatTemplateOptions) => Steps<RenderedChat>

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
export class MixtralModel extends TokenModel {
  static {
    templateSteps = (model, messages, options = {}) => renderSteps(model.#parts, messages, options)
  }

  readonly #parts: ModelParts

  private constructor(parts: ModelParts) {
    super(parts)
    this.#parts = parts
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
   * Continues a raw prompt as `generate` does, and yields the text as it comes; `result` is the whole in the end.
   * Leaving the loop early ends the generation. A reader that falls behind makes only its own generation wait. Prompt
   * and options are checked and copied at the call, which throws `OPTION`; the first piece throws the rest of what
   * `generate` throws.
   * @example
   * const answer = model.stream('Once upon a time')
   * for await (const { text } of answer) process.stdout.write(text)
   * const { finishReason } = await answer.result
   */
  stream(prompt: string, options: GenerationOptions = {}): AnswerStream {
    checkText('the prompt', prompt)
    return new ReadableAnswer(this.#generate(stepsOf(this.tokenizer).encodePrompt(prompt), options))
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
  streamChat(messages: readonly ChatMessage[], options: ChatOptions = {}): AnswerStream<ChatResult> {
    const request = chatRequest(this.#parts, messages, options)
    return new ReadableAnswer(chatPieces(this.#generate(request.prompt.tokens(), request.options, request), request))
  }

  /** The prompt that `chat` makes of a conversation. Throws `TEMPLATE`, and `OPTION` for tools that are none. */
  applyChatTemplate(messages: readonly ChatMessage[], options: ChatTemplateOptions = {}): RenderedChat {
    return renderChat(this.#parts, messages, options)
  }

  /**
   * How many tokens a prompt has: that of `generate` for a text, that of `chat` for messages. With an answer they have
   * to fit `contextLength`. Throws `OPTION`, and `TEMPLATE` for messages.
   * @example const room = model.contextLength - model.countTokens(messages)
   */
  countTokens(prompt: string | readonly ChatMessage[], options: ChatTemplateOptions = {}): number {
    if (typeof prompt !== 'string') return renderChat(this.#parts, prompt, options).ids.length
    checkNames(options, [])
    return this.tokenizer.encodePrompt(prompt).length
  }

  /**
   * A conversation that keeps its messages, and forgets old ones by a rule when there is no room for an answer. Throws
   * `OPTION`, and `TEMPLATE` for messages that the template refuses.
   * @example
   * const chat = model.chatSession({ system: 'Answer in one sentence.' })
   * const { text } = await chat.send('What is the capital of France?')
   */
  chatSession(options: ChatSessionOptions = {}): ChatSession {
    return openChatSession(this.#parts, (salt) => this.session(salt === undefined ? {} : { salt }), options)
  }

  /**
   * A conversation that `ChatSession.save` has saved, with its system message. Its rules are given again: they are not
   * saved. Throws what `restore` and `chatSession` throw, and `SESSION` for a session that is no conversation.
   * @example
   * const chat = await model.restoreChat('france.session')
   * const { text } = await chat.send('And of Italy?')
   */
  async restoreChat(path: string, options: ChatSessionRules = {}): Promise<ChatSession> {
    const begin = chatOpener(this.#parts, (salt) => this.session(salt === undefined ? {} : { salt }), options)
    const { metadata } = await this.restore(path, options.salt === undefined ? {} : { salt: options.salt })
    return begin(savedMessages(path, metadata))
  }

  /**
   * The embedding of a text, or of tokens: the mean of their last hidden states, of length 1. A text gets BOS if the
   * file asks for it; control tokens spelled in it are text. Tokens are taken as they are. Throws `MODEL` if a hidden
   * state is not finite, and what `logits` throws.
   */
  async embed(input: string | TokenIds, options: EmbedOptions = {}): Promise<Embedding> {
    return embedTokens(this.#parts.engine, this.tokenizer, input, options)
  }

  /** A timeline of tokens to go on from. Throws what `logits` throws for its ids. */
  session(options: SessionOptions = {}): Session {
    return openSession(this.#parts, (ids, asked, request) => writeAnswers(this, this.#parts.engine, ids, asked, request), options)
  }

  /**
   * A session that `Session.save` has saved, with its keys and values. Throws `SESSION` for a damaged file and one of
   * another model or version, naming what differs; `CONTEXT` where it does not fit; `IO` and `CLOSED`.
   */
  async restore(path: string, options: Pick<SessionOptions, 'salt'> = {}): Promise<RestoredSession> {
    checkText('path', path)
    const { salt = '' } = checkSessionOptions(options, ['salt'])
    const { ids, metadata } = await this.#parts.engine.sessions.restore(path, salt)
    return { session: this.session({ ids, salt }), metadata }
  }

  /** Writes answers, beside others. It begins with the first piece that is asked for. */
  #generate(prompt: Steps<readonly number[]>, options: GenerationOptions, request?: ChatRequest): AsyncGenerator<Piece, GenerationResult> {
    return writeAnswers(this, this.#parts.engine, prompt, askedAnswers(this.#parts, options), request)
  }
}
