// What a message of Anthropic's API is on the wire: named events, in which blocks of text and of calls begin, grow and
// end, one after the other. Arguments of calls are objects there: where a limit has cut a call, what was written of its
// object is told.

import { type ApiError, anthropicError } from '../apiError.js'
import { idFor } from '../openai/wire.js'
import type { ServedModel } from '../servedModel.js'
import { type AnswerEvent, callsOf, type Outcome, type Part } from '../streams/answerRuns.js'
import type { Wire } from '../streams/respond.js'
import type { StreamOrigin } from '../streams/resuming.js'

type Named = { readonly type: string }

function event(data: Named): string {
  return `event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`
}

export class MessagesWire implements Wire {
  readonly contentType = 'text/event-stream'
  readonly ping = event({ type: 'ping' })
  readonly begin: string
  readonly wireNames: ReadonlyMap<string, string>
  readonly #message: object
  readonly #requestId: string
  /** Blocks that have begun. */
  #blocks = 0
  #open: 'text' | 'tool_use' | undefined

  /** @param inputTokens of the whole prompt: how many of them are cached is known in the end */
  constructor(
    { name }: ServedModel,
    inputTokens: number,
    requestId: string,
    wireNames: ReadonlyMap<string, string>,
    origin: StreamOrigin | undefined,
  ) {
    this.#requestId = requestId
    this.wireNames = wireNames
    this.#message = { id: idFor('msg_', origin), type: 'message', role: 'assistant', model: name }
    const usage = { input_tokens: inputTokens, cache_creation_input_tokens: 0, cache_read_input_tokens: 0, output_tokens: 0 }
    const message = { ...this.#message, content: [], stop_reason: null, stop_sequence: null, usage }
    this.begin = event({ type: 'message_start', message } as Named)
  }

  event(one: AnswerEvent): string {
    return 'part' in one ? this.#part(one.part) : ''
  }

  end([outcome]: readonly Outcome[]): string {
    const delta = stopOf(outcome!)
    return this.#close() + event({ type: 'message_delta', delta, usage: usageOf(outcome!) } as Named) + event({ type: 'message_stop' })
  }

  error = (error: ApiError) => event(this.errorBody(error) as Named)

  errorBody = (error: ApiError) => anthropicError(error, this.#requestId)

  whole([outcome]: readonly Outcome[]): object {
    const { text } = outcome!
    const calls = callsOf(outcome!).map(({ id, function: { name, arguments: given } }) => ({
      type: 'tool_use',
      id,
      name,
      input: begunJson(given),
    }))
    const content = [...(text ? [{ type: 'text', text }] : []), ...calls]
    return { ...this.#message, content, ...stopOf(outcome!), usage: usageOf(outcome!) }
  }

  #part({ text, toolCalls = [] }: Part): string {
    let out = ''
    if (text) {
      if (this.#open !== 'text') out += this.#begin('text', { type: 'text', text: '' })
      out += this.#delta({ type: 'text_delta', text })
    }
    for (const { id, function: called } of toolCalls) {
      if (id !== undefined) out += this.#begin('tool_use', { type: 'tool_use', id, name: called.name, input: {} })
      if (called.arguments) out += this.#delta({ type: 'input_json_delta', partial_json: called.arguments })
    }
    return out
  }

  #begin(kind: 'text' | 'tool_use', block: object): string {
    const before = this.#close()
    this.#open = kind
    return before + event({ type: 'content_block_start', index: this.#blocks++, content_block: block } as Named)
  }

  #delta(delta: object): string {
    return event({ type: 'content_block_delta', index: this.#blocks - 1, delta } as Named)
  }

  #close(): string {
    if (!this.#open) return ''
    this.#open = undefined
    return event({ type: 'content_block_stop', index: this.#blocks - 1 } as Named)
  }
}

function stopOf({ finishReason, stopText }: Outcome): object {
  const ended = stopText === undefined ? 'end_turn' : 'stop_sequence'
  const reason = finishReason === 'stop' ? ended : finishReason === 'tool_calls' ? 'tool_use' : 'max_tokens'
  return { stop_reason: reason, stop_sequence: stopText ?? null }
}

/** Tokens that were in the cache count apart. */
function usageOf({ promptTokens, reusedTokens, ids }: Outcome): object {
  return {
    input_tokens: promptTokens - reusedTokens,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: reusedTokens,
    output_tokens: ids.length,
  }
}

/** The object: a string that was cut ends there; a name without its value is left out. */
export function begunJson(text: string): unknown {
  const ends: string[] = []
  let open: 'string' | 'escape' | undefined
  let whole = '{}' // the longest beginning that some brackets complete
  for (const [i, unit] of text.split('').entries()) {
    if (open === 'escape') open = 'string'
    else if (open === 'string') open = unit === '\\' ? 'escape' : unit === '"' ? undefined : open
    else if (unit === '"') open = 'string'
    else if (unit === ',') whole = text.slice(0, i) + closing(ends)
    else if (unit === '{' || unit === '[') {
      ends.push(unit === '{' ? '}' : ']')
      whole = text.slice(0, i + 1) + closing(ends)
    } else if (unit === '}' || unit === ']') {
      ends.pop()
      whole = text.slice(0, i + 1) + closing(ends)
    }
  }
  const cut = open ? `${text.replace(/\\(u[0-9a-fA-F]{0,3})?$/, '')}"` : text
  return parsed(cut + closing(ends)) ?? parsed(whole) ?? {}
}

function closing(ends: readonly string[]): string {
  return ends.toReversed().join('')
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
