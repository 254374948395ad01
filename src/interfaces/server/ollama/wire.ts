// What chats and texts of Ollama's API are on the wire: one JSON object a line, durations in nanoseconds, calls of
// tools whole.

import { type ApiError, ollamaError } from '../apiError.js'
import { chatLogprob } from '../openai/logprobs.js'
import type { AnswerEvent, Outcome } from '../streams/answerRuns.js'
import type { Wire } from '../streams/respond.js'
import { OLLAMA_NAMES } from './options.js'

export type Kind = 'chat' | 'generate'

/** Now, in RFC 3339 with nanoseconds, as Go writes it. */
function now(): string {
  return new Date().toISOString().replace('Z', '000000Z')
}

/** What stands in a line: a message of the assistant, or a piece of text. */
function content(kind: Kind, text: string, calls?: readonly object[]): object {
  return kind === 'generate' ? { response: text } : { message: { role: 'assistant', content: text, ...(calls && { tool_calls: calls }) } }
}

/** The answer to a request for no text: the model is loaded, or would be unloaded. */
export function nothingToDo(kind: Kind, model: string, reason: 'load' | 'unload'): object {
  return { model, created_at: now(), ...content(kind, ''), done: true, done_reason: reason }
}

/** A sign of life: a line without text. There is no comment in NDJSON, and clients fail on an empty line. */
export function pingLine(kind: Kind, model: string): string {
  return `${JSON.stringify({ model, created_at: now(), ...content(kind, ''), done: false })}\n`
}

export class OllamaWire implements Wire {
  readonly contentType = 'application/x-ndjson'
  readonly wireNames = OLLAMA_NAMES
  readonly #kind: Kind
  readonly #model: string
  readonly #started = performance.now()
  /** Of tokens whose text is not out yet. */
  readonly #logprobs: object[] = []

  readonly #loadSeconds: number

  /**
   * @param model as the request calls it
   * @param loadSeconds how long the request waited for it
   */
  constructor(kind: Kind, model: string, loadSeconds = 0) {
    this.#loadSeconds = loadSeconds
    this.#kind = kind
    this.#model = model
  }

  get begin(): string {
    return this.ping
  }

  get ping(): string {
    return pingLine(this.#kind, this.#model)
  }

  event(event: AnswerEvent): string {
    if ('outcome' in event) {
      const { toolCalls = [] } = event.outcome
      const cut = cutText(event.outcome)
      const calls = toolCalls.length > 0 ? this.#line({ ...content(this.#kind, '', callsOf(toolCalls)), done: false }) : ''
      return calls + (cut === '' ? '' : this.#line({ ...content(this.#kind, cut), done: false }))
    }
    const { text, logprobs = [] } = event.part
    this.#logprobs.push(...logprobs.map(chatLogprob))
    return text === '' ? '' : this.#line({ ...content(this.#kind, text), done: false, ...this.#held() })
  }

  end([outcome]: readonly Outcome[]): string {
    return this.#line({ ...content(this.#kind, ''), ...this.#held(), ...this.#last(outcome!) })
  }

  error(error: ApiError): string {
    return `${JSON.stringify(ollamaError(error))}\n`
  }

  errorBody = ollamaError

  whole([outcome]: readonly Outcome[]): object {
    const { text, toolCalls = [], logprobs } = outcome!
    const body = content(this.#kind, text + cutText(outcome!), toolCalls.length > 0 ? callsOf(toolCalls) : undefined)
    return {
      model: this.#model,
      created_at: now(),
      ...body,
      ...(logprobs && { logprobs: logprobs.map(chatLogprob) }),
      ...this.#last(outcome!),
    }
  }

  #last({ finishReason, promptTokens, prefillSeconds, ids, decodeSeconds }: Outcome): object {
    const figures = {
      total_duration: Math.round((performance.now() - this.#started) * 1e6 + this.#loadSeconds * 1e9),
      load_duration: Math.round(this.#loadSeconds * 1e9),
      prompt_eval_count: promptTokens,
      prompt_eval_duration: Math.round(prefillSeconds * 1e9),
      eval_count: ids.length,
      eval_duration: Math.round(decodeSeconds * 1e9),
    }
    const reason = finishReason === 'length' || finishReason === 'context' ? 'length' : 'stop'
    const known = Object.entries(figures).filter(([, value]) => value > 0)
    return { done: true, done_reason: reason, ...Object.fromEntries(known) }
  }

  #held(): object {
    const logprobs = this.#logprobs.splice(0)
    return logprobs.length > 0 ? { logprobs } : {}
  }

  #line(fields: object): string {
    return `${JSON.stringify({ model: this.#model, created_at: now(), ...fields })}\n`
  }
}

/** A call that a limit has cut, as a text: calls are whole here, and what was written is told. */
function cutText({ cutCall }: Outcome): string {
  return cutCall ? `{"name": ${JSON.stringify(cutCall.function.name)}, "arguments": ${cutCall.function.arguments}` : ''
}

/** Arguments are an object here, not its text. */
function callsOf(calls: NonNullable<Outcome['toolCalls']>): object[] {
  return calls.map(({ id, function: { name, arguments: given } }, index) => ({
    id,
    function: { index, name, arguments: JSON.parse(given) },
  }))
}
