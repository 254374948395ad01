// POST /v1/messages and /v1/messages/count_tokens: Anthropic's messages become a chat of the library. Texts and tools;
// what asks for more than this model can do is left out where an answer without it is a whole one, or refused by name.

import { z } from 'zod'
import { inSlices } from '../../../base/timeSlice.js'
import type { ChatMessage } from '../../../text/chat/chatMessages.js'
import type { ChatOptions } from '../../../text/generate/generationOptions.js'
import { templateSteps } from '../../../text/generate/mixtralModel.js'
import type { ToolChoice, ToolDefinition } from '../../../text/tools/toolDefinitions.js'
import { badRequest, unsupported } from '../apiError.js'
import { rootedSchema } from '../openai/constraints.js'
import { MOST_STOPS, openaiNames, openaiOptions, stopsOf } from '../openai/options.js'
import { checkModel } from '../openai/wire.js'
import { checkAsked } from '../security/asked.js'
import { checked } from '../security/body.js'
import { boundedList, MOST_MESSAGES, record } from '../security/fields.js'
import { type AskedModel, NO_MODEL, type ServedModel } from '../servedModel.js'
import type { AnswerRun } from '../streams/answerRuns.js'
import { type Answering, respond } from '../streams/respond.js'
import { resumable } from '../streams/resuming.js'
import { chatMessages } from './conversation.js'
import { MessagesWire } from './wire.js'

/** Blocks of one message. */
const MOST_BLOCKS = 1024

const blocks = boundedList(record, MOST_BLOCKS)
const message = z.object({ role: z.enum(['user', 'assistant', 'system']), content: z.union([z.string(), blocks]) })
const tool = z.object({
  type: z.string().nullish(),
  name: z.string().nullish(),
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
  // no thinking is written, whatever is asked for
  thinking: z.object({ type: z.enum(['adaptive', 'enabled', 'disabled']) }).nullish(),
  output_config: z.object({ format: record.nullish() }).nullish(),
  /** The name that `output_config.format` had before. */
  output_format: record.nullish(),
  // what to forget of a conversation when it gets long: all of it is read, or refused as too long
  context_management: record.nullish(),
}
export const countFields = z.object(prompt)
export const messageFields = z.object({
  ...prompt,
  max_tokens: z.int().min(1).nullish(),
  stop_sequences: boundedList(z.string(), MOST_STOPS).nullish(),
  stream: z.boolean().nullish(),
  container: z.unknown().optional(),
  mcp_servers: z.unknown().optional(),
})

type Fields = z.infer<typeof countFields>

const NAMES = [
  ['stop', 'stop_sequences'],
  ['jsonSchema', 'output_config.format'],
] as const

/** Answers a request. Throws an ApiError, or a MixtralError, for what is wrong with it. */
export async function createMessage(body: Record<string, unknown>, served: ServedModel, answering: Answering): Promise<Response> {
  const stream = await resumable('message', body, served, answering)
  const { request, messages, options: given, wireNames } = readMessage(body, served)
  const options = { ...given, ...(stream && { seed: stream.origin.seed }) }
  checkModel(request.model, served)
  const { model } = served
  // only a stream tells them before the answer
  const inputTokens = request.stream ? await countOf(messages, options, served, answering) : 0
  const wire = new MessagesWire(served, inputTokens, answering.exchange.id, wireNames, stream?.origin)
  const runs: AnswerRun[] = [(call) => model.streamChat(messages, { ...options, ...call })]
  return respond(runs, stream?.wire(wire, 1) ?? wire, request.stream ?? false, answering)
}

/** Throws an ApiError for what is wrong with a request, whatever its model is. */
export function checkMessage(body: Record<string, unknown>): void {
  const { messages, options, wireNames } = readMessage(body, NO_MODEL)
  checkAsked(options, wireNames, messages)
}

function readMessage(body: Record<string, unknown>, model: AskedModel) {
  const request = checked(messageFields, body)
  for (const name of ['container', 'mcp_servers'] as const) {
    const value = request[name]
    const asksNothing = value === undefined || value === null || (typeof value === 'object' && Object.keys(value).length === 0)
    if (!asksNothing) throw unsupported(`${name} is not supported`, name)
  }
  const { max_tokens: most, stop_sequences: stops } = request
  const { stop, ...others } = openaiOptions(body, model)
  const options: ChatOptions = {
    ...others,
    ...(stops ? { stop: stopsOf(stops) } : stop !== undefined && { stop }),
    ...(most && { maxNewTokens: most }),
    ...schemaOf(request),
    ...toolsOf(request),
  }
  return { request, messages: chatMessages(request), options, wireNames: openaiNames(body, NAMES) }
}

/** Throws an ApiError, or a MixtralError, for what is wrong with the request. */
export async function countTokens(body: Record<string, unknown>, served: ServedModel, answering: Answering): Promise<object> {
  const { request, messages, tools } = readCount(body)
  checkModel(request.model, served)
  return { input_tokens: await countOf(messages, tools, served, answering) }
}

/** Throws an ApiError for what is wrong with a request, whatever its model is. */
export function checkCount(body: Record<string, unknown>): void {
  const { messages, tools } = readCount(body)
  checkAsked(tools, openaiNames(body, NAMES), messages)
}

function readCount(body: Record<string, unknown>) {
  const request = checked(countFields, body)
  schemaOf(request)
  const { tools } = toolsOf(request)
  return { request, messages: chatMessages(request), tools: tools ? { tools } : {} }
}

async function countOf(
  messages: readonly ChatMessage[],
  { tools = [] }: ChatOptions,
  { model }: ServedModel,
  { exchange }: Answering,
): Promise<number> {
  return (await inSlices(templateSteps(model, messages, { tools }), exchange.signal)).ids.length
}

function toolsOf({ tools, tool_choice: choice }: Fields): Pick<ChatOptions, 'tools' | 'toolChoice' | 'parallelToolCalls'> {
  // the others run on Anthropic's servers, or are known to its models alone
  const definitions = tools?.flatMap(({ type, name, description, input_schema: parameters, strict }, i): ToolDefinition[] => {
    if (type && type !== 'custom') return []
    if (!name) throw badRequest(`tools.${i}.name is missing`, `tools.${i}.name`)
    const more = { ...(description && { description }), ...(parameters && { parameters }), strict: strict ?? false }
    return [{ type: 'function', function: { name, ...more } }]
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

function schemaOf({ output_config: config, output_format: older }: Fields): Pick<ChatOptions, 'jsonSchema'> {
  const [format, at] = config?.format ? [config.format, 'output_config.format'] : [older, 'output_format']
  if (!format) return {}
  const { type, schema } = format
  if (type === 'json_schema' && typeof schema === 'object' && schema !== null) return { jsonSchema: rootedSchema(schema) }
  throw badRequest(`${at}: expected a type json_schema with a schema`, at)
}
