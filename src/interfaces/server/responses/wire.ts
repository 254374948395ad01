// What a response of OpenAI's newer API is on the wire: numbered events, in which items of output begin, grow and end;
// the last event has all of it.

import type { DrawnLogprob } from '../../../text/generate/tokenLogprobs.js'
import { type ApiError, openaiError } from '../apiError.js'
import { chatLogprob } from '../openai/logprobs.js'
import { idFor, PING } from '../openai/wire.js'
import type { ServedModel } from '../servedModel.js'
import type { AnswerEvent, Outcome, Part } from '../streams/answerRuns.js'
import type { Wire } from '../streams/respond.js'
import type { StreamOrigin } from '../streams/resuming.js'
import type { ResponseRequest } from './fields.js'

interface OpenItem {
  readonly kind: 'message' | 'function_call'
  readonly id: string
  /** The text, or the arguments. */
  text: string
  readonly callId?: string | undefined
  readonly name?: string | undefined
}

interface Item {
  readonly type: OpenItem['kind']
  readonly id: string
}

interface Settings {
  readonly temperature: number
  readonly topP: number
  readonly wireNames: ReadonlyMap<string, string>
  readonly origin: StreamOrigin | undefined
}

export class ResponsesWire implements Wire {
  readonly contentType = 'text/event-stream'
  readonly ping = PING
  readonly begin: string
  readonly wireNames: ReadonlyMap<string, string>
  readonly #response: Readonly<Record<string, unknown>>
  readonly #messageId: string
  #sequence = 0
  /** Items that have ended, and the one that is written. */
  readonly #items: Item[] = []
  #open: OpenItem | undefined
  /** Of the message: those of tokens whose text is not out yet, and all. */
  #held: DrawnLogprob[] = []
  readonly #logprobs: DrawnLogprob[] = []

  constructor({ name }: ServedModel, request: ResponseRequest, { temperature, topP, wireNames, origin }: Settings) {
    this.#messageId = idFor('msg_', origin)
    this.wireNames = wireNames
    this.#response = {
      id: idFor('resp_', origin),
      object: 'response',
      created_at: origin?.created ?? Math.floor(Date.now() / 1000),
      ...{ status: 'in_progress', background: false, error: null, incomplete_details: null },
      ...{ instructions: request.instructions ?? null, max_output_tokens: request.max_output_tokens ?? null, model: name, output: [] },
      ...{ parallel_tool_calls: request.parallel_tool_calls ?? true, previous_response_id: null, store: false },
      ...{ reasoning: { effort: null, summary: null }, temperature, top_p: topP, truncation: request.truncation ?? 'disabled' },
      text: { format: request.text?.format ?? { type: 'text' } },
      ...{ tool_choice: request.tool_choice ?? 'auto', tools: request.tools ?? [], top_logprobs: request.top_logprobs ?? 0 },
      ...{ usage: null, metadata: request.metadata ?? {} },
    }
    const response = this.#response
    this.begin = this.#event('response.created', { response }) + this.#event('response.in_progress', { response })
  }

  event(one: AnswerEvent): string {
    return 'part' in one ? this.#part(one.part) : ''
  }

  /** The whole answer is made of the same items as the stream. */
  learn(one: AnswerEvent): void {
    this.event(one)
  }

  end([outcome]: readonly Outcome[]): string {
    const last = this.#finish(outcome!)
    return last + this.#event(`response.${statusOf(outcome!)}`, { response: this.#ended(outcome!) })
  }

  /** With the fields of the API's own event, and with the object in which clients look for errors. */
  error = (error: ApiError) => {
    const { status, code, message, param } = error
    const own = { code: code ?? (status >= 500 ? 'server_error' : 'invalid_request_error'), message, param: param ?? null }
    return this.#event('error', { ...own, ...openaiError(error) })
  }

  errorBody = openaiError

  whole([outcome]: readonly Outcome[]): object {
    this.#finish(outcome!)
    return this.#ended(outcome!)
  }

  /** Ends the last item; an answer of nothing is an empty message. */
  #finish(outcome: Outcome): string {
    const isEmpty = !this.#open && this.#items.length === 0
    const begun = isEmpty ? this.#begin({ kind: 'message', id: this.#messageId, text: '' }) : ''
    return begun + this.#close(statusOf(outcome))
  }

  #ended(outcome: Outcome): object {
    const { promptTokens, reusedTokens, ids } = outcome
    const status = statusOf(outcome)
    return {
      ...this.#response,
      status,
      ...(status === 'incomplete' && { incomplete_details: { reason: 'max_output_tokens' } }),
      output: this.#items,
      usage: {
        input_tokens: promptTokens,
        input_tokens_details: { cached_tokens: reusedTokens },
        output_tokens: ids.length,
        output_tokens_details: { reasoning_tokens: 0 },
        total_tokens: promptTokens + ids.length,
      },
    }
  }

  #part({ text, toolCalls = [], logprobs = [] }: Part): string {
    let out = ''
    this.#held.push(...logprobs)
    this.#logprobs.push(...logprobs)
    if (text) {
      if (this.#open?.kind !== 'message') out += this.#begin({ kind: 'message', id: this.#messageId, text: '' })
      this.#open!.text += text
      const own = this.#held.splice(0).map(chatLogprob)
      out += this.#event('response.output_text.delta', { ...this.#place(), content_index: 0, delta: text, logprobs: own })
    }
    for (const { id, function: called } of toolCalls) {
      if (id !== undefined) out += this.#begin({ kind: 'function_call', id: `fc_${id}`, text: '', callId: id, name: called.name })
      if (!called.arguments) continue
      this.#open!.text += called.arguments
      out += this.#event('response.function_call_arguments.delta', { ...this.#place(), delta: called.arguments })
    }
    return out
  }

  #begin(item: OpenItem): string {
    const before = this.#close('completed')
    this.#open = item
    const started = itemOf({ ...item, text: '' }, 'in_progress', [])
    const begun = item.kind === 'message' ? { ...started, content: [] } : started
    const added = this.#event('response.output_item.added', { output_index: this.#items.length, item: begun })
    if (item.kind !== 'message') return before + added
    return before + added + this.#event('response.content_part.added', { ...this.#place(), content_index: 0, part: partOf('', []) })
  }

  /** Ends the item that is written, with its events. */
  #close(status: string): string {
    const open = this.#open
    if (!open) return ''
    const logprobs = open.kind === 'message' ? this.#logprobs : []
    const item = itemOf(open, status, logprobs)
    const place = this.#place()
    const done =
      open.kind === 'message'
        ? this.#event('response.output_text.done', { ...place, content_index: 0, text: open.text, logprobs: logprobs.map(chatLogprob) }) +
          this.#event('response.content_part.done', { ...place, content_index: 0, part: partOf(open.text, logprobs) })
        : this.#event('response.function_call_arguments.done', { ...place, name: open.name, arguments: open.text })
    const ended = done + this.#event('response.output_item.done', { output_index: this.#items.length, item })
    this.#items.push(item)
    this.#open = undefined
    return ended
  }

  /** Which item an event is about. */
  #place() {
    return { item_id: this.#open!.id, output_index: this.#items.length }
  }

  #event(type: string, fields: object): string {
    return `event: ${type}\ndata: ${JSON.stringify({ type, sequence_number: this.#sequence++, ...fields })}\n\n`
  }
}

function statusOf({ finishReason }: Outcome): 'completed' | 'incomplete' {
  return finishReason === 'stop' || finishReason === 'tool_calls' ? 'completed' : 'incomplete'
}

function itemOf({ kind, id, text, callId, name }: OpenItem, status: string, logprobs: readonly DrawnLogprob[]): Item {
  const item = { id, type: kind, status }
  if (kind === 'function_call') return { ...item, ...{ call_id: callId, name, arguments: text } }
  return { ...item, ...{ role: 'assistant', content: [partOf(text, logprobs)] } }
}

function partOf(text: string, logprobs: readonly DrawnLogprob[]): object {
  return { type: 'output_text', text, annotations: [], logprobs: logprobs.map(chatLogprob) }
}
