// LangChain's messages as those of a chat, and copies of them: a call is to answer what its messages were when it was
// made.

import type { AIMessage, BaseMessage, ToolMessage } from '@langchain/core/messages'
import type { ChatMessage, TextPart } from '../../../text/chat/chatMessages.js'

type Block = Readonly<Record<string, unknown>>

/** LangChain's words for roles. Others, such as `function`, stay, and are refused by the chat. */
const ROLES: Readonly<Record<string, string>> = { human: 'user', ai: 'assistant' }

/**
 * Blocks of an assistant's message that say nothing to the model: calls, which have their own place, and the thoughts
 * of others.
 */
const UNSAID = /^(tool_use|tool_call|tool_call_chunk|input_json_delta|function_call|reasoning|thinking|redacted_thinking)$/

/** The conversation in the library's form. The library refuses blocks that are no texts, and says where they are. */
export function chatMessages(messages: readonly BaseMessage[]): ChatMessage[] {
  return messages.map((message) => {
    const { type, content } = message
    if (type === 'ai') return assistantMessage(message as AIMessage)
    if (type === 'tool') {
      const { tool_call_id, name } = message as ToolMessage
      return { role: 'tool', tool_call_id, content: textOf(content), ...(name !== undefined && { name }) }
    }
    const role = type === 'generic' ? (message as BaseMessage & { role: string }).role : (ROLES[type] ?? type)
    return { role, content: textOf(content) }
  })
}

function assistantMessage({ content, tool_calls: calls = [] }: AIMessage): ChatMessage {
  const said = Array.isArray(content) ? content.filter(({ type }) => !UNSAID.test(String(type))) : content
  if (calls.length === 0) return { role: 'assistant', content: textOf(said) }
  const toolCalls = calls.map(({ id = '', name, args }) => {
    return { id, type: 'function' as const, function: { name, arguments: JSON.stringify(args ?? {}) } }
  })
  return { role: 'assistant', content: textOf(said), tool_calls: toolCalls }
}

/** A text, or its parts as the chat takes them: without what caches and providers have written beside the text. */
function textOf(content: BaseMessage['content']): string | TextPart[] {
  if (!Array.isArray(content)) return content
  const parts: unknown[] = content.map((block) => (block.type === 'text' ? { type: 'text', text: (block as Block).text } : block))
  return parts as TextPart[] // the chat checks them
}

/** A message of its own, with all that `chatMessages` reads. */
export function copiedMessage<Message>(message: Message): Message {
  if (typeof message !== 'object' || message === null || Array.isArray(message)) return message
  const copy = Object.assign(Object.create(Object.getPrototypeOf(message)), message)
  const { content, tool_calls: calls } = message as { content?: unknown; tool_calls?: unknown }
  if (Array.isArray(content)) copy.content = content.map((block: object) => ({ ...block }))
  if (Array.isArray(calls)) copy.tool_calls = structuredClone(calls)
  return copy
}
