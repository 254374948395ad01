// What a conversation keeps: which messages go on when there is no room for all, and how an answer joins them. Knows
// messages and a count of tokens; no model.

import { listCopy, MixtralError, shown } from '../../base/errors.js'
import { isPromise, onRejection } from '../../base/onAbort.js'
import type { ChatMessage } from '../chat/chatMessages.js'
import { jsonCopy } from '../tools/plainJson.js'
import type { ChatResult } from './generationResult.js'

/** How much a conversation takes, and may take. */
export interface ChatFit {
  /** Tokens of the prompt with all messages. */
  readonly tokens: number
  /** Tokens that a prompt may have, so that there is room for an answer. */
  readonly room: number
}

export type ForgetRule = 'oldest' | 'nothing' | ((messages: readonly ChatMessage[], fit: ChatFit) => readonly ChatMessage[])

/**
 * When the oldest are forgotten, the prompt is to fill this much of the room: what is kept begins elsewhere, so that it
 * is computed anew, which is not to happen in every turn.
 */
const FULL = 0.75

/** Throws `OPTION` for what is no rule. */
export function checkForget(rule: unknown): void {
  if (rule === 'oldest' || rule === 'nothing' || typeof rule === 'function') return
  throw new MixtralError('OPTION', `forget is ${shown(rule)}, expected oldest, nothing or a function`)
}

/**
 * The messages to go on with. They may be too many still, where the rule can do no more: the call that runs them knows.
 * Throws what `count` throws, and what a function that is the rule throws.
 */
export function fitMessages(
  messages: readonly ChatMessage[],
  rule: ForgetRule,
  count: (messages: readonly ChatMessage[]) => number,
  room: number,
): readonly ChatMessage[] {
  let tokens = count(messages)
  if (tokens <= room || rule === 'nothing') return messages
  if (typeof rule === 'function') {
    const kept: unknown = rule(copyOf(messages), { tokens, room })
    onRejection(kept, () => {}) // what is told is that it is a promise
    if (Array.isArray(kept)) return copyOf(kept)
    const found = isPromise(kept) ? 'a promise' : shown(kept)
    throw new MixtralError('OPTION', `forget gave ${found}, expected a list of messages`)
  }
  let kept = messages
  while (tokens > room * FULL) {
    const fewer = withoutOldest(kept)
    if (!fewer) return kept
    kept = fewer
    tokens = count(kept)
  }
  return kept
}

/** A copy of messages, as JSON has them. Throws `TEMPLATE` for what is no list of such. */
export function copyOf(messages: readonly ChatMessage[]): ChatMessage[] {
  if (!Array.isArray(messages)) throw new MixtralError('TEMPLATE', `the messages are ${shown(messages)}, expected a list`)
  return listCopy(messages).map((message, i) => jsonCopy(message, `message ${i}`, 'TEMPLATE') as ChatMessage)
}

export const isSystem = ({ role }: ChatMessage) => role === 'system' || role === 'developer'

/** Without the oldest question and all up to the next; undefined if there is no next. */
function withoutOldest(messages: readonly ChatMessage[]): readonly ChatMessage[] | undefined {
  const first = messages.findIndex((message) => !isSystem(message))
  const next = messages.findIndex(({ role }, i) => i > first && role === 'user')
  return first < 0 || next < 0 ? undefined : [...messages.slice(0, first), ...messages.slice(next)]
}

/** The messages with an answer, which goes on where the last message has begun it. */
export function withAnswer(messages: readonly ChatMessage[], { text, toolCalls }: Pick<ChatResult, 'text' | 'toolCalls'>): ChatMessage[] {
  const calls = toolCalls.length > 0 ? { tool_calls: toolCalls } : {}
  const last = messages.at(-1)
  if (last?.role !== 'assistant') return [...messages, { role: 'assistant', content: text, ...calls }]
  const begun = typeof last.content === 'string' ? last.content : (last.content ?? []).map((part) => part.text).join('')
  return [...messages.slice(0, -1), { ...last, content: begun + text, ...calls }]
}
