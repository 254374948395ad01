// POST /v1/responses: OpenAI's newer API, without what it keeps on its servers. Texts and functions; the rest is
// refused by name.

import type { ChatOptions } from '../../../text/generate/chatOptions.js'
import type { ToolDefinition } from '../../../text/tools/toolDefinitions.js'
import { badRequest, unsupported } from '../apiError.js'
import { rootedSchema } from '../openai/constraints.js'
import { openaiNames, openaiOptions } from '../openai/options.js'
import { checkModel } from '../openai/wire.js'
import { checked } from '../security/body.js'
import type { ServedModel } from '../servedModel.js'
import { type Answering, respond } from '../streams/respond.js'
import { type ResponseRequest, responseFields } from './fields.js'
import { messagesOf } from './items.js'
import { ResponsesWire } from './wire.js'

const NAMES = [
  ['maxNewTokens', 'max_output_tokens'],
  ['jsonSchema', 'text.format'],
] as const

/** Answers a request. Throws an ApiError, or a MixtralError, for what is wrong with it. */
export async function createResponse(body: Record<string, unknown>, served: ServedModel, answering: Answering): Promise<Response> {
  const request = checked(responseFields, body)
  checkModel(request.model, served)
  for (const name of ['previous_response_id', 'conversation'] as const) {
    if (request[name]) throw badRequest(`${name} is given, but no response is kept here: send the whole conversation as input`, name)
  }
  if (request.background) throw unsupported('background is not supported', 'background')
  if (request.prompt) throw unsupported('prompt is not supported: send instructions and input', 'prompt')
  if ((request.truncation ?? 'disabled') !== 'disabled') throw unsupported('truncation is not supported', 'truncation')
  const { model } = served
  const messages = messagesOf(request.input, request.instructions)
  const reports = request.include?.includes('message.output_text.logprobs') || request.top_logprobs
  const options: ChatOptions = {
    ...openaiOptions(body, served),
    ...(request.max_output_tokens && { maxNewTokens: request.max_output_tokens }),
    ...(reports && { logprobs: request.top_logprobs ?? 0 }),
    ...schemaOf(request),
    ...toolsOf(request),
  }
  const { temperature = 1, topP = 1 } = options
  const wire = new ResponsesWire(served, request, { temperature, topP, wireNames: openaiNames(body, NAMES) })
  return respond([(call) => model.streamChat(messages, { ...options, ...call })], wire, request.stream ?? false, answering)
}

function toolsOf({ tools, tool_choice: choice, parallel_tool_calls: parallel }: ResponseRequest): ChatOptions {
  const definitions = tools?.map(({ type, name, description, parameters, strict }, i): ToolDefinition => {
    if (type !== 'function') throw unsupported(`tools of the type ${JSON.stringify(type.slice(0, 50))} are not supported`, `tools.${i}`)
    if (!name) throw badRequest(`tools.${i}.name is missing`, `tools.${i}.name`)
    return { type, function: { name, ...(description && { description }), ...(parameters && { parameters }), ...(strict && { strict }) } }
  })
  const named = typeof choice === 'object' && choice ? { type: choice.type, function: { name: choice.name } } : choice
  return {
    ...(definitions && { tools: definitions }),
    // a choice that is none is the library's to refuse
    ...(named && { toolChoice: named as NonNullable<ChatOptions['toolChoice']> }),
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
