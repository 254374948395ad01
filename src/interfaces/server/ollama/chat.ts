// POST /api/chat and /api/generate: requests of Ollama's API become chats, or raw prompts, of the library.

import { z } from 'zod'
import type { ChatMessage } from '../../../text/chat/chatMessages.js'
import type { ChatOptions } from '../../../text/generate/generationOptions.js'
import { badRequest, unsupported } from '../apiError.js'
import { toolsWithStrictness } from '../openai/allowedTools.js'
import { checkAsked } from '../security/asked.js'
import { checked } from '../security/body.js'
import { boundedList, MOST_CALLS, MOST_MESSAGES, record } from '../security/fields.js'
import { NO_MODEL, type ServedModel } from '../servedModel.js'
import type { AnswerRun } from '../streams/answerRuns.js'
import { type Answering, respond } from '../streams/respond.js'
import { keepAliveSeconds } from './keepAlive.js'
import { checkOllamaModel, commonFields, OLLAMA_NAMES, ollamaOptions } from './options.js'
import { type Kind, nothingToDo, OllamaWire } from './wire.js'

const call = z.object({
  id: z.string().nullish(),
  function: z.object({ name: z.string(), arguments: record.nullish() }),
})
const message = z.object({
  role: z.string(),
  content: z.string().nullish(),
  images: z.array(z.unknown()).nullish(),
  tool_calls: boundedList(call, MOST_CALLS).nullish(),
  tool_name: z.string().nullish(),
  tool_call_id: z.string().nullish(),
})
export const ollamaChatFields = z.object({
  ...commonFields,
  messages: boundedList(message, MOST_MESSAGES).nullish(),
  tools: z.array(z.unknown()).nullish(),
})
export const ollamaTextFields = z.object({
  ...commonFields,
  prompt: z.string().nullish(),
  suffix: z.string().nullish(),
  system: z.string().nullish(),
  template: z.string().nullish(),
  context: z.array(z.unknown()).nullish(),
  raw: z.boolean().nullish(),
  images: z.array(z.unknown()).nullish(),
})

/** What a request asks for, beside its options. */
interface Asked {
  readonly kind: Kind
  readonly request: z.infer<typeof ollamaChatFields> | z.infer<typeof ollamaTextFields>
  readonly run: (options: ChatOptions) => AnswerRun
}

/** Answers a request. Throws an ApiError, or a MixtralError, for what is wrong with it. */
export async function ollamaChat(body: Record<string, unknown>, served: ServedModel, answering: Answering): Promise<Response> {
  const request = checked(ollamaChatFields, body)
  checkOllamaModel(request.model, served)
  const { messages, tools } = request
  const options = ollamaOptions(request, served, answering.exchange)
  if (!messages?.length) return loaded('chat', request)
  const turns = messagesOf(messages)
  const all: ChatOptions = { ...options, ...(tools?.length && { tools: toolsWithStrictness(tools) }) }
  return answer(
    { kind: 'chat', request, run: (options) => (given) => served.model.streamChat(turns, { ...options, ...given }) },
    all,
    answering,
  )
}

/** Throws an ApiError for what is wrong with a request, whatever its model is. */
export function checkOllamaChat(body: Record<string, unknown>): void {
  const request = checked(ollamaChatFields, body)
  const { messages, tools } = request
  const options = { ...ollamaOptions(request, NO_MODEL), ...(tools?.length && { tools: toolsWithStrictness(tools) }) }
  checkAsked(options, OLLAMA_NAMES, messages?.length ? messagesOf(messages) : undefined)
}

/** Answers a request. Throws an ApiError, or a MixtralError, for what is wrong with it. */
export async function ollamaGenerate(body: Record<string, unknown>, served: ServedModel, answering: Answering): Promise<Response> {
  const request = readGenerate(body)
  checkOllamaModel(request.model, served)
  const { model } = served
  const { prompt, system, raw } = request
  const options = ollamaOptions(request, served, answering.exchange)
  if (!prompt) return loaded('generate', request)
  const turns: ChatMessage[] = [...(system ? [{ role: 'system' as const, content: system }] : []), { role: 'user', content: prompt }]
  const run = (options: ChatOptions): AnswerRun =>
    raw ? (given) => model.stream(prompt, { ...options, ...given }) : (given) => model.streamChat(turns, { ...options, ...given })
  return answer({ kind: 'generate', request, run }, options, answering)
}

/** Throws an ApiError for what is wrong with a request, whatever its model is. */
export function checkOllamaGenerate(body: Record<string, unknown>): void {
  checkAsked(ollamaOptions(readGenerate(body), NO_MODEL), OLLAMA_NAMES)
}

function readGenerate(body: Record<string, unknown>): z.infer<typeof ollamaTextFields> {
  const request = checked(ollamaTextFields, body)
  const { suffix, system, template, context, raw, images } = request
  if (suffix) throw badRequest(`${JSON.stringify(request.model)} does not support insert`, 'suffix')
  if (images?.length) throw badRequest(`${JSON.stringify(request.model)} does not support images`, 'images')
  if (raw && (template || system || context?.length)) throw badRequest('raw mode does not support template, system, or context', 'raw')
  if (template) throw unsupported('template is not supported', 'template')
  if (context?.length) throw unsupported('context is not supported: use /api/chat', 'context')
  return request
}

function answer({ kind, request, run }: Asked, options: ChatOptions, answering: Answering): Promise<Response> {
  return respond([run(options)], new OllamaWire(kind, request.model, answering.loadSeconds), request.stream ?? true, answering)
}

function loaded(
  kind: Kind,
  { model, keep_alive: keep }: { readonly model: string; readonly keep_alive?: string | number | null | undefined },
): Response {
  const unload = keep !== undefined && keep !== null && keepAliveSeconds(keep) === 0
  return Response.json(nothingToDo(kind, model, unload ? 'unload' : 'load'))
}

/** Ollama's messages in the library's form: calls have ids there, and arguments are texts. */
function messagesOf(messages: readonly z.infer<typeof message>[]): ChatMessage[] {
  return messages.map(({ role, content, images, tool_calls: calls, tool_name: name, tool_call_id: id }, at) => {
    if (images?.length) throw badRequest(`messages.${at}.images: images are not supported`, `messages.${at}.images`)
    const given = calls?.map(({ id, function: { name, arguments: values } }, i) => ({
      id: id ?? `call_${at}_${i}`,
      type: 'function' as const,
      function: { name, arguments: JSON.stringify(values ?? {}) },
    }))
    return {
      role: role.toLowerCase() as ChatMessage['role'],
      content: content ?? (given?.length ? null : ''),
      ...(given?.length && { tool_calls: given }),
      ...(name && { name }),
      ...(id && { tool_call_id: id }),
    }
  })
}
