// POST /v1/responses: OpenAI's newer API, without what it keeps on its servers. Texts and functions. Other tools are
// left out, as llama-server does; the rest is refused by name.

import { inSlices } from '../../../base/timeSlice.js'
import type { ChatOptions } from '../../../text/generate/chatOptions.js'
import type { ToolDefinition } from '../../../text/tools/toolDefinitions.js'
import { badRequest, unsupported } from '../apiError.js'
import { allowedTools } from '../openai/allowedTools.js'
import { rootedSchema } from '../openai/constraints.js'
import { openaiNames, openaiOptions } from '../openai/options.js'
import { checkModel } from '../openai/wire.js'
import { checked } from '../security/body.js'
import { checkAsked } from '../security/checkAsked.js'
import { NO_MODEL, type ServedModel } from '../servedModel.js'
import { type Answering, respond } from '../streams/respond.js'
import { type ResponseRequest, responseFields } from './fields.js'
import { messagesOf } from './items.js'
import { truncated } from './truncation.js'
import { ResponsesWire } from './wire.js'

const NAMES = [
  ['maxNewTokens', 'max_output_tokens'],
  ['jsonSchema', 'text.format'],
] as const

/** Answers a request. Throws an ApiError, or a MixtralError, for what is wrong with it. */
export async function createResponse(body: Record<string, unknown>, served: ServedModel, answering: Answering): Promise<Response> {
  const { request, options, messages: whole, wireNames } = readResponse(body, served)
  checkModel(request.model, served)
  const { model } = served
  const shorter = () => inSlices(truncated(whole, options.tools ?? [], served, request.max_output_tokens), answering.exchange.signal)
  const messages = request.truncation === 'auto' ? await shorter() : whole
  const { temperature = 1, topP = 1 } = options
  const wire = new ResponsesWire(served, request, { temperature, topP, wireNames })
  return respond([(call) => model.streamChat(messages, { ...options, ...call })], wire, request.stream ?? false, answering)
}

/** Throws an ApiError for what is wrong with a request, whatever its model is. */
export function checkResponse(body: Record<string, unknown>): void {
  const { options, messages, wireNames } = readResponse(body, NO_MODEL)
  checkAsked(options, wireNames, messages)
}

function readResponse(body: Record<string, unknown>, model: Pick<ServedModel, 'defaults'>) {
  const asked = checked(responseFields, isProbe(body) ? { ...body, input: '' } : body)
  const request = { ...asked, tools: asked.tools?.filter(({ type }) => type === 'function') }
  for (const name of ['previous_response_id', 'conversation'] as const) {
    if (request[name]) throw badRequest(`${name} is given, but no response is kept here: send the whole conversation as input`, name)
  }
  if (request.background) throw unsupported('background is not supported', 'background')
  if (request.prompt) throw unsupported('prompt is not supported: send instructions and input', 'prompt')
  const reports = request.include?.includes('message.output_text.logprobs') || request.top_logprobs
  const options: ChatOptions = {
    ...openaiOptions(body, model),
    ...(request.max_output_tokens && { maxNewTokens: request.max_output_tokens }),
    ...(reports && { logprobs: request.top_logprobs ?? 0 }),
    ...schemaOf(request),
    ...toolsOf(asked),
  }
  return { request, options, messages: messagesOf(request.input, request.instructions), wireNames: openaiNames(body, NAMES) }
}

/** Clients that look whether a server is there send no input, and want one token. */
function isProbe({ input, max_output_tokens: most }: Record<string, unknown>): boolean {
  return Array.isArray(input) && input.length === 0 && most === 1
}

function toolsOf({ tools, tool_choice: given, parallel_tool_calls: parallel }: ResponseRequest): ChatOptions {
  const definitions = tools?.flatMap(({ type, name, description, parameters, strict }, i): ToolDefinition[] => {
    if (type !== 'function') return []
    if (!name) throw badRequest(`tools.${i}.name is missing`, `tools.${i}.name`)
    const more = { ...(description && { description }), ...(parameters && { parameters }), ...(strict && { strict }) }
    return [{ type, function: { name, ...more } }]
  })
  const { tools: left, choice } = allowedTools({ tools: definitions, choice: given }, (tool) => tool.function.name)
  const { type, name } = (typeof choice === 'object' && choice ? choice : {}) as { readonly type?: string; readonly name?: string }
  const named = type === undefined ? choice : { type, function: { name } }
  return {
    ...(left && { tools: left }),
    // a choice that is none is the library's to refuse
    ...(named !== undefined && named !== null && { toolChoice: named as NonNullable<ChatOptions['toolChoice']> }),
    ...(parallel !== undefined && parallel !== null && { parallelToolCalls: parallel }),
  }
}

function schemaOf({ text }: ResponseRequest): ChatOptions {
  const format = text?.format
  if (!format || format.type === 'text') return {}
  if (format.type === 'json_object') return { jsonSchema: { type: 'object' } }
  if (format.type === 'json_schema' && typeof format.schema === 'object' && format.schema !== null)
    return { jsonSchema: rootedSchema(format.schema) }
  throw badRequest('text.format: expected the type text, json_object, or json_schema with a schema', 'text.format')
}
