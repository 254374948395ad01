import { expect, test } from 'vitest'
import { MixtralModel } from '../../../dist/index.js'
import { createApp, type RequestLog, serve } from '../../../dist/server.js'
import { capital, endless, ndjson, sseEvents, until, withServer } from './served.js'

const served = withServer({ maxQueue: 2, pingSeconds: 0.02, stallSeconds: 0.5, graceSeconds: 5 })
const chat = { model: 'demo', temperature: 0, messages: capital }
const long = { model: 'demo', temperature: 0, prompt: endless, max_tokens: -1, ignore_eos: true }
const lastLog = (id: string) => served.logs.find((entry) => entry.id === id)

test('health answers at once, and names neither key nor model', async () => {
  for (const path of ['/health', '/v1/health']) {
    const response = await fetch(served.server.url + path)
    expect([response.status, await response.json()]).toEqual([200, { status: 'ok' }])
  }
  expect(await (await fetch(served.server.url)).text()).toMatch(/^mixtral-wasm \d/)
  expect((await fetch(served.server.url, { method: 'HEAD' })).status).toBe(200)
})

test('models and props tell of the one that is loaded', async () => {
  const list = await (await fetch(`${served.server.url}/v1/models`)).json()
  expect(list).toMatchObject({ object: 'list', data: [{ id: 'demo', object: 'model', meta: { n_ctx: 512, n_vocab: 2048 } }] })
  for (const name of ['demo', 'demo:latest', 'demo%3Alatest', 'tiny-mixtral.Q4_K_M.gguf']) {
    expect((await (await fetch(`${served.server.url}/v1/models/${name}`)).json()).id).toBe('demo')
  }
  expect((await fetch(`${served.server.url}/v1/models/owner/other`)).status).toBe(404)
  const props = await (await fetch(`${served.server.url}/props`)).json()
  expect(props).toMatchObject({ total_slots: 4, model_alias: 'demo', default_generation_settings: { n_ctx: 512, params: { top_k: 40 } } })
  expect(props).toMatchObject({ chat_template: expect.stringContaining('[INST]'), chat_template_caps: { supports_tools: true } })
  const slots = await (await fetch(`${served.server.url}/slots`)).json()
  expect(slots).toEqual([0, 1, 2, 3].map((id) => ({ id, n_ctx: 512, is_processing: false })))
  expect(JSON.stringify([list, props])).not.toContain(process.cwd())
})

test('an unknown path is 404, a wrong method 405, what is known and missing 501, each in the shape of its API', async () => {
  const ask = async (path: string, method = 'GET') => {
    const response = await fetch(served.server.url + path, { method })
    return [response.status, await response.json()]
  }
  expect(await ask('/nowhere')).toEqual([404, { error: { code: 404, message: 'File Not Found', type: 'not_found_error' } }])
  expect((await ask('/v1/chat/completions'))[0]).toBe(405)
  expect(await ask('/v1/rerank', 'POST')).toMatchObject([501, { error: { type: 'not_supported_error', code: null } }])
  expect(await ask('/api/nowhere', 'POST')).toMatchObject([404, { error: expect.any(String) }])
})

test('a request is one line in the log, without its words, and has an id', async () => {
  const response = await served.post('/v1/chat/completions', chat, { headers: { 'x-request-id': 'mine.1' } })
  await response.json()
  expect(response.headers.get('x-request-id')).toBe('mine.1')
  await until(() => lastLog('mine.1') !== undefined)
  const entry = lastLog('mine.1')!
  expect(entry).toMatchObject({
    method: 'POST',
    route: '/v1/chat/completions',
    status: 200,
    outcome: 'done',
    promptTokens: 14,
    completionTokens: 7,
  })
  expect(JSON.stringify(entry)).not.toMatch(/capital|Paris/)
  const made = (await fetch(`${served.server.url}/nowhere/secret`, { headers: { 'x-request-id': 'a b\tc' } })).headers.get('x-request-id')!
  expect(made).toMatch(/^[\da-f-]{36}$/)
  expect(lastLog(made)!.route).not.toContain('secret')
})

test('a client that leaves a stream frees its pages, and disturbs nobody', async () => {
  const leaving = new AbortController()
  const other = served.json('/v1/completions', { ...long, max_tokens: 60 })
  const response = await served.post(
    '/v1/completions',
    { ...long, stream: true },
    { signal: leaving.signal, headers: { 'x-request-id': 'left' } },
  )
  await response.body!.getReader().read()
  leaving.abort()
  await until(() => lastLog('left') !== undefined)
  expect(lastLog('left')).toMatchObject({ outcome: 'left' })
  expect((await other).usage.completion_tokens).toBe(60)
  await served.idle()
})

test('a client that leaves before its answer ends the work too', async () => {
  const leaving = new AbortController()
  const response = served.post('/v1/completions', long, { signal: leaving.signal, headers: { 'x-request-id': 'early' } })
  await until(async () => (await served.status()).running > 0)
  leaving.abort()
  await expect(response).rejects.toThrow()
  await until(() => lastLog('early') !== undefined)
  await served.idle()
})

test('the queue is bounded: one more request gets 503 and is told when to come again; a waiting one can leave', async () => {
  const release = await served.held()
  const controllers = Array.from({ length: 6 }, () => new AbortController())
  const waiting = controllers.map(({ signal }) => served.post('/v1/completions', { ...long, stream: true }, { signal }))
  expect((await Promise.all(waiting)).map(({ status }) => status)).toEqual(Array(6).fill(200))
  const refused = await served.post('/v1/chat/completions', { ...chat, stream: true })
  expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '2'])
  expect((await refused.json()).error).toMatchObject({ type: 'unavailable_error' })
  expect((await fetch(`${served.server.url}/health`)).status).toBe(200)
  const left = () => served.logs.filter(({ outcome }) => outcome === 'left').length
  const before = left()
  for (const controller of controllers.slice(1)) controller.abort()
  await until(() => left() === before + 5)
  const last = served.json('/v1/chat/completions', chat)
  await release()
  expect((await last).choices[0].finish_reason).toBe('stop')
  controllers[0]!.abort()
  await served.idle()
})

test('a waiting request has headers and signs of life before its first token', async () => {
  const release = await served.held()
  const response = await served.post('/v1/chat/completions', { ...chat, stream: true })
  const whole = await served.post('/v1/chat/completions', chat) // its headers, too, come before its answer
  const lines = await served.post('/api/chat', { ...chat, stream: true })
  expect([response.status, whole.status, lines.status]).toEqual([200, 200, 200])
  const reader = response.body!.getReader()
  let text = ''
  while (!text.includes(':\n\n')) text += new TextDecoder().decode((await reader.read()).value)
  expect(text).toMatch(/^data: \{[^\n]*"role":"assistant"[^\n]*\n\n(:\n\n)+$/)
  await release()
  while (!text.includes('[DONE]')) text += new TextDecoder().decode((await reader.read()).value)
  const body = await whole.text()
  expect(body).toMatch(/^ +\{/)
  expect(JSON.parse(body).choices[0].message.content).toBe('The capital of France is Paris.')
  const objects = await ndjson(lines)
  expect(objects[0]).toMatchObject({ message: { role: 'assistant', content: '' }, done: false })
  expect(objects.map(({ message }) => message.content).join('')).toBe('The capital of France is Paris.')
})

test('an error after the headers of a whole answer is its body', async () => {
  const model = await MixtralModel.load('demo', { threads: 1 })
  const app = createApp(model, { name: 'demo', pingSeconds: 0.01 })
  const tensors = model.traceEach([1, 2, 3], { hold: true })
  await tensors.next()
  const response = await app.fetch(new Request('http://localhost/v1/chat/completions', { method: 'POST', body: JSON.stringify(chat) }))
  await Promise.all([model.close(), tensors.return(undefined).catch(() => {})])
  expect([response.status, await response.json()]).toMatchObject([200, { error: { type: 'unavailable_error' } }])
})

/** Of an app in this process. */
const idle = () => {
  const { running, waiting, suspended, kvFree, kvTokens } = served.model.status()
  return running + waiting + suspended === 0 && kvFree === kvTokens
}

test('a client that does not read is dropped', async () => {
  const logs: RequestLog[] = []
  const app = createApp(served.model, { name: 'demo', stallSeconds: 0.05, log: (entry) => logs.push(entry) })
  const body = JSON.stringify({ ...long, stream: true })
  let response: Response | undefined
  // as Node does: who writes to a connection that is cut ends the stream
  const outgoing = { destroy: () => void response!.body!.cancel() }
  response = await app.fetch(new Request('http://localhost/v1/completions', { method: 'POST', body }), { outgoing })
  await until(() => logs.length > 0)
  expect(logs).toMatchObject([{ outcome: 'stalled', status: 200 }])
  await until(idle)
})

test('who does not read makes only its own generation wait', async () => {
  const app = createApp(served.model, { name: 'demo' })
  const ask = (body: object) => app.fetch(new Request('http://localhost/v1/completions', { method: 'POST', body: JSON.stringify(body) }))
  const body = { ...long, max_tokens: 200, stream: true }
  const unread = await ask(body)
  await until(() => served.model.status().running > 0)
  // it has twice as many tokens: the first would end before it, if it did not wait
  expect((await (await ask({ ...long, max_tokens: 400 })).json()).usage.completion_tokens).toBe(400)
  expect(served.model.status().running).toBe(1)
  const text = (await sseEvents(unread)).map(({ choices }) => choices[0].text).join('')
  expect(text).toBe((await served.model.generate(endless, { temperature: 0, maxNewTokens: 200, ignoreEos: true })).text)
  const left = await ask(body)
  await until(() => served.model.status().running > 0)
  await left.body!.cancel()
  await until(idle)
})

test('an answer whose pieces are all there lets others work in between', async () => {
  const app = createApp(served.model, { name: 'demo' })
  const body = JSON.stringify({ prompt: Array(30).fill('x '.repeat(200)), echo: true, logprobs: 20, max_tokens: 0, stream: true })
  const read = async () => (await app.fetch(new Request('http://localhost/v1/completions', { method: 'POST', body }))).text()
  const text = await read() // from now on the scores are known
  let turns = 0
  let reads = true
  const count = () => {
    turns++
    if (reads) setImmediate(count)
  }
  count()
  expect((await read()).length).toBe(text.length)
  reads = false
  expect(turns).toBeGreaterThan(10)
})

test('requests at the same time get what each gets alone', async () => {
  const bodies = Array.from({ length: 6 }, (_, i) => ({ ...chat, temperature: 1.5, seed: i, max_tokens: 12, logprobs: true }))
  const together = await Promise.all(bodies.map(async (body) => (await served.json('/v1/chat/completions', body)).choices))
  for (const [i, body] of bodies.entries()) expect((await served.json('/v1/chat/completions', body)).choices).toEqual(together[i])
})

test('an error in mid-stream is an event, and the connection is not cut', async () => {
  const model = await MixtralModel.load('demo', { threads: 1 })
  const app = createApp(model, { name: 'demo' })
  const body = JSON.stringify({ ...long, stream: true })
  const response = await app.fetch(new Request('http://localhost/v1/completions', { method: 'POST', body }))
  const events = sseEvents(response)
  await until(() => model.status().running > 0)
  await model.close()
  expect((await events).at(-1)).toMatchObject({ error: { type: 'unavailable_error', message: 'the model was closed' } })
})

test('closing lets running requests end, refuses new ones, and ends those that take too long', async () => {
  const server = await served.start({ name: 'demo' })
  const body = JSON.stringify({ ...long, max_tokens: 50, stream: true })
  const running = await fetch(`${server.url}/v1/completions`, { method: 'POST', body })
  const closed = server.close()
  await until(() => fetch(`${server.url}/health`).then(({ status, headers }) => status === 503 && headers.get('retry-after') === '2'))
  expect((await sseEvents(running)).at(-1).choices[0].finish_reason).toBe('length')
  await closed

  const strict = await served.start({ name: 'demo', graceSeconds: 0 })
  const cut = await fetch(`${strict.url}/v1/completions`, { method: 'POST', body: JSON.stringify({ ...long, stream: true }) })
  const [events] = await Promise.all([sseEvents(cut), strict.close()])
  expect(events.at(-1)).toMatchObject({ error: { message: 'the server is shutting down' } })
  await served.idle()
})

test('an app answers without a socket', async () => {
  const app = createApp(served.model, { name: 'mine' })
  const body = JSON.stringify({ temperature: 0, messages: capital })
  const response = await app.fetch(new Request('http://localhost/v1/chat/completions', { method: 'POST', body }))
  const streamed = await app.fetch(
    new Request('http://localhost/v1/chat/completions', { method: 'POST', body: body.replace('{', '{"stream":true,') }),
  )
  // a header of HTTP/1 alone, which Node's adapter asks for
  expect(streamed.headers.get('transfer-encoding')).toBeNull()
  expect((await sseEvents(streamed)).at(-1).choices[0].finish_reason).toBe('stop')
  expect(await response.json()).toMatchObject({ model: 'mine', choices: [{ message: { content: 'The capital of France is Paris.' } }] })
})

test('options of a server are checked', async () => {
  const wrong = [{ port: -1 }, { host: '' }, { maxQueue: -1 }, { apiKeys: 'key' }, { pingSeconds: '1' }, { name: 'a b' }, { other: 1 }]
  const never = [
    ...[{ apiKeys: ['a b'] }, { apiKeys: ['schl\u00fcssel'] }, { allowedOrigins: ['https://page.example/chat'] }, []],
    ...[{ allowedHosts: ['http://box.example'] }, { allowedHosts: ['box.example:80'] }],
  ]
  for (const options of [...wrong, ...never]) await expect(serve(served.model, options as object)).rejects.toMatchObject({ code: 'OPTION' })
  await expect(serve(served.model, { port: served.server.port })).rejects.toMatchObject({ code: 'IO' })
})

test('a log that throws is warned of once, and costs no answer', async () => {
  const warnings: string[] = []
  const note = (warning: Error) => void warnings.push(warning.message)
  process.on('warning', note)
  const app = createApp(served.model, {
    log: () => {
      throw new Error('full')
    },
  })
  for (const stream of [false, true]) {
    const body = JSON.stringify({ temperature: 0, messages: capital, stream })
    const response = await app.fetch(new Request('http://localhost/v1/chat/completions', { method: 'POST', body }))
    expect(await response.text()).toContain('Paris')
  }
  await new Promise((resolve) => setImmediate(resolve))
  process.off('warning', note)
  expect(warnings.filter((text) => text.includes('log of a server'))).toHaveLength(1)
})

test('what is no model, and no request, is told as such', async () => {
  for (const models of [undefined, null, {}, 'demo', []]) {
    expect(() => createApp(models as never)).toThrow(expect.objectContaining({ code: 'OPTION' }))
    await expect(serve(models as never, { port: 0 })).rejects.toMatchObject({ code: 'OPTION' })
  }
  const app = createApp(served.model)
  for (const request of [undefined, 'http://localhost/', {}]) {
    await expect(app.fetch(request as never)).rejects.toMatchObject({ code: 'OPTION' })
  }
})

test('a wrong method is told the right ones', async () => {
  const response = await fetch(`${served.server.url}/v1/completions`)
  expect([response.status, response.headers.get('allow')]).toEqual([405, 'POST'])
})
