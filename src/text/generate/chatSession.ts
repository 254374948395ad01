// A conversation that keeps itself: its messages, the answers as they come, and what is forgotten when it no longer
// fits. Stands on a session, which holds its tokens; the rules of forgetting are chatMemory.ts's.

import { checkNames, checkObject, checkText, MixtralError, shown } from '../../base/errors.js'
import type { CallOptions } from '../../runtime/engine/callArguments.js'
import type { ChatMessage } from '../chat/chatMessages.js'
import { ReadableAnswer } from './answerStream.js'
import { askedAnswers, finish } from './answers.js'
import { checkForget, copyOf, type ForgetRule, fitMessages, isSystem, withAnswer } from './chatMemory.js'
import { checkedTools, renderChat } from './chatRequest.js'
import type { ChatOptions } from './generationOptions.js'
import type { AnswerStream, ChatResult, Piece } from './generationResult.js'
import { withDefaults } from './modelDefaults.js'
import type { ModelParts } from './modelParts.js'
import type { Session } from './session.js'

export interface ChatSessionOptions extends ChatSessionRules {
  /** A system message, before all others. */
  readonly system?: string
  /** The conversation so far. Default: none. */
  readonly messages?: readonly ChatMessage[]
}

/** How a chat session goes on, whatever its messages are. */
export interface ChatSessionRules {
  /**
   * What is forgotten when the conversation leaves no room for an answer. `oldest`: the oldest question with all up to
   * the next one, again and again until a quarter of the room is free; system messages stay. `nothing`: none, and a
   * prompt that does not fit is refused with `CONTEXT`. A function is given the messages, the new ones too, and returns
   * those to go on with. Default `oldest`.
   */
  readonly forget?: ForgetRule
  /**
   * Tokens that are kept free for an answer. Default: `maxNewTokens` of the call, or an eighth of the context; at most
   * half of the context.
   */
  readonly reserve?: number
  /** Options of every call; those of a call go before them. */
  readonly options?: ChatOptions
  /** Its part of the KV cache is shared with sessions and calls of the same salt only. Default: none. */
  readonly salt?: string
}

/** An answer of a chat session. */
export interface ChatSessionResult extends ChatResult {
  /** How many messages were forgotten to make room for this answer. */
  readonly forgotten: number
}

/** What is said: a text of the user, a message, such as what a tool returned, or several messages. */
export type Said = string | ChatMessage | readonly ChatMessage[]

interface Holds {
  readonly parts: ModelParts
  readonly session: Session
  readonly options: ChatOptions
  readonly forget: ForgetRule
  readonly reserve: number | undefined
}

const RULES = ['forget', 'reserve', 'options', 'salt']

/** Throws what `MixtralModel.chatSession` throws. */
export function openChatSession(parts: ModelParts, open: (salt: string | undefined) => Session, given: ChatSessionOptions): ChatSession {
  checkNames(given, ['system', 'messages', ...RULES])
  const { system, messages = [], ...rules } = given
  if (system !== undefined) checkText('system', system)
  const first = system === undefined ? [] : [{ role: 'system', content: system }]
  return chatOpener(parts, open, rules)([...first, ...copyOf(messages)])
}

/** Reads the rules at once, before there are messages. Throws what `MixtralModel.restoreChat` throws at the call. */
export function chatOpener(
  parts: ModelParts,
  open: (salt: string | undefined) => Session,
  rules: ChatSessionRules,
): (messages: readonly ChatMessage[]) => ChatSession {
  checkNames(rules, RULES)
  const { forget = 'oldest', reserve, options = {}, salt } = rules
  checkForget(forget)
  const { contextLength } = parts.engine.plan
  if (reserve !== undefined && !(Number.isInteger(reserve) && reserve >= 1 && reserve < contextLength)) {
    throw new MixtralError('OPTION', `reserve is ${shown(reserve)}, expected a whole number from 1 to ${contextLength - 1}`)
  }
  if (askedAnswers(parts, checkedTools(options).options).length > 1)
    throw new MixtralError('OPTION', 'n is above 1, expected 1: a session has one answer')
  const holds = { parts, session: open(salt), options: deepCopy(options), forget, reserve }
  return (messages) => {
    if (messages.some((message) => !isSystem(message))) renderChat(parts, messages, { addGenerationPrompt: false })
    return create(holds, messages)
  }
}

/** The messages that `ChatSession.save` has put into a session's metadata. Throws `SESSION` if there are none. */
export function savedMessages(path: string, metadata: unknown): ChatMessage[] {
  const { messages } = (metadata ?? {}) as { readonly messages?: readonly ChatMessage[] }
  if (Array.isArray(messages)) return copyOf(messages)
  throw new MixtralError('SESSION', `${path}: a session without messages, expected one that ChatSession.save has saved`)
}

/** Chat sessions are made here alone: what they are made of is not public. */
let create: (holds: Holds, messages: readonly ChatMessage[]) => ChatSession

/** A conversation: what is said to it and what it answers is kept, as long as there is room. */
export class ChatSession {
  static {
    create = (...parts) => new ChatSession(...parts)
  }

  readonly #holds: Holds
  #messages: readonly ChatMessage[]
  #busy = false

  private constructor(holds: Holds, messages: readonly ChatMessage[]) {
    this.#holds = holds
    this.#messages = messages
  }

  /** The conversation so far, the system message too. A copy. */
  get messages(): ChatMessage[] {
    return copyOf(this.#messages)
  }

  /** Whether an answer is being written: another call has to wait for its end. */
  get isAnswering(): boolean {
    return this.#busy
  }

  /**
   * Says something and gives the answer; both belong to the conversation then. After an error it is what it was; after
   * an abort it has the question and what was written of the answer, if there is any. An answer that the last message
   * has begun goes on. Throws what `MixtralModel.chat` throws, and `OPTION` while another answer is being written.
   * @example const { text } = await chat.send('What is 7 + 5?')
   */
  async send(said: Said, options: ChatOptions = {}): Promise<ChatSessionResult> {
    return finish(this.stream(said, options))
  }

  /**
   * Says something, and yields the answer as it comes. What has been written belongs to the conversation, also where
   * the loop is left early. What is said and options are checked and copied at the call, which throws `TEMPLATE`
   * and `OPTION`; the first piece throws the rest of what `send` throws.
   */
  stream(said: Said, options: ChatOptions = {}): AnswerStream<ChatSessionResult> {
    checkObject(options)
    this.#check()
    if (typeof said !== 'string' && (typeof said !== 'object' || said === null))
      throw new MixtralError('TEMPLATE', `what is said is ${shown(said)}, expected a text, a message or a list of messages`)
    const { parts, session, forget } = this.#holds
    const before = this.#messages
    const added: readonly ChatMessage[] =
      typeof said === 'string' ? [{ role: 'user', content: said }] : copyOf((Array.isArray(said) ? said : [said]) as readonly ChatMessage[])
    const asked = withDefaults(this.#holds.options, options)
    const { tools } = asked
    const { contextLength } = parts.engine.plan
    const reserve = this.#holds.reserve ?? Math.min(asked.maxNewTokens ?? Math.ceil(contextLength / 8), Math.floor(contextLength / 2))
    const count = (messages: readonly ChatMessage[]) => renderChat(parts, messages, tools ? { tools } : {}).ids.length
    const messages = this.#fitted(() => fitMessages([...before, ...added], forget, count, contextLength - reserve))
    const pieces = session.streamChat(messages, asked)
    const forgotten = Math.max(0, before.length + added.length - messages.length)
    return new ReadableAnswer(this.#answer(pieces, { before, messages, forgotten }))
  }

  /** Takes back the last question and all that came after it. Returns these messages; none if there is no question. */
  undo(): ChatMessage[] {
    this.#check()
    const last = this.#messages.findLastIndex(({ role }) => role === 'user')
    const taken = last < 0 ? [] : this.#messages.slice(last)
    if (last >= 0) this.#messages = this.#messages.slice(0, last)
    return copyOf(taken)
  }

  /** Forgets all but the system messages at the beginning. */
  clear(): void {
    this.#check()
    const first = this.#messages.findIndex((message) => !isSystem(message))
    if (first >= 0) this.#messages = this.#messages.slice(0, first)
  }

  /** A second conversation that begins with the same messages. Throws `OPTION` while an answer is being written. */
  fork(): ChatSession {
    this.#check()
    return new ChatSession({ ...this.#holds, session: this.#holds.session.fork() }, this.#messages)
  }

  /**
   * Saves the messages, and the tokens of the last prompt and answer with their keys and values.
   * `MixtralModel.restoreChat` goes on with it, and nothing is computed twice. Throws what `Session.save` throws.
   */
  async save(path: string, options: CallOptions = {}): Promise<void> {
    checkObject(options)
    this.#check()
    return this.#holds.session.save(path, { ...options, metadata: { messages: this.#messages } })
  }

  /** Ends the use of the session. */
  close(): void {
    this.#holds.session.close()
  }

  async *#answer(
    pieces: AsyncGenerator<Piece, ChatResult>,
    { before, messages, forgotten }: { before: readonly ChatMessage[]; messages: readonly ChatMessage[]; forgotten: number },
  ): AsyncGenerator<Piece, ChatSessionResult> {
    this.#check()
    if (this.#messages !== before) throw new MixtralError('OPTION', 'the conversation has gone on since this call, expected a new one')
    this.#busy = true
    let text = ''
    let failed = false
    try {
      for (;;) {
        const { done, value } = await pieces.next()
        if (done) {
          this.#messages = withAnswer(messages, value)
          text = ''
          return { ...value, forgotten }
        }
        text += value.text
        yield value
      }
    } catch (error) {
      failed = !(error instanceof MixtralError && error.code === 'ABORTED')
      if (!failed) text = (error as MixtralError).partial?.text ?? text
      throw error
    } finally {
      if (text !== '' && !failed) this.#messages = withAnswer(messages, { text, toolCalls: [] })
      this.#busy = false
      await pieces.return(undefined as never) // ends the generation where the loop is left
    }
  }

  /** Runs the rule, which may be a caller's: what it asks of this conversation in the middle of that is refused. */
  #fitted<T>(run: () => T): T {
    this.#busy = true
    try {
      return run()
    } finally {
      this.#busy = false
    }
  }

  #check(): void {
    if (this.#busy)
      throw new MixtralError('OPTION', 'the chat session is in use by a call that has not ended; fork it to go on beside that')
  }
}

/** A copy of checked options: what a caller changes in them later changes nothing. */
function deepCopy(options: ChatOptions): ChatOptions {
  const isShared = (value: unknown) => typeof value === 'function' || value instanceof AbortSignal
  return Object.fromEntries(Object.entries(options).map(([name, value]) => [name, isShared(value) ? value : structuredClone(value)]))
}
