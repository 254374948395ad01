// A prompt of the AI SDK as the messages of a chat. Results of tools are messages of their own, also those that another
// provider has put into the assistant's. What has no meaning to the model is left out with a warning.

import type { LanguageModelV3Message, LanguageModelV3Prompt, LanguageModelV3ToolResultPart } from '@ai-sdk/provider'
import type { ChatMessage, TextPart } from '../../../text/chat/chatMessages.js'
import type { ToolCall } from '../../../text/tools/toolCalls.js'
import { unsupportedPart } from './callError.js'

type Of<Role> = Extract<LanguageModelV3Message, { readonly role: Role }>['content']

/**
 * `leaves` is told what is left out. Throws `UNSUPPORTED` for files that are no texts: a prompt without its image asks
 * for something else.
 */
export function chatMessages(prompt: LanguageModelV3Prompt, leaves: (what: string) => void): ChatMessage[] {
  return prompt.flatMap(({ role, content }): ChatMessage[] => {
    if (role === 'system') return [{ role, content }]
    if (role === 'user') return [{ role, content: content.map(textPart) }]
    if (role === 'assistant') return assistantMessages(content, leaves)
    return toolMessages(content, leaves)
  })
}

function textPart(part: Of<'user'>[number]): TextPart {
  if (part.type === 'text') return { type: 'text', text: part.text }
  return { type: 'text', text: fileText(part.mediaType, part.data) ?? refuse(`a file of the type ${part.mediaType}`) }
}

function refuse(what: string): never {
  throw unsupportedPart(what)
}

/** What a file says; undefined for one that is no text, or is not here: the SDK loads those of other machines. */
function fileText(mediaType: string, data: string | Uint8Array | URL): string | undefined {
  if (!/^text\//i.test(mediaType) || data instanceof URL) return undefined
  return new TextDecoder().decode(typeof data === 'string' ? Buffer.from(data, 'base64') : data)
}

/**
 * What a call was made with. The SDK keeps what another model has written, be it no JSON at all: the conversation goes
 * on without it, and the result says what was wrong.
 */
function argumentsText(input: unknown, leaves: () => void): string {
  const given = typeof input === 'string' ? parsed(input) : (input ?? {})
  if (typeof given === 'object' && given !== null && !Array.isArray(given)) return JSON.stringify(given)
  leaves()
  return '{}'
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** What the assistant has said and asked for; behind results, it goes on in another message. */
function assistantMessages(parts: Of<'assistant'>, leaves: (what: string) => void): ChatMessage[] {
  const messages: ChatMessage[] = []
  let texts: string[] = []
  let calls: ToolCall[] = []
  const flush = () => {
    if (texts.length + calls.length === 0) return
    messages.push({ role: 'assistant', content: texts.join(''), ...(calls.length > 0 && { tool_calls: calls }) })
    texts = []
    calls = []
  }
  for (const part of parts) {
    if (part.type === 'text') texts.push(part.text)
    else if (part.type === 'reasoning') leaves('reasoning in the prompt')
    else if (part.type === 'tool-call') {
      const { toolCallId: id, toolName: name, input } = part
      const text = argumentsText(input, () => leaves(`the input of a call of ${name} that is no object`))
      calls.push({ id, type: 'function', function: { name, arguments: text } })
    } else if (part.type === 'tool-result') {
      flush()
      messages.push(toolMessage(part))
    } else throw unsupportedPart(`a file of the type ${part.mediaType}`)
  }
  if (messages.length === 0 && texts.length + calls.length === 0) texts.push('')
  flush()
  return messages
}

function toolMessages(parts: Of<'tool'>, leaves: (what: string) => void): ChatMessage[] {
  return parts.flatMap((part) => {
    if (part.type === 'tool-result') return [toolMessage(part)]
    leaves('answers to requests for approval')
    return []
  })
}

function toolMessage({ toolCallId, toolName, output }: LanguageModelV3ToolResultPart): ChatMessage {
  return { role: 'tool', tool_call_id: toolCallId, name: toolName, content: resultText(output) }
}

function resultText(output: LanguageModelV3ToolResultPart['output']): string {
  switch (output.type) {
    case 'text':
    case 'error-text':
      return output.value
    case 'json':
    case 'error-json':
      return JSON.stringify(output.value ?? null)
    case 'execution-denied':
      return output.reason ?? 'The execution of the tool was denied.'
    case 'content':
      return output.value
        .map((part) => {
          if (part.type === 'text') return part.text
          const text = part.type === 'file-data' ? fileText(part.mediaType, part.data) : undefined
          return text ?? refuse(`a part of the type ${part.type} in the result of a tool`)
        })
        .join('')
  }
}
