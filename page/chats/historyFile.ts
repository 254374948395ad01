// Conversations as a file of JSON, out and in again. What comes in may come from anybody: every field is checked, texts
// stay texts, and nothing but the known fields is taken.

import type { AnswerFigures, Conversation, Finish, Message } from './conversation.js'
import { Routing, type StoredRouting } from './routing.js'

const FORMAT = 'mixtral-wasm-chats'

/** Bounds of what a file may bring: browsers have little more room, and a page shows no more. */
const MOST_CONVERSATIONS = 10_000
const MOST_MESSAGES = 20_000
const LONGEST_TEXT = 4_000_000
const MOST_LAYERS = 1024
/** Of all layers, as the library has it. */
const MOST_EXPERTS = 32_768
export const MOST_FILE_BYTES = 256 * 2 ** 20

export interface History {
  readonly conversations: readonly Conversation[]
  /** By message. */
  readonly routings: ReadonlyMap<string, StoredRouting>
}

export function historyText({ conversations, routings }: History): string {
  const coded = [...routings].map(([id, { ids, weights, ends, ...shape }]) => [
    id,
    { ...shape, ids: base64(ids), weights: base64(weights), ends: base64(ends) },
  ])
  return JSON.stringify({ format: FORMAT, version: 1, conversations, routings: Object.fromEntries(coded) })
}

/** Throws an Error that says what was found and what was expected. */
export function readHistory(text: string): History {
  let file: unknown
  try {
    file = JSON.parse(text)
  } catch {
    throw new Error('the file is no JSON')
  }
  const { format, version, conversations, routings = {} } = objectOf(file, 'the file')
  if (format !== FORMAT) throw new Error(`the file has no conversations of this page: its format is not "${FORMAT}"`)
  if (version !== 1) throw new Error(`the file has version ${JSON.stringify(version)?.slice(0, 20)}, expected 1`)
  const list = listOf(conversations, 'conversations', MOST_CONVERSATIONS).map(conversationOf)
  if (new Set(list.map(({ id }) => id)).size < list.length) throw new Error('two conversations have one id')
  const known = new Set<string>()
  for (const { messages } of list) {
    for (const { id } of messages) {
      if (known.has(id)) throw new Error(`two messages have the id ${id}`)
      known.add(id)
    }
  }
  const read = Object.entries(objectOf(routings, 'routings')).filter(([id]) => known.has(id))
  return { conversations: list, routings: new Map(read.map(([id, routing]) => [id, routingOf(routing)])) }
}

function conversationOf(value: unknown, i: number): Conversation {
  const at = `conversation ${i + 1}`
  const { id, title, created, updated, system, schema, messages, chosen } = objectOf(value, at)
  const known = new Set<string>()
  const list = listOf(messages, `the messages of ${at}`, MOST_MESSAGES).map((one, m): Message => {
    const message = messageOf(one, `message ${m + 1} of ${at}`)
    if (message.parent !== null && !known.has(message.parent)) throw new Error(`message ${m + 1} of ${at} stands before its parent`)
    known.add(message.id)
    return message
  })
  const seen = Object.entries(objectOf(chosen ?? {}, `what is seen of ${at}`))
  const pairs = seen.filter(([parent, child]) => (parent === '' || known.has(parent)) && typeof child === 'string' && known.has(child))
  return {
    id: idOf(id, at),
    title: textOf(title, `the title of ${at}`).slice(0, 200),
    created: timeOf(created, at),
    updated: timeOf(updated, at),
    system: textOf(system, `the system message of ${at}`),
    schema: textOf(schema, `the schema of ${at}`),
    messages: list,
    chosen: Object.fromEntries(pairs as [string, string][]),
  }
}

const FINISHES: readonly unknown[] = ['stop', 'length', 'stopped', 'failed', 'tool_calls'] satisfies Finish[]

function messageOf(value: unknown, at: string): Message {
  const { id, parent, role, content, created, model, finish, error, figures, json } = objectOf(value, at)
  if (role !== 'user' && role !== 'assistant') throw new Error(`${at} has no role "user" or "assistant"`)
  return {
    id: idOf(id, at),
    parent: parent === null ? null : idOf(parent, at),
    role,
    content: textOf(content, at),
    created: timeOf(created, at),
    ...(typeof model === 'string' && { model: model.slice(0, 200) }),
    ...(FINISHES.includes(finish) && { finish: finish as Finish }),
    ...(typeof error === 'string' && { error: error.slice(0, 2000) }),
    ...(json === true && { json }),
    ...(figures !== undefined && { figures: figuresOf(objectOf(figures, `the figures of ${at}`)) }),
  }
}

function figuresOf(given: Record<string, unknown>): AnswerFigures {
  const number = (name: keyof AnswerFigures) => {
    const value = given[name]
    return typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : 0
  }
  return {
    promptTokens: number('promptTokens'),
    cachedTokens: number('cachedTokens'),
    completionTokens: number('completionTokens'),
    waitSeconds: number('waitSeconds'),
    writeSeconds: number('writeSeconds'),
  }
}

function routingOf(value: unknown): StoredRouting {
  const { layers, experts, used, start, ids, weights, ends } = objectOf(value, 'the experts of a message')
  const whole = (number: unknown, most: number, least = 1): number => {
    if (typeof number === 'number' && Number.isInteger(number) && number >= least && number <= most) return number
    throw new Error('the experts of a message have no shape')
  }
  const shape = {
    layers: whole(layers, MOST_LAYERS),
    experts: whole(experts, MOST_EXPERTS),
    used: whole(used, 64),
    start: whole(start, LONGEST_TEXT, 0),
  }
  if (shape.layers * shape.experts > MOST_EXPERTS) throw new Error('the experts of a message are too many')
  try {
    const arrays = { ids: new Uint16Array(bytesOf(ids)), weights: new Uint16Array(bytesOf(weights)), ends: new Uint32Array(bytesOf(ends)) }
    return Routing.from({ ...shape, ...arrays }).stored()
  } catch {
    throw new Error('the experts of a message are damaged')
  }
}

function objectOf(value: unknown, what: string): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  throw new Error(`${what} is no object`)
}

function listOf(value: unknown, what: string, most: number): readonly unknown[] {
  if (Array.isArray(value) && value.length <= most) return value
  throw new Error(`${what}: expected a list of at most ${most}`)
}

function textOf(value: unknown, what: string): string {
  if (typeof value === 'string' && value.length <= LONGEST_TEXT) return value.toWellFormed()
  throw new Error(`${what} has no text, or one of more than ${LONGEST_TEXT} characters`)
}

function idOf(value: unknown, what: string): string {
  if (typeof value === 'string' && /^[\w-]{1,64}$/.test(value) && value !== '__proto__') return value
  throw new Error(`${what} has no id of letters, digits and -`)
}

function timeOf(value: unknown, what: string): number {
  if (typeof value === 'number' && Number.isFinite(value) && Math.abs(value) < 8.64e15) return value
  throw new Error(`${what} has no time in milliseconds`)
}

function base64({ buffer, byteOffset, byteLength }: Uint16Array | Uint32Array): string {
  const bytes = new Uint8Array(buffer, byteOffset, byteLength)
  let binary = ''
  for (let at = 0; at < bytes.length; at += 8192) binary += String.fromCharCode(...bytes.subarray(at, at + 8192))
  return btoa(binary)
}

function bytesOf(text: unknown): ArrayBuffer {
  return Uint8Array.from(atob(String(text)), (letter) => letter.charCodeAt(0)).buffer
}
