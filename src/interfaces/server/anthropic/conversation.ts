// The conversation of a request of Anthropic's API, as the messages of a chat. Of blocks, texts and the calls of
// functions are read. Thoughts, and what Anthropic's servers have done, are left out of what the assistant has said.

import type { ChatMessage } from '../../../text/chat/chatMessages.js'
import { badRequest } from '../apiError.js'

type Block = Record<string, unknown>

interface Conversation {
  readonly system?: string | readonly Block[] | null | undefined
  readonly messages: readonly { readonly role: 'user' | 'assistant' | 'system'; readonly content: string | readonly Block[] }[]
}

/**
 * The conversation in the library's form: results of calls are messages of their own, before the user's text. Throws an
 * ApiError 400 for a block that is none of the API or cannot be read.
 */
export function chatMessages({ system, messages }: Conversation): ChatMessage[] {
  const said = messages.flatMap(({ role, content }, i): ChatMessage[] => {
    const at = `messages.${i}.content`
    if (typeof content === 'string') return [{ role, content }]
    if (role === 'system') return [{ role, content: textOf(content, at) }]
    return role === 'user' ? userMessages(content, at) : [assistantMessage(content, at)]
  })
  const instructions = system ? textOf(system, 'system') : ''
  return instructions ? [{ role: 'system', content: instructions }, ...said] : said
}

function userMessages(content: readonly Block[], at: string): ChatMessage[] {
  const results: ChatMessage[] = []
  const texts: string[] = []
  for (const [i, block] of content.entries()) {
    if (block.type === 'tool_result') results.push(toolMessage(block, `${at}.${i}`))
    else texts.push(blockText(block, `${at}.${i}`))
  }
  if (texts.length === 0 && results.length > 0) return results
  return [...results, { role: 'user', content: texts.join('') }]
}

function toolMessage({ tool_use_id: id, content }: Block, at: string): ChatMessage {
  if (typeof id !== 'string') throw badRequest(`${at}.tool_use_id: expected a string`, `${at}.tool_use_id`)
  return { role: 'tool', tool_call_id: id, content: content === undefined || content === null ? '' : textOf(content, `${at}.content`) }
}

function assistantMessage(content: readonly Block[], at: string): ChatMessage {
  const calls = content.flatMap((block, i) => {
    if (block.type !== 'tool_use') return []
    const { id, name, input } = block
    if (typeof id !== 'string' || typeof name !== 'string' || typeof input !== 'object' || input === null) {
      throw badRequest(`${at}.${i}: expected an id, a name and an object as input`, `${at}.${i}`)
    }
    return [{ id, type: 'function' as const, function: { name, arguments: JSON.stringify(input) } }]
  })
  const text = content.map((block, i) => (isUnsaid(block) ? '' : blockText(block, `${at}.${i}`))).join('')
  return calls.length > 0 ? { role: 'assistant', content: text || null, tool_calls: calls } : { role: 'assistant', content: text }
}

/** Calls have their own place; the rest is of models that think, and of tools that run on Anthropic's servers. */
function isUnsaid({ type }: Block): boolean {
  return /^(tool_use|thinking|redacted_thinking|server_tool_use|mcp_tool_use|\w+_tool_result)$/.test(String(type))
}

/** A text, or blocks of text that are joined. */
function textOf(content: unknown, at: string): string {
  if (typeof content === 'string') return content
  if (!Array.isArray(content)) throw badRequest(`${at}: expected a string or a list of blocks`, at)
  return content.map((block, i) => blockText(block, `${at}.${i}`)).join('')
}

function blockText(block: unknown, at: string): string {
  const { type, text, tool_name: found } = (block ?? {}) as Block
  if (type === 'text' && typeof text === 'string') return text
  if (type === 'tool_reference' && typeof found === 'string') return `${found}\n` // what a search for tools has found
  if (type === 'text') throw badRequest(`${at}.text: expected a string`, `${at}.text`)
  throw badRequest(`${at}: blocks of the type ${JSON.stringify(type)?.slice(0, 50)} are not supported, expected text`, at)
}
