// The input of OpenAI's Responses API: a text, or items, which become the messages of a chat.

import type { ChatMessage } from '../../../text/chat/chatMessages.js'
import type { ToolCall } from '../../../text/tools/toolCalls.js'
import { badRequest } from '../apiError.js'

type Item = Readonly<Record<string, unknown>>

/** The conversation: instructions first; calls that follow each other, or a text of the assistant, are one message. */
export function messagesOf(input: string | readonly Item[], instructions: string | null | undefined): ChatMessage[] {
  const messages: ChatMessage[] = instructions ? [{ role: 'system', content: instructions }] : []
  if (typeof input === 'string') return [...messages, { role: 'user', content: input }]
  const ids = new Set(input.flatMap(({ type, id }) => (type === 'item_reference' ? [] : [id])))
  const callsOf = new WeakMap<ChatMessage, ToolCall[]>()
  for (const [i, item] of input.entries()) {
    if (isLeftOut(item, ids)) continue
    const message = messageOf(item, `input.${i}`)
    const before = messages.at(-1)
    if (message.tool_calls && before?.role === 'assistant') {
      const calls = callsOf.get(before) ?? [...(before.tool_calls ?? [])] // grown in place: a request may have thousands
      calls.push(...message.tool_calls)
      const joined = { ...before, tool_calls: calls }
      callsOf.set(joined, calls)
      messages[messages.length - 1] = joined
    } else messages.push(message)
  }
  return messages
}

/** What models that think, and tools on OpenAI's servers, have left in a conversation. */
const LEFT_OUT: readonly unknown[] = [
  ...['reasoning', 'web_search_call', 'file_search_call', 'code_interpreter_call', 'image_generation_call'],
  ...['mcp_call', 'mcp_list_tools', 'mcp_approval_request', 'mcp_approval_response', 'tool_search_call', 'tool_search_output'],
]

/** A reference is left out as what it refers to, or since that is in the input: nothing else is kept here. */
function isLeftOut({ type, id }: Item, ids: ReadonlySet<unknown>): boolean {
  return LEFT_OUT.includes(type) || (type === 'item_reference' && (ids.has(id) || /^(rs|ws|fs|ci|ig|mcp|mcpl)_/.test(String(id))))
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
  // calls of tools that are no functions: the model reads them as such
  if (type === 'custom_tool_call' || type === 'local_shell_call') {
    const { call_id: id, name = 'local_shell', input, action } = item
    if (typeof id !== 'string' || typeof name !== 'string') throw badRequest(`${at}: expected call_id and name, two strings`, at)
    const given = JSON.stringify(type === 'custom_tool_call' ? { input } : { action })
    return { role: 'assistant', content: null, tool_calls: [{ id, type: 'function', function: { name, arguments: given } }] }
  }
  if (OUTPUTS.includes(type)) {
    const { call_id: id = item.id, output } = item
    if (typeof id !== 'string') throw badRequest(`${at}.call_id: expected a string`, `${at}.call_id`)
    return { role: 'tool', tool_call_id: id, content: textOf(output, `${at}.output`) }
  }
  if (type === 'item_reference') {
    const named = JSON.stringify(item.id)?.slice(0, 70)
    throw badRequest(`${at} refers to the item ${named}, but no item is kept here: send the item itself`, at)
  }
  throw badRequest(`${at}: items of the type ${JSON.stringify(type)?.slice(0, 50)} are not supported`, at)
}

const OUTPUTS: readonly unknown[] = ['function_call_output', 'custom_tool_call_output', 'local_shell_call_output']
const TEXT_TYPES: readonly unknown[] = ['input_text', 'output_text', 'text']

function textOf(content: unknown, at: string): string {
  if (typeof content === 'string') return content
  if (!Array.isArray(content)) throw badRequest(`${at}: expected a string or a list of parts`, at)
  const texts = content.map((part: Item | null, i) => {
    const { type, text, refusal } = part ?? {}
    if (type === 'refusal' && typeof refusal === 'string') return refusal
    if (TEXT_TYPES.includes(type) && typeof text === 'string') return text
    throw badRequest(`${at}.${i}: parts of the type ${JSON.stringify(type)?.slice(0, 50)} are not supported, expected a text`, `${at}.${i}`)
  })
  return texts.join('')
}
