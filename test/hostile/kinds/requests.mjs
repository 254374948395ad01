// HTTP requests to the server: paths, headers and bodies of every route are damaged. An answer has a status that was
// meant, JSON in the shape of its API, and no word of what is inside.

import { MixtralModel } from '../../../dist/index.js'
import { createApp } from '../../../dist/server.js'
import { mutateJson, mutateText } from '../mutations.mjs'

const chat = [
  { role: 'user', content: 'Hi' },
  { role: 'assistant', content: 'a' },
  { role: 'user', content: [{ type: 'text', text: 'b' }] },
]
const few = { max_tokens: 1, temperature: 0.5 }
const tool = {
  type: 'function',
  function: { name: 'f', description: 'd', parameters: { type: 'object', properties: { a: { type: 'string' } } } },
}
const originals = [
  {
    path: '/v1/chat/completions',
    body: { model: 'demo', messages: chat, ...few, stream: false, logprobs: true, top_logprobs: 2, seed: 1 },
  },
  { path: '/v1/chat/completions', body: { messages: chat, ...few, stream: true, stream_options: { include_usage: true }, stop: ['x'] } },
  {
    path: '/v1/chat/completions',
    body: { messages: chat, ...few, tools: [tool], tool_choice: 'auto', response_format: { type: 'json_object' } },
  },
  { path: '/v1/completions', body: { prompt: 'ab', ...few, n: 1, echo: false, logit_bias: { 5: -100 } } },
  {
    path: '/api/chat',
    body: { model: 'demo', messages: chat, stream: false, options: { num_predict: 1, temperature: 0 }, format: 'json' },
  },
  { path: '/api/generate', body: { model: 'demo', prompt: 'a', stream: true, raw: true, options: { num_predict: 1, top_k: 4 } } },
  { path: '/tokenize', body: { content: 'abc', add_special: true, with_pieces: true } },
  { path: '/detokenize', body: { tokens: [1, 2, 300] } },
  { path: '/apply-template', body: { messages: chat } },
  { path: '/v1/responses', body: { input: chat.slice(0, 1), max_output_tokens: 1, instructions: 'a', text: { format: { type: 'text' } } } },
  { path: '/v1/messages', body: { messages: chat.slice(0, 1), max_tokens: 1, system: 'a', stop_sequences: ['x'], stream: true } },
  { path: '/v1/messages/count_tokens', body: { messages: chat.slice(0, 1), tools: [{ name: 'f', input_schema: { type: 'object' } }] } },
  { path: '/v1/embeddings', body: { input: ['a', [1, 2]], encoding_format: 'base64', dimensions: 8 } },
  { path: '/completion', body: { prompt: ['a', 5], n_predict: 1, n_probs: 2, logit_bias: [[5, false]], samplers: ['top_k'] } },
  { path: '/api/embed', body: { input: ['a'], truncate: true } },
  { path: '/api/show', body: { model: 'demo', verbose: true } },
  ...['/v1/models', '/props', '/slots', '/metrics', '/api/tags', '/api/ps', '/health', '/v1/models/demo'].map((path) => ({
    path,
    method: 'GET',
  })),
]
const headers = { host: 'localhost', 'content-type': 'application/json', authorization: 'Bearer x', origin: 'http://localhost' }
/** Ids of events by which streams go on; `{LAST}` stands for one of the server's own. */
const eventIds = ['{LAST}', 'm1.abcdefghijklmnopqrst.t6wk9k.1.0123abcd.0123abcd.abcdefghijklmnop.1-0', '{LAST}.e', '{LAST}-1']
const resumed = { prompt: 'ab', ...few, stream: true, seed: 7 }
const paths = ['/', '..', '%2e%2e', '%00', '?x=1', '//', '/v1', '#', '/api/blobs/x', 'é']

let app
async function served() {
  if (app) return app
  const model = await MixtralModel.load('demo', { threads: 1, contextLength: 256, sequences: 2 })
  app = createApp(model, { name: 'demo', log: () => {} })
  app.model = model
  const headers = { accept: 'text/event-stream' }
  const stream = await app.fetch(new Request('http://localhost/v1/completions', { method: 'POST', headers, body: JSON.stringify(resumed) }))
  app.lastId = /^id: (\S+)$/m.exec(await stream.text())?.[1]
  if (app.lastId === undefined) throw new Error('a stream without ids of events')
  return app
}

/** A stream that goes on behind an event that the client says it has. */
function resumption(random) {
  const last = random.chance(0.5) ? random.pick(eventIds) : mutateText(random, random.pick(eventIds), ['.', '-', '{LAST}', '.e', '0'], 400)
  const body = random.chance(0.7) ? resumed : mutateJson(random, resumed)
  const own = { ...headers, accept: 'text/event-stream', 'last-event-id': last }
  return { path: random.chance(0.8) ? '/v1/completions' : '/v1/chat/completions', method: 'POST', headers: own, body: JSON.stringify(body) }
}

/** The input is JSON: path, method, headers, and the body as a text. */
export const requests = {
  name: 'requests',
  share: 0.1,
  threads: true,
  make(random) {
    if (random.chance(0.15)) return new TextEncoder().encode(JSON.stringify(resumption(random)))
    const { path, method = 'POST', body } = random.pick(originals)
    const text = JSON.stringify(random.chance(0.9) ? mutateJson(random, body ?? {}) : body) ?? ''
    return new TextEncoder().encode(
      JSON.stringify({
        path: random.chance(0.1) ? mutateText(random, path, paths, 500) : path,
        method: random.chance(0.05) ? random.pick(['GET', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'HEAD', 'POST']) : method,
        headers: random.chance(0.15) ? mutateJson(random, headers) : headers,
        body: random.chance(0.15) ? mutateText(random, text, ['{', '}', '[', '"', '\\u0000', '1e999'], 5000) : text,
      }),
    )
  },
  async use(bytes) {
    const { lastId } = await served()
    const request = requestOf(new TextEncoder().encode(new TextDecoder().decode(bytes).replaceAll('{LAST}', lastId)))
    if (!request) return
    await checkAnswer(request, await (await served()).fetch(request))
  },
  async close() {
    await app?.close()
    await app?.model.close()
    app = undefined
  },
}

/** Throws where an answer is none that a client should get. */
export async function checkAnswer({ method }, response) {
  const text = await response.text()
  const { status } = response
  if (!(status < 500 || [501, 503].includes(status))) throw new Error(`status ${status}: ${text.slice(0, 500)}`)
  if (status >= 400 && method !== 'HEAD') checkRefusal(status, text)
  if (/ at .*\.js:\d+|node:internal|\/dist\//.test(text)) throw new Error(`the answer tells what is inside: ${text.slice(0, 500)}`)
}

/** Undefined where no client could send such a request. */
export function requestOf(bytes) {
  try {
    const { path, method, headers, body } = JSON.parse(new TextDecoder().decode(bytes))
    const hasBody = !['GET', 'HEAD'].includes(method)
    return new Request(`http://localhost${path}`, { method, headers, ...(hasBody && { body }) })
  } catch {
    return undefined
  }
}

function checkRefusal(status, text) {
  const { error } = JSON.parse(text)
  const message = typeof error === 'string' ? error : error?.message
  if (typeof message !== 'string' || message.length === 0) throw new Error(`status ${status} without a message: ${text.slice(0, 300)}`)
}
