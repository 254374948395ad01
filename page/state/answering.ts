// Answers while they are written: what is asked for, what has come, when. One at a time; a second question waits for
// the person to stop the first. Owns the pace at which the view is told.

import { batch, computed, signal } from '@preact/signals'
import { type Conversation, changed, type Finish, type Message, newId, pathOf, titleOf, withMessage } from '../chats/conversation.js'
import { Routing } from '../chats/routing.js'
import { load } from '../server/api.js'
import { type ChatRequest, type Chunk, type Progress, streamChat, type Usage } from '../server/chatStream.js'
import { Failure } from '../server/failure.js'
import { connect, isGone, model, note } from './connection.js'
import { current, find, keepRouting, routingChanges, routingOf, setRouting, update } from './library.js'
import { preferences, requestOptions } from './preferences.js'

/** An answer that is written now. */
export interface Live {
  readonly conversation: string
  readonly message: string
  readonly text: string
  readonly phase: 'asking' | 'waiting' | 'writing'
  /** What the server says of its queue meanwhile. */
  readonly queue: string
  readonly tokens: number
  readonly perSecond: number
}

export const live = signal<Live | undefined>(undefined)
export const isBusy = computed(() => live.value !== undefined)
/** For screen readers: said once, when it changes. */
export const announcement = signal('')

const QUEUE_MILLISECONDS = 1000
const KEEP_MILLISECONDS = 3000
/** Pictures of experts change no faster: eyes cannot follow, and the text must not wait for them. */
const PICTURE_MILLISECONDS = 120

let controller: AbortController | undefined

export function stop(): void {
  controller?.abort()
}

/** Asks a question at the end of what is seen. */
export async function ask(text: string): Promise<void> {
  const last = pathOf(current.value).at(-1)
  await askAfter(last?.id ?? null, text)
}

/** Asks in the place of a message: what follows it stays, as another branch. */
export async function askInstead(message: Message, text: string): Promise<void> {
  await askAfter(message.parent, text)
}

async function askAfter(parent: string | null, text: string): Promise<void> {
  const question: Message = { id: newId(), parent, role: 'user', content: text, created: Date.now() }
  const conversation = current.value
  const title = conversation.title || titleOf(text)
  update(withMessage({ ...conversation, title }, question))
  await answer(question.id)
}

/** Another answer to the same question. */
export async function again(message: Message): Promise<void> {
  if (message.parent !== null) await answer(message.parent)
}

/** The answer as the person would have it: a branch that later questions build on. */
export function rewrite(message: Message, text: string): void {
  const { parent, json = false } = message
  const created = Date.now()
  update(withMessage(current.value, { id: newId(), parent, role: 'assistant', content: text, created, ...(json && { json }) }))
}

/** Goes on with an answer that was cut. */
export async function goOn(message: Message): Promise<void> {
  await run(current.value, message)
}

async function answer(question: string): Promise<void> {
  const json = current.value.schema.trim() !== ''
  const name = model.value?.id
  const message: Message = {
    ...{ id: newId(), parent: question, role: 'assistant', content: '', created: Date.now() },
    ...(name && { model: name }),
    ...(json && { json }),
  }
  update(withMessage(current.value, message))
  await run(current.value, message)
}

/** The request for a message: all that stands before it, and what it has already. */
function requestOf(conversation: Conversation, message: Message): ChatRequest {
  const known = new Map(conversation.messages.map((one) => [one.id, one]))
  const before: Message[] = []
  for (let at = message.parent; at !== null; at = known.get(at)?.parent ?? null) before.unshift(known.get(at)!)
  const said = [...before, ...(message.content ? [message] : [])].map(({ role, content }) => ({ role, content }))
  const { system, schema } = conversation
  const name = model.value?.id
  return {
    ...(name && { model: name }),
    messages: [...(system.trim() ? [{ role: 'system', content: system }] : []), ...said],
    ...requestOptions(preferences.value),
    ...(schema.trim() && { response_format: { type: 'json_schema', json_schema: { name: 'answer', schema: JSON.parse(schema) } } }),
  }
}

async function run(conversation: Conversation, message: Message): Promise<void> {
  if (controller) return
  controller = new AbortController()
  const writing = new Writing(conversation.id, message)
  const queue = setInterval(() => void writing.lookAtQueue(), QUEUE_MILLISECONDS)
  announcement.value = 'The model is answering.'
  try {
    for await (const chunk of streamChat(requestOf(conversation, message), controller.signal)) writing.take(chunk)
    writing.end(writing.finish ?? 'stop')
  } catch (error) {
    if (controller.signal.aborted) writing.end('stopped')
    else {
      note(error)
      writing.end('failed', error instanceof Failure || error instanceof SyntaxError ? error.message : String(error))
    }
  } finally {
    clearInterval(queue)
    controller = undefined
    // a model that was loaded for the answer has a context now
    if (isGone.value || model.value?.context === undefined) void connect()
  }
}

/** One answer at work. */
class Writing {
  readonly #conversation: string
  readonly #id: string
  readonly #began = performance.now()
  #text: string
  /** Where the text of this request begins in the answer. */
  readonly #begin: number
  #first = 0
  #last = 0
  #tokens = 0
  #queue = ''
  /** How far the prompt is read. */
  #progress: Progress | undefined
  #phase: Live['phase'] = 'asking'
  #usage: Usage | undefined
  #routing: Routing | undefined
  #frame = 0
  #kept = performance.now()
  #pictured = 0
  #picturing: ReturnType<typeof setTimeout> | undefined
  finish: Finish | undefined

  constructor(conversation: string, message: Message) {
    this.#conversation = conversation
    this.#id = message.id
    this.#text = message.content
    this.#begin = message.content.length
    this.#routing = message.content ? routingOf(message.id) : undefined
    this.#show()
  }

  take(chunk: Chunk | undefined): void {
    if (!chunk) {
      this.#phase = 'waiting'
      this.#soon()
      return
    }
    const { text, experts, weights, finish, usage, progress } = chunk
    if (progress) this.#progress = progress
    this.#text += text
    // of the tokens that come with the end, the last is the end token: it is none of the answer's
    this.#tokens += experts.length > 0 ? experts.length - (finish === 'stop' ? 1 : 0) : text ? 1 : 0
    if (experts.length > 0) this.#route(experts, weights)
    if (text) {
      this.#last = performance.now()
      this.#first ||= this.#last
      this.#phase = 'writing'
    }
    if (finish) this.finish = finish === 'length' || finish === 'tool_calls' ? finish : 'stop'
    if (usage) this.#usage = usage
    this.#soon()
    this.#keep()
  }

  end(finish: Finish, error?: string): void {
    cancelAnimationFrame(this.#frame)
    clearTimeout(this.#picturing)
    const conversation = find(this.#conversation)
    const seconds = (from: number, to: number) => Math.max(0, (to - from) / 1000)
    // an answer that was stopped has no usage; its prompt was counted while it was read
    const figures = {
      promptTokens: this.#usage?.prompt_tokens ?? this.#progress?.total ?? 0,
      cachedTokens: this.#usage?.prompt_tokens_details?.cached_tokens ?? this.#progress?.cache ?? 0,
      completionTokens: this.#usage?.completion_tokens ?? this.#tokens,
      waitSeconds: seconds(this.#began, this.#first),
      writeSeconds: seconds(this.#first, this.#last),
    }
    batch(() => {
      live.value = undefined
      if (conversation) {
        const { error: _, ...plain } = conversation.messages.find(({ id }) => id === this.#id) ?? ({} as Partial<Message>)
        const cleared = { ...conversation, messages: conversation.messages.map((one) => (one.id === this.#id ? (plain as Message) : one)) }
        const result = { content: this.#text, finish, ...(error && { error }), ...(this.#first && { figures }) }
        update({ ...changed(cleared, this.#id, result), updated: Date.now() })
        keepRouting(this.#conversation, this.#id)
      }
      routingChanges.value++
    })
    announcement.value = error ?? spoken(this.#text, finish)
  }

  async lookAtQueue(): Promise<void> {
    if (this.#phase === 'writing') return
    try {
      const { running, waiting } = await load()
      this.#queue = waiting > 0 ? `${running} answers are written now, ${waiting} wait in the queue` : 'The model reads the prompt'
    } catch {
      this.#queue = ''
    }
    if (live.value) this.#soon()
  }

  #route(experts: Chunk['experts'], weights: Chunk['weights']): void {
    const { layers = experts[0]!.length, experts: all, used = experts[0]![0]!.length } = model.value ?? {}
    const count = all ?? Math.max(8, ...experts.flat(2).map((id) => id + 1))
    this.#routing ??= new Routing(layers, count, used, this.#begin)
    const end = this.#text.length
    for (const [i, one] of experts.entries()) {
      // the text of several tokens comes with the last of them
      const before = this.#routing.length > 0 ? this.#routing.span(this.#routing.length - 1)[1] : this.#begin
      this.#routing.add(one, weights[i] ?? [], i === experts.length - 1 ? end : before)
    }
    setRouting(this.#id, this.#routing)
    const wait = PICTURE_MILLISECONDS - (performance.now() - this.#pictured)
    this.#picturing ??= setTimeout(() => {
      this.#picturing = undefined
      this.#pictured = performance.now()
      routingChanges.value++
    }, wait)
  }

  #soon(): void {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0
      this.#show()
    })
  }

  #show(): void {
    const seconds = (this.#last - this.#first) / 1000
    live.value = {
      conversation: this.#conversation,
      message: this.#id,
      text: this.#text,
      phase: this.#phase,
      queue: this.#progress ? `Reading the prompt: ${this.#progress.processed} of ${this.#progress.total} tokens` : this.#queue,
      tokens: this.#tokens,
      perSecond: seconds > 0 ? (this.#tokens - 1) / seconds : 0,
    }
  }

  /** What is there already outlasts the tab. */
  #keep(): void {
    if (performance.now() - this.#kept < KEEP_MILLISECONDS) return
    this.#kept = performance.now()
    const conversation = find(this.#conversation)
    if (conversation) update(changed(conversation, this.#id, { content: this.#text, finish: 'stopped' }))
  }
}

/** What a screen reader says of an answer: its beginning, and how it ended. */
function spoken(text: string, finish: Finish): string {
  const most = 300
  const beginning = text.length > most ? `${text.slice(0, text.lastIndexOf(' ', most))} … The answer goes on.` : text
  if (finish === 'stopped') return `Stopped. ${beginning}`
  return finish === 'length' ? `${beginning} The answer was cut.` : beginning
}
