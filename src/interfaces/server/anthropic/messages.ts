// POST /v1/messages and /v1/messages/count_tokens: Anthropic's messages become a chat of the library. Texts and tools;
// what else the API has is refused by name.

import { z } from 'zod'
import type { ChatMessage } from '../../../text/chat/chatMessages.js'
import type { ChatOptions } from '../../../text/generate/chatOptions.js'
import type { ToolChoice, ToolDefinition } from '../../../text/tools/toolDefinitions.js'
import { badRequest, unsupported } from '../apiError.js'
import { rootedSchema } from '../openai/constraints.js'
import { MOST_STOPS, openaiNames, openaiOptions, stopsOf } from '../openai/options.js'
import { checkModel } from '../openai/wire.js'
import { checked } from '../security/body.js'
import { boundedList, MOST_MESSAGES, record } from '../security/fields.js'
import type { ServedModel } from '../servedModel.js'
import { type Answering, respond } from '../streams/respond.js'
import { MessagesWire } from './wire.js'

/** Blocks of one message. */
const MOST_BLOCKS = 1024

const blocks = boundedList(record, MOST_BLOCKS)
const message = z.object({ role: z.enum(['user', 'assistant']), content: z.union([z.string(), blocks]) })
const tool = z.object({
  type: z.string().nullish(),
  name: z.string(),
  description: z.string().nullish(),
  input_schema: record.nullish(),
  strict: z.boolean().nullish(),
})
const prompt = {
  model: z.string().nullish(),
  messages: boundedList(message, MOST_MESSAGES, 1),
  system: z.union([z.string(), blocks]).nullish(),
  tools: boundedList(tool, MOST_BLOCKS).nullish(),
  tool_choice: z
    .object({
      type: z.enum(['auto', 'any', 'none', 'tool']),
      name: z.string().nullish(),
      disable_parallel_tool_use: z.boolean().nullish(),
    })
    .nullish(),
  thinking: z.object({ type: z.string() }).nullish(),
}
export const countFields = z.object(prompt)
export const messageFields = z.object({
  ...prompt,
  max_tokens: z.int().min(1).nullish(),
  stop_sequences: boundedList(z.string(), MOST_STOPS).nullish(),
  stream: z.boolean().nullish(),
  output_config: z.object({ format: z.unknown() }).nullish(),
  container: z.unknown().optional(),
  mcp_servers: z.unknown().optional(),
  context_management: z.unknown().optional(),
})

type Fields = z.infer<typeof countFields>

const NAMES = [
  ['stop', 'stop_sequences'],
  ['jsonSchema', 'output_config.format'],
] as const

/** Answers a request. Throws an ApiError, or a MixtralError, for what is wrong with it. */
export async function createMessage(body: Record<string, unknown>, served: ServedModel, answering: Answering): Promise<Response> {
  const request = checked(messageFields, body)
  checkRequest(request, served)
  for (const name of ['container', 'mcp_servers', 'context_management'] as const) {
    const value = request[name]
    const asksNothing = value === undefined || value === null || (typeof value === 'object' && Object.keys(value).length === 0)
    if (!asksNothing) throw unsupported(`${name} is not supported`, name)
  }
  const { model } = served
  const messages = chatMessages(request)
  const { max_tokens: most, stop_sequences: stops, stream } = request
  const { stop, ...others } = openaiOptions(body, served)
  const options: ChatOptions = {
    ...others,
    ...(stops ? { stop: stopsOf(stops) } : stop !== undefined && { stop }),
    ...(most && { maxNewTokens: most }),
    ...schemaOf(request.output_config?.format),
    ...toolsOf(request),
  }
  // only a stream tells them before the answer
  const inputTokens = stream ? model.applyChatTemplate(messages, { tools: options.tools ?? [] }).ids.length : 0
  const wire = new MessagesWire(served, inputTokens, answering.exchange.id, openaiNames(body, NAMES))
  return respond([(call) => model.streamChat(messages, { ...options, ...call })], wire, stream ?? false, answering)
}

/** Throws an ApiError, or a MixtralError, for what is wrong with the request. */
export function countTokens(body: Record<string, unknown>, served: ServedModel): object {
  const request = checked(countFields, body)
  checkRequest(request, served)
  const { tools = [] } = toolsOf(request)
  return { input_tokens: served.model.applyChatTemplate(chatMessages(request), { tools }).ids.length }
}

function checkRequest({ model, thinking }: Fields, served: ServedModel): void {
  checkModel(model, served)
  if (thinking && thinking.type !== 'disabled') throw unsupported('thinking is not supported', 'thinking')
}

function toolsOf({ tools, tool_choice: choice }: Fields): Pick<ChatOptions, 'tools' | 'toolChoice' | 'parallelToolCalls'> {
  const definitions = tools?.map(({ type, name, description, input_schema: parameters, strict }, i): ToolDefinition => {
    if (type && type !== 'custom')
      throw unsupported(`tools of the type ${JSON.stringify(type.slice(0, 50))} are not supported`, `tools.${i}`)
    return {
      type: 'function',
      function: { name, ...(description && { description }), ...(parameters && { parameters }), ...(strict && { strict }) },
    }
  })
  const wanted = choice && toolChoice(choice.type, choice.name)
  return {
    ...(definitions && { tools: definitions }),
    ...(wanted && { toolChoice: wanted }),
    ...(choice?.disable_parallel_tool_use && { parallelToolCalls: false }),
  }
}

function toolChoice(type: 'auto' | 'any' | 'none' | 'tool', name: string | null | undefined): ToolChoice {
  if (type === 'any') return 'required'
  if (type !== 'tool') return type
  if (!name) throw badRequest('tool_choice.name is missing', 'tool_choice.name')
  return { type: 'function', function: { name } }
}

function schemaOf(format: unknown): Pick<ChatOptions, 'jsonSchema'> {
  if (format === undefined || format === null) return {}
  const { type, schema } = format as { type?: unknown; schema?: unknown }
  if (type === 'json_schema' && typeof schema === 'object' && schema !== null) return { jsonSchema: rootedSchema(schema) }
  throw badRequest('output_config.format: expected a type json_schema with a schema', 'output_config.format')
}

/** The conversation in the library's form: results of calls are messages of their own, before the user's text. */
function chatMessages({ system, messages }: Fields): ChatMessage[] {
  const said = messages.flatMap(({ role, content }, i): ChatMessage[] => {
    const at = `messages.${i}.content`
    if (typeof content === 'string') return [{ role, content }]
    return role === 'user' ? userMessages(content, at) : [assistantMessage(content, at)]
  })
  const instructions = system ? textOf(system, 'system') : ''
  return instructions ? [{ role: 'system', content: instructions }, ...said] : said
}

type Block = Record<string, unknown>

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
  const text = content.map((block, i) => (block.type === 'tool_use' ? '' : blockText(block, `${at}.${i}`))).join('')
  return calls.length > 0 ? { role: 'assistant', content: text || null, tool_calls: calls } : { role: 'assistant', content: text }
}

/** A text, or blocks of text that are joined. */
function textOf(content: unknown, at: string): string {
  if (typeof content === 'string') return content
  if (!Array.isArray(content)) throw badRequest(`${at}: expected a string or a list of blocks`, at)
  return content.map((block, i) => blockText(block, `${at}.${i}`)).join('')
}

function blockText(block: unknown, at: string): string {
  const { type, text } = (block ?? {}) as Block
  if (type === 'text' && typeof text === 'string') return text
  if (type === 'text') throw badRequest(`${at}.text: expected a string`, `${at}.text`)
  throw badRequest(`${at}: blocks of the type ${JSON.stringify(type)?.slice(0, 50)} are not supported, expected text`, at)
}
