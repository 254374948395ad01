// An answer as it is written: server-sent events of /v1/chat/completions, one object at a time. Knows no conversation.

import { send } from './api.js'
import { BROKEN, Failure } from './failure.js'

export interface ChatRequest {
  readonly model?: string
  readonly messages: readonly { readonly role: string; readonly content: string }[]
  readonly [option: string]: unknown
}

export interface Usage {
  readonly prompt_tokens: number
  readonly completion_tokens: number
  readonly prompt_tokens_details?: { readonly cached_tokens?: number }
}

/** What a chunk brings; all of it may be missing. */
export interface Chunk {
  readonly text: string
  /** (tokens, layers, used) */
  readonly experts: readonly (readonly (readonly number[])[])[]
  readonly weights: readonly (readonly (readonly number[])[])[]
  readonly finish: string | undefined
  readonly usage: Usage | undefined
  /** How far the prompt is read. */
  readonly progress: Progress | undefined
}

/** In tokens, of which `cache` were computed before. */
export interface Progress {
  readonly total: number
  readonly cache: number
  readonly processed: number
}

/** Yields undefined when the server has accepted the request. Throws a Failure, and what an abort throws. */
export async function* streamChat(request: ChatRequest, signal: AbortSignal): AsyncGenerator<Chunk | undefined> {
  const asked = { ...request, stream: true, stream_options: { include_usage: true }, return_routed_experts: true, return_progress: true }
  const response = await send('v1/chat/completions', { method: 'POST', body: JSON.stringify(asked), signal })
  yield undefined
  for await (const data of events(response, signal)) {
    if (data === '[DONE]') return
    const { choices, usage, error, prompt_progress: progress } = parsed(data)
    if (error) throw new Failure(`The server has ended the answer: ${String(error.message ?? 'no reason is given')}.`)
    const [choice] = choices ?? []
    yield {
      text: typeof choice?.delta?.content === 'string' ? choice.delta.content : '',
      experts: choice?.routed_experts ?? [],
      weights: choice?.expert_weights ?? [],
      finish: choice?.finish_reason ?? undefined,
      usage: usage ?? undefined,
      progress: isProgress(progress) ? progress : undefined,
    }
  }
  throw new Failure(BROKEN)
}

interface WireChunk {
  readonly choices?: readonly {
    readonly delta?: { readonly content?: unknown }
    readonly finish_reason?: string | null
    readonly routed_experts?: Chunk['experts']
    readonly expert_weights?: Chunk['weights']
  }[]
  readonly usage?: Usage | null
  readonly prompt_progress?: unknown
  readonly error?: { readonly message?: unknown }
}

function isProgress(value: unknown): value is Progress {
  const { total, cache, processed } = (value ?? {}) as Partial<Progress>
  return [total, cache, processed].every((one) => typeof one === 'number')
}

function parsed(data: string): WireChunk {
  try {
    return JSON.parse(data)
  } catch {
    throw new Failure('The server sent what is no JSON.')
  }
}

/** The data of each event; comments are signs of life. */
async function* events({ body }: Response, signal: AbortSignal): AsyncGenerator<string> {
  if (!body) return
  const reader = body.getReader()
  const decoder = new TextDecoder()
  let held = ''
  try {
    for (;;) {
      const { done, value } = await reader.read().catch((error) => {
        throw signal.aborted ? error : new Failure(BROKEN)
      })
      if (done) return
      held += decoder.decode(value, { stream: true })
      const lines = held.split('\n')
      held = lines.pop()!
      for (const line of lines) if (line.startsWith('data: ')) yield line.slice(6)
    }
  } finally {
    reader.cancel().catch(() => {}) // the server is told that nobody reads on
  }
}
