// A span for each request, through OpenTelemetry's API where it is installed: the conventions for generative models
// and for servers of HTTP. Without that package, or without a tracer behind it, nothing happens. Prompts, answers and
// messages of errors are in no span. Owns names of spans and attributes; what becomes of spans is the application's.

import type { Attributes, Context, Span } from '@opentelemetry/api'
import { packageVersion } from '../packageVersion.js'
import type { RequestLog } from '../requestLog.js'

type Api = typeof import('@opentelemetry/api')
type Body = Readonly<Record<string, unknown>>

const OPERATIONS: Readonly<Record<string, string>> = {
  '/v1/chat/completions': 'chat',
  '/chat/completions': 'chat',
  '/v1/messages': 'chat',
  '/v1/responses': 'chat',
  '/api/chat': 'chat',
  '/v1/completions': 'text_completion',
  '/completions': 'text_completion',
  '/completion': 'text_completion',
  '/api/generate': 'text_completion',
  '/v1/embeddings': 'embeddings',
  '/embeddings': 'embeddings',
  '/api/embed': 'embeddings',
  '/api/embeddings': 'embeddings',
}

/** Numbers of requests that are told, by the names that they have in any API. */
const NUMBERS: Readonly<Record<string, string>> = {
  temperature: 'gen_ai.request.temperature',
  top_p: 'gen_ai.request.top_p',
  top_k: 'gen_ai.request.top_k',
  frequency_penalty: 'gen_ai.request.frequency_penalty',
  presence_penalty: 'gen_ai.request.presence_penalty',
  seed: 'gen_ai.request.seed',
  n: 'gen_ai.request.choice.count',
  max_tokens: 'gen_ai.request.max_tokens',
  max_completion_tokens: 'gen_ai.request.max_tokens',
  n_predict: 'gen_ai.request.max_tokens',
  num_predict: 'gen_ai.request.max_tokens',
}

let loading: Promise<Tracing | undefined> | undefined

/** Undefined where the package is not installed. */
export function loadTracing(): Promise<Tracing | undefined> {
  loading ??= import('@opentelemetry/api').then(
    (api) => new Tracing(api),
    () => undefined,
  )
  return loading
}

class Tracing {
  readonly #api: Api

  constructor(api: Api) {
    this.#api = api
  }

  /** The span of a request: inside of the one that is open here, or of the caller's, which its headers name. */
  begin({ method, headers }: Request): RequestSpan {
    const { context, propagation, trace, ROOT_CONTEXT, SpanKind } = this.#api
    const inside = trace.getSpan(context.active()) !== undefined
    const parent = inside ? context.active() : propagation.extract(ROOT_CONTEXT, headers, { get: headerOf, keys: namesOf })
    const options = { kind: inside ? SpanKind.INTERNAL : SpanKind.SERVER, attributes: { 'http.request.method': method } }
    const startTime = Date.now()
    const span = trace.getTracer('mixtral-wasm', packageVersion()).startSpan(method, { ...options, startTime }, parent)
    return new RequestSpan(this.#api, { span, startTime, inside: trace.setSpan(parent, span) })
  }
}

interface Begun {
  readonly span: Span
  readonly startTime: number
  readonly inside: Context
}

export class RequestSpan {
  readonly #api: Api
  readonly #begun: Begun
  #model: string | undefined

  constructor(api: Api, begun: Begun) {
    this.#api = api
    this.#begun = begun
  }

  /** Runs a function inside of the span, so that what it logs or traces belongs to it. */
  run<T>(work: () => T): T {
    return this.#api.context.with(this.#begun.inside, work)
  }

  /** What the request asks for. */
  asked(body: Body): void {
    const { span } = this.#begun
    if (!span.isRecording()) return
    if (typeof body.model === 'string') this.#model = body.model.slice(0, 100)
    const { options } = body
    const given = { ...body, ...(typeof options === 'object' && options) } as Body // Ollama's are one level deeper
    for (const [name, attribute] of Object.entries(NUMBERS)) {
      const value = given[name]
      if (typeof value === 'number') span.setAttribute(attribute, value)
    }
  }

  end(entry: RequestLog): void {
    const { span, startTime } = this.#begun
    if (span.isRecording()) {
      const { method, route, status, milliseconds, outcome, error, firstTokenMilliseconds: first } = entry
      const operation = OPERATIONS[route]
      const known = status === 404 ? undefined : this.#model // what no model is called makes no name of a span
      span.updateName(operation ? [operation, known].filter(Boolean).join(' ') : `${method} ${route}`)
      span.setAttributes({ 'http.route': route, 'http.response.status_code': status, 'mixtral.request.id': entry.id })
      if (operation) span.setAttributes(answerAttributes(operation, this.#model, entry))
      if (first !== undefined) span.addEvent('gen_ai.first_token', {}, startTime + first)
      if (status >= 500 || outcome === 'failed' || outcome === 'timeout') {
        const type = error ?? String(status)
        span.setAttribute('error.type', type)
        span.setStatus({ code: this.#api.SpanStatusCode.ERROR, message: type })
        span.recordException({ name: type, message: type })
      }
      span.end(startTime + milliseconds)
    } else span.end()
  }
}

function answerAttributes(operation: string, model: string | undefined, entry: RequestLog): Attributes {
  const { outcome, promptTokens, cachedTokens, completionTokens, finishReasons } = entry
  return {
    'gen_ai.operation.name': operation,
    'gen_ai.provider.name': 'mixtral-wasm',
    ...(model !== undefined && { 'gen_ai.request.model': model }),
    ...(promptTokens !== undefined && { 'gen_ai.usage.input_tokens': promptTokens }),
    ...(cachedTokens !== undefined && { 'gen_ai.usage.cache_read.input_tokens': cachedTokens }),
    ...(completionTokens !== undefined && { 'gen_ai.usage.output_tokens': completionTokens }),
    ...(finishReasons && { 'gen_ai.response.finish_reasons': [...finishReasons] }),
    ...(outcome && { 'mixtral.outcome': outcome }),
  }
}

function headerOf(headers: Headers, name: string): string | undefined {
  return headers.get(name) ?? undefined
}

function namesOf(headers: Headers): string[] {
  return [...headers.keys()]
}
