import { context, propagation, ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import { W3CTraceContextPropagator } from '@opentelemetry/core'
import { BasicTracerProvider, InMemorySpanExporter, type ReadableSpan, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createApp } from '../../../dist/server.js'
import { capital, endless, runtime, until, withServer } from './served.js'

const exporter = new InMemorySpanExporter()
const served = withServer()
beforeAll(() => {
  trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }))
  propagation.setGlobalPropagator(new W3CTraceContextPropagator())
})
afterAll(() => {
  trace.disable()
  propagation.disable()
  context.disable()
})

/** The span of the next request. */
async function spanOf(ask: () => Promise<unknown>): Promise<ReadableSpan> {
  exporter.reset()
  await ask()
  await until(() => exporter.getFinishedSpans().length > 0)
  expect(exporter.getFinishedSpans()).toHaveLength(1)
  return exporter.getFinishedSpans()[0]!
}
const chat = { model: 'demo', temperature: 0, top_p: 0.9, max_tokens: 20, seed: 5, messages: capital }

test.skipIf(runtime)('a request is a span with the names of the conventions, below the span that its caller names', async () => {
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
  const span = await spanOf(() =>
    served.post('/v1/chat/completions', chat, { headers: { traceparent, 'x-request-id': 'mine' } }).then((response) => response.json()),
  )
  expect([span.name, span.kind]).toEqual(['chat demo', SpanKind.SERVER])
  expect(span.spanContext().traceId).toBe('0af7651916cd43dd8448eb211c80319c')
  expect(span.parentSpanContext).toMatchObject({ spanId: 'b7ad6b7169203331', isRemote: true })
  expect(span.attributes).toEqual({
    'http.request.method': 'POST',
    'http.route': '/v1/chat/completions',
    'http.response.status_code': 200,
    'gen_ai.operation.name': 'chat',
    'gen_ai.provider.name': 'mixtral-wasm',
    'gen_ai.request.model': 'demo',
    'gen_ai.request.temperature': 0,
    'gen_ai.request.top_p': 0.9,
    'gen_ai.request.max_tokens': 20,
    'gen_ai.request.seed': 5,
    'gen_ai.usage.input_tokens': 14,
    'gen_ai.usage.cache_read.input_tokens': expect.any(Number),
    'gen_ai.usage.output_tokens': 7,
    'gen_ai.response.finish_reasons': ['stop'],
    'mixtral.outcome': 'done',
    'mixtral.request.id': 'mine',
  })
  expect(span.status.code).toBe(SpanStatusCode.UNSET)
  expect(span.events.map(({ name }) => name)).toEqual(['gen_ai.first_token'])
  const [start, first, end] = [span.startTime, span.events[0]!.time, span.endTime].map(([seconds, nano]) => seconds + nano / 1e9)
  expect([start! <= first!, first! <= end!]).toEqual([true, true])
})

test.skipIf(runtime)('a stream ends its span with its last event; options of Ollama are told as well', async () => {
  const body = { model: 'demo', prompt: 'Once', options: { num_predict: 3, temperature: 0.5 } }
  const span = await spanOf(() => served.post('/api/generate', body).then((response) => response.text()))
  expect(span.name).toBe('text_completion demo')
  expect(span.attributes).toMatchObject({
    'gen_ai.request.max_tokens': 3,
    'gen_ai.request.temperature': 0.5,
    'gen_ai.usage.output_tokens': 3,
    'gen_ai.response.finish_reasons': ['length'],
  })
})

test.skipIf(runtime)('a request without a parent begins a trace, and other routes are named by themselves', async () => {
  const span = await spanOf(() => fetch(`${served.server.url}/v1/models/demo`))
  expect([span.name, span.parentSpanContext]).toEqual(['GET /v1/models/{id}', undefined])
})

test.skipIf(runtime)('what fails is an error, what is refused is none; no span has a word of a request', async () => {
  const refused = await spanOf(() => served.post('/v1/chat/completions', { ...chat, model: 'no such model' }))
  expect([refused.name, refused.status.code, refused.attributes['http.response.status_code']]).toEqual(['chat', SpanStatusCode.UNSET, 404])
  const late = await spanOf(() => served.post('/v1/completions', { prompt: endless, ignore_eos: true, max_tokens: -1, timeout: 0.05 }))
  expect([late.status, late.attributes['error.type'], late.attributes['mixtral.outcome']]).toEqual([
    { code: SpanStatusCode.ERROR, message: 'timeout' },
    'timeout',
    'timeout',
  ])
  expect(late.events.map(({ name }) => name)).toContain('exception')
  expect(JSON.stringify([late.attributes, late.events, late.status])).not.toContain('RICHARD')
})

test.skipIf(runtime)('inside of an open span, the request is a part of it', async () => {
  const { AsyncLocalStorage } = await import('node:async_hooks')
  const storage = new AsyncLocalStorage<ReturnType<typeof context.active>>()
  context.setGlobalContextManager({
    active: () => storage.getStore() ?? ROOT_CONTEXT,
    with: (entered, work, self, ...args) => storage.run(entered, () => work.call(self as never, ...args)),
    bind: (_, target) => target,
    enable() {
      return this
    },
    disable() {
      return this
    },
  })
  const app = createApp(served.model, { name: 'demo' })
  const outer = trace.getTracer('test').startSpan('outer')
  const span = await spanOf(() =>
    context.with(trace.setSpan(context.active(), outer), () => app.fetch(new Request('http://localhost/health'))),
  )
  expect([span.kind, span.parentSpanContext?.spanId]).toEqual([SpanKind.INTERNAL, outer.spanContext().spanId])
})
