// The messages of a chat: their shape, which is that of the OpenAI API, its check, and the folding of system messages
// for templates without a system role. A checked message is a turn; templates are given turns.

import { MixtralError, shown } from '../../base/errors.js'
import { limits } from '../../base/limits.js'
import type { JsonObjectTree } from '../tools/jsonTree.js'
import { parseTree, plainTree } from '../tools/plainJson.js'
import type { ToolCall } from '../tools/toolCalls.js'
import { OpenCalls, type TurnCall } from './openCalls.js'

const MOST_CALLS = limits.messageCalls.most

const ROLES = ['system', 'developer', 'user', 'assistant', 'tool'] as const

/** A part of a message's content. Images and other parts are refused. */
export interface TextPart {
  readonly type: 'text'
  readonly text: string
}

/** `developer` is another word for `system`. `tool`: what a function has returned. */
export type ChatRole = (typeof ROLES)[number]

export interface ChatMessage {
  /** A `ChatRole`. Any text in its type, so that messages from elsewhere fit; another is refused with `TEMPLATE`. */
  readonly role: ChatRole | (string & Record<never, never>)
  /** A text, or parts that are joined. It may be null or left out beside `tool_calls`. */
  readonly content?: string | readonly TextPart[] | null
  /** In a message of the assistant: the calls that it asked for. A message of the role `tool` answers each of them. */
  readonly tool_calls?: readonly ToolCall[]
  /** In a message of the role `tool`: the id of the call. Default: the first call that has no answer. */
  readonly tool_call_id?: string
  /** In a message of the role `tool`: the name of the function. */
  readonly name?: string
}

/** A message as it is given to templates: checked, its content one text. */
export interface Turn {
  readonly role: 'system' | 'user' | 'assistant' | 'tool'
  readonly content: string
  /** Calls of the assistant; empty for other roles. */
  readonly calls: readonly TurnCall[]
  /** The call that a tool's turn answers. */
  readonly answers?: TurnCall
}

/**
 * Checks the messages and makes their texts well-formed: half a surrogate pair becomes U+FFFD. Throws a MixtralError
 * `TEMPLATE` that names the message.
 */
export function checkMessages(messages: readonly ChatMessage[]): Turn[] {
  if (!Array.isArray(messages) || messages.length === 0) {
    const found = messages === undefined || Array.isArray(messages) ? 'no messages' : `the messages are ${shown(messages)}`
    throw new MixtralError('TEMPLATE', `${found}, expected a list of at least one { role, content }`)
  }
  let open = new OpenCalls()
  const turns = Array.from(messages, (message: ChatMessage | null, index): Turn => {
    const at = `message ${index}`
    const { role, content, tool_calls: toolCalls } = message ?? ({} as ChatMessage)
    if (!isRole(role)) {
      throw new MixtralError(
        'TEMPLATE',
        `${at} has ${role === undefined ? 'no role' : `the role ${shown(role)}`}, expected ${ROLES.join(', ')}`,
      )
    }
    const unanswered = role === 'tool' ? undefined : open.first()
    if (unanswered) {
      throw new MixtralError(
        'TEMPLATE',
        `${at} comes before the answer to the tool call ${shown(unanswered.id)}, expected a message of the role tool`,
      )
    }
    const calls = role === 'assistant' ? checkCalls(toolCalls ?? [], at) : []
    const text = contentOf(content, at, calls.length > 0)
    if (role === 'tool') return { role, content: text, calls, answers: open.answer(message!, at) }
    open = new OpenCalls(calls)
    return { role: role === 'developer' ? 'system' : role, content: text, calls }
  })
  const left = open.first()
  if (left) {
    throw new MixtralError(
      'TEMPLATE',
      `the tool call ${shown(left.id)} of the last message has no answer, expected a message of the role tool`,
    )
  }
  return turns
}

const isRole = (role: unknown): role is ChatRole => (ROLES as readonly unknown[]).includes(role)

function contentOf(content: unknown, at: string, hasCalls: boolean): string {
  if (typeof content === 'string') return content.toWellFormed()
  if ((content === null || content === undefined) && hasCalls) return ''
  if (!Array.isArray(content)) {
    const found = content === null ? 'the content null' : `a content of type ${typeof content}`
    throw new MixtralError('TEMPLATE', `${at} has ${found}, expected a string or a list of text parts`)
  }
  const texts = Array.from(content, (part: Partial<TextPart> | null, index) => {
    const { type, text } = part ?? {}
    if (type === 'text' && typeof text === 'string') return text
    const found = type === 'text' ? `the text ${shown(text)}` : `the type ${shown(type)}`
    throw new MixtralError('TEMPLATE', `part ${index} of ${at} has ${found}, expected { type: 'text', text }`)
  })
  return texts.join('').toWellFormed()
}

function checkCalls(calls: unknown, at: string): TurnCall[] {
  if (!Array.isArray(calls)) throw new MixtralError('TEMPLATE', `${at} has tool_calls of type ${typeof calls}, expected a list`)
  if (calls.length > MOST_CALLS) throw new MixtralError('TEMPLATE', `${at} has ${calls.length} tool_calls, expected at most ${MOST_CALLS}`)
  const checked = Array.from(calls, (call: Partial<ToolCall> | null, index): TurnCall => {
    const where = `tool_calls[${index}] of ${at}`
    const { id, type = 'function', function: called } = call ?? {}
    if (typeof id !== 'string' || id === '') throw new MixtralError('TEMPLATE', `${where} has the id ${shown(id)}, expected a text`)
    if (type !== 'function') throw new MixtralError('TEMPLATE', `${where} has the type ${shown(type)}, expected "function"`)
    const name = called?.name
    if (typeof name !== 'string' || name === '') throw new MixtralError('TEMPLATE', `${where} has the name ${shown(name)}, expected a text`)
    return { id: id.toWellFormed(), name: name.toWellFormed(), arguments: argumentsOf(called!.arguments, where) }
  })
  const ids = new Set<string>()
  const twice = checked.find(({ id }) => ids.size === ids.add(id).size)?.id
  if (twice !== undefined) throw new MixtralError('TEMPLATE', `${at} has two tool calls with the id ${shown(twice)}`)
  return checked
}

function argumentsOf(text: unknown, where: string): JsonObjectTree {
  if (typeof text === 'object' && text !== null && !Array.isArray(text)) {
    return plainTree(text, `the arguments of ${where}`, 'TEMPLATE') as JsonObjectTree // as Ollama's clients have them
  }
  if (typeof text !== 'string') {
    throw new MixtralError('TEMPLATE', `${where} has arguments of type ${typeof text}, expected the text of a JSON object`)
  }
  const value = text.trim() === '' ? new Map() : parseTree(text, `the arguments of ${where}`, 'TEMPLATE')
  if (value instanceof Map) return value
  throw new MixtralError('TEMPLATE', `${where} has the arguments ${shown(JSON.parse(text))}, expected the text of a JSON object`)
}

/**
 * Puts the text of all system messages before that of the first user message, as llama.cpp's built-in Mistral format
 * does. Where the conversation does not begin with a user message, it becomes one.
 */
export function foldSystem(turns: readonly Turn[]): Turn[] {
  const system = turns.filter((turn) => turn.role === 'system').map((turn) => turn.content)
  const [first, ...others] = turns.filter((turn) => turn.role !== 'system')
  const content = (texts: readonly string[]) => texts.join('\n\n')
  if (first?.role === 'user') return [{ ...first, content: content([...system, first.content]) }, ...others]
  return [{ role: 'user', content: content(system), calls: [] }, ...(first ? [first, ...others] : [])]
}

/** Joins successive turns of one role, as Ollama does; those with calls, and the answers to calls, stay apart. */
export function joinTurns(turns: readonly Turn[]): Turn[] {
  const joined: Turn[] = []
  for (const turn of turns) {
    const last = joined.at(-1)
    if (last?.role === turn.role && turn.role !== 'tool' && last.calls.length + turn.calls.length === 0) {
      joined[joined.length - 1] = { ...last, content: `${last.content}\n\n${turn.content}` }
    } else joined.push(turn)
  }
  return joined
}
