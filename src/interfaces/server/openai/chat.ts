// POST /v1/chat/completions: requests, chunks and whole answers, byte for byte as OpenAI's clients expect them. Text
// and calls are the library's. Owns what a chat asks of its template: vLLM's fields, and the same inside of
// chat_template_kwargs, as llama-server has it.

import { z } from 'zod'
import { inSlices } from '../../../base/timeSlice.js'
import type { ChatMessage } from '../../../text/chat/chatMessages.js'
import type { RenderedChat } from '../../../text/chat/chatTemplate.js'
import type { ChatOptions } from '../../../text/generate/generationOptions.js'
import { templateSteps } from '../../../text/generate/mixtralModel.js'
import type { DrawnLogprob } from '../../../text/generate/tokenLogprobs.js'
import { badRequest, openaiError, unsupported } from '../apiError.js'
import { checkAsked } from '../security/asked.js'
import { checked } from '../security/body.js'
import { boundedList, MOST_MESSAGES, record } from '../security/fields.js'
import { type AskedModel, NO_MODEL, type ServedModel } from '../servedModel.js'
import { type AnswerEvent, type AnswerRun, callsOf, type Outcome, type Part, withProgress } from '../streams/answerRuns.js'
import { type Answering, type Requested, respond, type Wire } from '../streams/respond.js'
import { resumable, type StreamOrigin } from '../streams/resuming.js'
import { allowedTools, toolsWithStrictness } from './allowedTools.js'
import { chatLogprob } from './logprobs.js'
import { openaiNames, openaiOptions } from './options.js'
import { RoutedList } from './routedExperts.js'
import { checkModel, checkStreamOptions, commonFields, DONE, finishReason, header, PING, sse, usageOf } from './wire.js'

const templateFields = {
  add_generation_prompt: z.boolean().nullish(),
  continue_final_message: z.boolean().nullish(),
  chat_template_kwargs: record.nullish(),
}

/** The names of the fields. */
const TEMPLATE_FIELDS = Object.keys(templateFields)

/** What a template is given here, for others to say. All else, such as `enable_thinking`, means nothing to it. */
const OWN = ['messages', 'tools', 'documents', 'bos_token', 'eos_token']

type TemplateFields = z.infer<z.ZodObject<typeof templateFields>>

/**
 * Whether the prompt asks for an answer, or is a conversation that is over. A last message of the assistant goes on,
 * unless the prompt is to ask for none. Throws an ApiError 400.
 */
function asksForAnswer({ chat_template_kwargs: kwargs, ...fields }: TemplateFields, messages: readonly ChatMessage[]): boolean {
  const refused = OWN.find((name) => kwargs?.[name] !== undefined && kwargs[name] !== null)
  if (refused !== undefined) throw unsupported(`chat_template_kwargs.${refused} is not supported`, `chat_template_kwargs.${refused}`)
  const given = (name: 'add_generation_prompt' | 'continue_final_message') => {
    const value = fields[name] ?? kwargs?.[name] ?? undefined
    if (value === undefined || typeof value === 'boolean') return value
    throw badRequest(`chat_template_kwargs.${name}: expected true or false`, `chat_template_kwargs.${name}`)
  }
  const continues = given('continue_final_message') ?? false
  if (continues && messages.at(-1)?.role !== 'assistant') {
    throw badRequest("continue_final_message is true, but the last message is not the assistant's", 'continue_final_message')
  }
  return continues || (given('add_generation_prompt') ?? true)
}

const limit = z.int().min(-1).nullish()
export const chatFields = z.object({
  ...commonFields,
  messages: boundedList(record, MOST_MESSAGES, 1),
  max_completion_tokens: limit,
  max_tokens: limit,
  n_predict: limit,
  logprobs: z.boolean().nullish(),
  top_logprobs: z.int().min(0).max(20).nullish(),
  tools: z.array(z.unknown()).nullish(),
  tool_choice: z.unknown().optional(),
  parallel_tool_calls: z.boolean().nullish(),
  return_progress: z.boolean().nullish(),
  return_routed_experts: z.boolean().nullish(),
  ...templateFields,
  echo: z.unknown().optional(),
  best_of: z.unknown().optional(),
})

type Fields = z.infer<typeof chatFields>

/** Answers a request. Throws an ApiError, or a MixtralError, for what is wrong with it. */
export async function chatCompletion(body: Record<string, unknown>, served: ServedModel, answering: Answering): Promise<Response> {
  const stream = await resumable('chat', body, served, answering)
  const { runs, wire, streams } = await requestedChat(body, served, answering.exchange.signal, stream?.origin)
  return respond(runs, stream?.wire(wire, runs.length) ?? wire, streams, answering)
}

/** The answers that a request asks for. Throws what `chatCompletion` throws before anything runs, and `ABORTED`. */
export async function requestedChat(
  body: Record<string, unknown>,
  served: ServedModel,
  signal: AbortSignal,
  origin?: StreamOrigin,
): Promise<Requested> {
  const { request, messages, options: given, asks } = readChat(body, served)
  const options = { ...given, ...(origin && { seed: origin.seed }) }
  checkModel(request.model, served)
  const over = asks ? undefined : await promptWithoutAnswer(messages, options, served, signal)
  const n = request.n ?? 1
  const runs = Array.from({ length: n }, (_, i): AnswerRun => {
    const seeded = options.seed === undefined ? options : { ...options, seed: (options.seed + i) % Number.MAX_SAFE_INTEGER }
    if (over)
      return ({ salt, ...call }) => served.model.session({ ids: over, ...(salt !== undefined && { salt }) }).stream({ ...seeded, ...call })
    if (!request.stream || !request.return_progress) return (call) => served.model.streamChat(messages, { ...seeded, ...call })
    return (call) => withProgress((onProgress) => served.model.streamChat(messages, { ...seeded, ...call, onProgress }))
  })
  const asked = {
    logprobs: request.logprobs ?? false,
    usage: request.stream_options?.include_usage ?? false,
    routing: request.return_routed_experts ?? false,
    wireNames: openaiNames(body),
    origin,
  }
  return { runs, wire: new ChatWire(served, n, asked), streams: request.stream ?? false }
}

/** Throws an ApiError for what is wrong with a request, whatever its model is. */
export function checkChat(body: Record<string, unknown>): void {
  const { options, messages } = readChat(body, NO_MODEL)
  checkAsked(options, openaiNames(body), messages)
}

function readChat(body: Record<string, unknown>, model: AskedModel) {
  const { request, messages, asks } = readPrompt(body)
  checkStreamOptions(request.stream, request.stream_options)
  if (request.echo) throw unsupported('echo is not supported in chats', 'echo')
  if (request.best_of && request.best_of !== 1) throw unsupported('best_of is not supported in chats', 'best_of')
  if (request.top_logprobs && !request.logprobs) throw badRequest('top_logprobs is given without logprobs', 'top_logprobs')
  return { request, messages, asks, options: chatOptions(body, request, model) }
}

/** What the prompt is made of, and whether it asks for an answer. */
function readPrompt(body: Record<string, unknown>) {
  const request = checked(chatFields, body)
  const messages = messagesOf(request)
  const tools = toolsWithStrictness(request.tools ?? [])
  return { request, messages, tools, asks: asksForAnswer(request, messages) }
}

function chatOptions(body: Record<string, unknown>, request: Fields, served: AskedModel): ChatOptions {
  const { n_predict, max_completion_tokens, max_tokens, tools, tool_choice: given, parallel_tool_calls: parallel } = request
  const { tools: left, choice } = allowedTools({ tools: tools ? toolsWithStrictness(tools) : undefined, choice: given }, nameOfTool)
  const most = n_predict ?? max_completion_tokens ?? max_tokens
  return {
    ...openaiOptions(body, served, { supports: TEMPLATE_FIELDS }),
    ...(most !== undefined && most !== null && most !== -1 && { maxNewTokens: most }),
    ...(request.logprobs && { logprobs: request.top_logprobs ?? 0 }),
    ...(request.return_routed_experts && { experts: true }),
    // a choice without tools is the library's to refuse
    ...(left && { tools: left }),
    ...(choice !== undefined && choice !== null && { toolChoice: choice as NonNullable<ChatOptions['toolChoice']> }),
    ...(parallel !== undefined && parallel !== null && { parallelToolCalls: parallel }),
  }
}

function nameOfTool(tool: unknown): unknown {
  return (tool as { readonly function?: { readonly name?: unknown } } | null)?.function?.name
}

/** The tokens of a conversation that is over. What the model writes behind it is a text. */
async function promptWithoutAnswer(
  messages: readonly ChatMessage[],
  { tools }: ChatOptions,
  { model }: ServedModel,
  signal: AbortSignal,
): Promise<number[]> {
  if (tools?.length) throw unsupported('add_generation_prompt is false, which is not supported beside tools', 'add_generation_prompt')
  return (await inSlices(templateSteps(model, messages, { addGenerationPrompt: false }), signal)).ids
}

/** The text and the tokens that a chat's request is to the model. Throws what `chatCompletion` throws for them. */
export async function chatPrompt(body: Record<string, unknown>, { model }: ServedModel, { exchange }: Answering): Promise<RenderedChat> {
  const { messages, tools, asks } = readPrompt(body)
  return inSlices(templateSteps(model, messages, { tools, addGenerationPrompt: asks }), exchange.signal)
}

/** Throws an ApiError for what is wrong with the prompt of a chat, whatever its model is. */
export function checkPrompt(body: Record<string, unknown>): void {
  const { messages, tools } = readPrompt(body)
  checkAsked({ tools }, openaiNames(body), messages)
}

/** Clients send null for fields that they leave out. The content of a message may be null. */
function messagesOf({ messages }: Fields): ChatMessage[] {
  return messages.map((message) => {
    const given = Object.entries(message).filter(([name, value]) => value !== null || name === 'content')
    return Object.fromEntries(given) as unknown as ChatMessage
  })
}

/** What answers tell beside their text. */
interface Asked {
  readonly logprobs: boolean
  readonly usage: boolean
  readonly routing: boolean
  readonly wireNames: ReadonlyMap<string, string>
  readonly origin: StreamOrigin | undefined
}

class ChatWire implements Wire {
  readonly contentType = 'text/event-stream'
  readonly ping = PING
  readonly begin: string
  readonly wireNames: ReadonlyMap<string, string>
  readonly #chunk: ReturnType<typeof header>
  readonly #served: ServedModel
  readonly #n: number
  readonly #logprobs: boolean
  readonly #usage: boolean
  /** Of each choice, log-probabilities of tokens whose text is not out yet. */
  readonly #held: DrawnLogprob[][]
  /** Of each choice its experts, where they are asked for. */
  readonly #routed: readonly RoutedList[]

  constructor(served: ServedModel, n: number, { logprobs, usage, routing, wireNames, origin }: Asked) {
    this.wireNames = wireNames
    this.#served = served
    this.#n = n
    this.#logprobs = logprobs
    this.#usage = usage
    this.#routed = routing ? Array.from({ length: n }, () => new RoutedList(served.model.config.layers)) : []
    this.#chunk = header('chatcmpl-', 'chat.completion.chunk', served, origin)
    this.#held = Array.from({ length: n }, () => [])
    this.begin = this.#held.map((_, index) => this.#choice(index, { role: 'assistant', content: '' })).join('')
  }

  event(event: AnswerEvent): string {
    const { index } = event
    if ('outcome' in event) return this.#choice(index, {}, finishReason(event.outcome))
    return this.#part(index, event.part)
  }

  learn(event: AnswerEvent): void {
    if ('part' in event) this.#routed[event.index]?.add(event.part.experts)
  }

  end(outcomes: readonly Outcome[]): string {
    return (this.#usage ? sse({ ...this.#chunk, choices: [], usage: usageOf(outcomes, this.#n) }) : '') + DONE
  }

  error = (error: Parameters<typeof openaiError>[0]) => sse(openaiError(error))

  errorBody = openaiError

  whole(outcomes: readonly Outcome[]): object {
    const choices = outcomes.map((outcome, index) => {
      const { text, logprobs } = outcome
      const toolCalls = callsOf(outcome)
      const calls = toolCalls.length > 0
      const message = {
        role: 'assistant',
        content: calls && text === '' ? null : text,
        refusal: null,
        ...(calls && { tool_calls: toolCalls }),
      }
      const reported = logprobs ? { content: logprobs.map(chatLogprob), refusal: null } : null
      return { index, message, logprobs: reported, finish_reason: finishReason(outcome), ...this.#routed[index]?.take() }
    })
    return { ...header('chatcmpl-', 'chat.completion', this.#served), choices, usage: usageOf(outcomes, this.#n) }
  }

  #part(index: number, { text, toolCalls = [], logprobs = [], experts, progress }: Part): string {
    if (progress) return this.#choice(index, {}, null, { prompt_progress: progress })
    this.#held[index]!.push(...logprobs)
    this.#routed[index]?.add(experts)
    const content = text === '' ? '' : this.#choice(index, { content: text })
    return content + toolCalls.map((call) => this.#choice(index, { tool_calls: [call] })).join('')
  }

  /** A chunk of one choice; with its text or its end come the log-probabilities and the experts. */
  #choice(index: number, delta: object, finish: string | null = null, more: object = {}): string {
    const held = this.#held[index]!.splice(0)
    const logprobs = this.#logprobs ? { logprobs: held.length > 0 ? { content: held.map(chatLogprob), refusal: null } : null } : {}
    const choice = { index, delta, ...logprobs, finish_reason: finish, ...this.#routed[index]?.take() }
    return sse({ ...this.#chunk, choices: [choice], ...more, ...(this.#usage && { usage: null }) })
  }
}
