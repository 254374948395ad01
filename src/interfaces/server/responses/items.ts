// The input of OpenAI's Responses API: a text, or items, which become the messages of a chat.

import type { ChatMessage } from '../../../text/chat/chatMessages.js'
import { badRequest } from '../apiError.js'

type Item = Readonly<Record<string, unknown>>

/** The conversation: instructions first; calls that follow each other, or a text of the assistant, are one message. */
export function messagesOf(input: string | readonly Item[], instructions: string | null | undefined): ChatMessage[] {
  const messages: ChatMessage[] = instructions ? [{ role: 'system', content: instructions }] : []
  if (typeof input === 'string') return [...messages, { role: 'user', content: input }]
  for (const [i, item] of input.entries()) {
    const message = messageOf(item, `input.${i}`)
    const before = messages.at(-1)
    if (item.type === 'function_call' && before?.role === 'assistant') {
      messages[messages.length - 1] = { ...before, tool_calls: [...(before.tool_calls ?? []), ...message.tool_calls!] }
    } else messages.push(message)
  }
  return messages
}

function messageOf(item: Item, at: string): ChatMessage {
  const { type = 'message' } = item
  if (type === 'message') {
    return { role: item.role as ChatMessage['role'], content: textOf(item.content, `${at}.content`) }
  }
  if (type === 'function_call') {
    const { call_id: id, name, arguments: given } = item
    if (typeof id === 'string' && typeof name === 'string' && typeof given === 'string') {
      return { role: 'assistant', content: null, tool_calls: [{ id, type: 'function', function: { name, arguments: given } }] }
    }
    throw badRequest(`${at}: expected call_id, name and arguments, three strings`, at)
  }
  if (type === 'function_call_output') {
    const { call_id: id, output } = item
    if (typeof id !== 'string') throw badRequest(`${at}.call_id: expected a string`, `${at}.call_id`)
    return { role: 'tool', tool_call_id: id, content: textOf(output, `${at}.output`) }
  }
  throw badRequest(`${at}: items of the type ${JSON.stringify(type)?.slice(0, 50)} are not supported`, at)
}

const TEXT_TYPES: readonly unknown[] = ['input_text', 'output_text', 'text']

function textOf(content: unknown, at: string): string {
  if (typeof content === 'string') return content
  if (!Array.isArray(content)) throw badRequest(`${at}: expected a string or a list of parts`, at)
  const texts = content.map((part: Item | null, i) => {
    const { type, text } = part ?? {}
    if (TEXT_TYPES.includes(type) && typeof text === 'string') return text
    throw badRequest(`${at}.${i}: parts of the type ${JSON.stringify(type)?.slice(0, 50)} are not supported, expected a text`, `${at}.${i}`)
  })
  return texts.join('')
}
