// How prompts become tokens: in slices, so that others get on meanwhile, and with a place in the queue.

import { expect, test } from 'vitest'
import { createApp } from '../../../dist/server.js'
import { capital, endless, until, withServer } from './served.js'

const served = withServer()

/** A request to each route that makes tokens of texts. */
const requests: readonly (readonly [path: string, body: object])[] = [
  ['/v1/chat/completions', { messages: capital, max_tokens: 1 }],
  ['/v1/chat/completions', { messages: capital, max_tokens: 1, stream: true, return_progress: true }],
  ['/v1/chat/completions', { messages: capital, max_tokens: 1, add_generation_prompt: false }],
  ['/v1/completions', { prompt: ['Once', 'Twice'], max_tokens: 1 }],
  ['/v1/responses', { input: 'Hello', max_output_tokens: 1, truncation: 'auto' }],
  ['/v1/messages', { messages: capital, max_tokens: 1 }],
  ['/v1/messages', { messages: capital, max_tokens: 1, stream: true }],
  ['/v1/messages/count_tokens', { messages: capital }],
  ['/v1/embeddings', { input: 'Hello' }],
  ['/completion', { prompt: ['Hello', [1, 'Hello']], n_predict: 1 }],
  ['/tokenize', { content: 'Hello' }],
  ['/tokenize', { messages: capital }],
  ['/apply-template', { messages: capital }],
  ['/api/chat', { model: 'demo', messages: capital, options: { num_predict: 1 } }],
  ['/api/generate', { model: 'demo', prompt: 'Hello', options: { num_predict: 1 } }],
  ['/api/generate', { model: 'demo', prompt: 'Hello', raw: true, options: { num_predict: 1 } }],
  ['/api/embed', { model: 'demo', input: ['Hello', 'you'] }],
  ['/api/embeddings', { model: 'demo', prompt: 'Hello' }],
]

const post = (path: string, body: object) => new Request(`http://localhost${path}`, { method: 'POST', body: JSON.stringify(body) })

test('no route makes the tokens of a prompt at one time', async () => {
  const app = createApp(served.model, { name: 'demo' })
  const { model } = served
  await app.fetch(post('/apply-template', { messages: capital })) // which learns of the vocabulary, once
  const atOnce = () => {
    throw new Error('at one time')
  }
  const own = { encode: atOnce, encodePrompt: atOnce, encodeParts: atOnce, splitSpecial: atOnce }
  Object.assign(model.tokenizer, own)
  Object.assign(model, { applyChatTemplate: atOnce, countTokens: atOnce })
  try {
    for (const [path, body] of requests) {
      const response = await app.fetch(post(path, body))
      const text = await response.text()
      expect([path, response.status, text.includes('"error":{')], text).toEqual([path, 200, false])
    }
  } finally {
    for (const name of Object.keys(own)) Reflect.deleteProperty(model.tokenizer, name)
    for (const name of ['applyChatTemplate', 'countTokens']) Reflect.deleteProperty(model, name)
  }
})

const words = 'Once upon a time there was a king. '.repeat(29_000)
const messages = [{ role: 'user', content: words }]

test.each<[string, object]>([
  ['/tokenize', { content: words }],
  ['/tokenize', { content: 'ab'.repeat(500_000) }],
  ['/tokenize', { messages }],
  ['/v1/messages/count_tokens', { messages }],
  ['/apply-template', { messages }],
])('while %s reads a megabyte, the event loop goes on', async (path, body) => {
  const app = createApp(served.model, { name: 'demo' })
  let turns = 0
  let next = setImmediate(function tick() {
    turns++
    next = setImmediate(tick)
  })
  const [response, health] = await Promise.all([app.fetch(post(path, body)), app.fetch(new Request('http://localhost/health'))])
  clearImmediate(next)
  expect([response.status, health.status]).toEqual([200, 200])
  expect(turns).toBeGreaterThan(12)
})

test('who leaves while a text becomes tokens, ends that', async () => {
  const app = createApp(served.model, { name: 'demo' })
  const leaving = new AbortController()
  const body = JSON.stringify({ content: words })
  const coming = app.fetch(new Request('http://localhost/tokenize', { method: 'POST', body, signal: leaving.signal }))
  setImmediate(() => leaving.abort())
  expect((await coming).status).toBe(499)
})

test('each request takes its place before it is read: where there is none, it is told to come again', async () => {
  const server = await served.start({ name: 'demo', maxQueue: 0 })
  const ask = (path: string, body: object, signal?: AbortSignal) =>
    fetch(server.url + path, { method: 'POST', body: JSON.stringify(body), ...(signal && { signal }) })
  const release = await served.held()
  const leaving = new AbortController()
  const running = await Promise.all(
    Array.from({ length: 4 }, () =>
      ask('/v1/completions', { prompt: endless, max_tokens: -1, ignore_eos: true, stream: true }, leaving.signal),
    ),
  )
  expect(running.map(({ status }) => status)).toEqual([200, 200, 200, 200])
  for (const [path, body] of [...requests, ['/detokenize', { tokens: [5] }] as const]) {
    const response = await ask(path, body)
    expect([path, response.status, response.headers.get('retry-after')]).toEqual([path, 503, '2'])
    await response.text()
  }
  leaving.abort()
  await release()
  await until(async () => (await (await fetch(`${server.url}/load`)).json()).server_load === 0)
  for (const [path, body] of requests) expect([path, (await ask(path, body)).status]).toEqual([path, 200])
})
