// POST /v1/responses: OpenAI's newer API, without what it keeps on its servers. Texts and functions. Other tools are
// left out, as llama-server does; the rest is refused by name. With `truncation: auto`, a conversation that does not
// fit loses its oldest turns.

import { inSlices, type Steps } from '../../../base/timeSlice.js'
import type { ChatMessage } from '../../../text/chat/chatMessages.js'
import type { ChatOptions } from '../../../text/generate/generationOptions.js'
import { templateSteps } from '../../../text/generate/mixtralModel.js'
import type { ToolDefinition } from '../../../text/tools/toolDefinitions.js'
import { badRequest, unsupported } from '../apiError.js'
import { allowedTools } from '../openai/allowedTools.js'
import { rootedSchema } from '../openai/constraints.js'
import { openaiNames, openaiOptions } from '../openai/options.js'
import { checkModel } from '../openai/wire.js'
import { checkAsked } from '../security/asked.js'
import { checked } from '../security/body.js'
import { type AskedModel, NO_MODEL, type ServedModel } from '../servedModel.js'
import type { AnswerRun } from '../streams/answerRuns.js'
import { type Answering, respond } from '../streams/respond.js'
import { resumable } from '../streams/resuming.js'
import { type ResponseRequest, responseFields } from './fields.js'
import { messagesOf } from './items.js'
import { ResponsesWire } from './wire.js'

const NAMES = [
  ['maxNewTokens', 'max_output_tokens'],
  ['jsonSchema', 'text.format'],
] as const

/** Answers a request. Throws an ApiError, or a MixtralError, for what is wrong with it. */
export async function createResponse(body: Record<string, unknown>, served: ServedModel, answering: Answering): Promise<Response> {
  const stream = await resumable('response', body, served, answering)
  const { request, options: given, messages: whole, wireNames } = readResponse(body, served)
  const options = { ...given, ...(stream && { seed: stream.origin.seed }) }
  checkModel(request.model, served)
  const { model } = served
  const shorter = () => inSlices(truncated(whole, options.tools ?? [], served, request.max_output_tokens), answering.exchange.signal)
  const messages = request.truncation === 'auto' ? await shorter() : whole
  const { temperature = 1, topP = 1 } = options
  const wire = new ResponsesWire(served, request, { temperature, topP, wireNames, origin: stream?.origin })
  const runs: AnswerRun[] = [(call) => model.streamChat(messages, { ...options, ...call })]
  return respond(runs, stream?.wire(wire, 1) ?? wire, request.stream ?? false, answering)
}

/** Throws an ApiError for what is wrong with a request, whatever its model is. */
export function checkResponse(body: Record<string, unknown>): void {
  const { options, messages, wireNames } = readResponse(body, NO_MODEL)
  checkAsked(options, wireNames, messages)
}

function readResponse(body: Record<string, unknown>, model: AskedModel) {
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
    const more = { ...(description && { description }), ...(parameters && { parameters }), strict: strict ?? false }
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

/**
 * The newest turns that leave room for an answer: for `most` tokens, or a quarter of the context. What fits stays
 * whole; system messages and the last turn always do. Turns begin with the user, so that no result of a call is left
 * without its call. Throws what applying the template throws.
 */
function* truncated(
  messages: readonly ChatMessage[],
  tools: readonly ToolDefinition[],
  { model }: ServedModel,
  most: number | null | undefined,
): Steps<readonly ChatMessage[]> {
  const { contextLength } = model
  function* tokensOf(some: readonly ChatMessage[]): Steps<number> {
    yield
    return (yield* templateSteps(model, some, { tools })).ids.length
  }
  if ((yield* tokensOf(messages)) < contextLength) return messages
  const room = Math.min(most ?? Math.ceil(contextLength / 4), Math.ceil(contextLength / 2))
  const turns = messages.flatMap(({ role }, i) => (role === 'user' ? [i] : []))
  const from = (turn: number) => messages.filter(({ role }, i) => isSystem(role) || i >= (turns[turn] ?? 0))
  let [least, last] = [0, Math.max(0, turns.length - 1)] // of all cuts that fit, the first: a few looks, however long it is
  while (least < last) {
    const middle = Math.floor((least + last) / 2)
    if ((yield* tokensOf(from(middle))) + room <= contextLength) last = middle
    else least = middle + 1
  }
  return from(least)
}

function isSystem(role: ChatMessage['role']): boolean {
  return role === 'system' || role === 'developer'
}
