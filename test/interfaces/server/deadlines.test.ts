import { connect } from 'node:net'
import { describe, expect, test } from 'vitest'
import { createApp } from '../../../dist/server.js'
import { capital, endless, ndjson, sseEvents, until, withServer } from './served.js'

const served = withServer({ pingSeconds: 5 })
const long = { model: 'demo', temperature: 0, prompt: endless, max_tokens: -1, ignore_eos: true }
const idle = () => {
  const { running, waiting, suspended, kvFree, kvTokens } = served.model.status()
  return running + waiting + suspended === 0 && kvFree === kvTokens
}

describe('a request that takes too long', () => {
  test('is a 504 in the shape of its API, where nothing has been sent; the client need not try again', async () => {
    const release = await served.held()
    const [chat, text, ollama] = await Promise.all([
      served.post('/v1/chat/completions', { messages: capital, timeout: 0.05 }),
      served.post('/v1/completions', long, { headers: { 'x-envoy-expected-rq-timeout-ms': '50' } }),
      served.post('/api/chat', { model: 'demo', messages: capital, timeout: 0.05, stream: false }),
    ])
    expect([chat.status, text.status, ollama.status]).toEqual([504, 504, 504])
    expect(chat.headers.get('x-should-retry')).toBe('false')
    expect(await chat.json()).toEqual({
      error: { message: 'the request took longer than 0.05 seconds', type: 'timeout_error', param: null, code: 'timeout' },
    })
    expect((await text.json()).error.type).toBe('timeout_error')
    expect(await ollama.json()).toEqual({ error: 'the request took longer than 0.05 seconds' })
    await release()
    await served.idle()
    const timeouts = served.logs.filter(({ outcome }) => outcome === 'timeout')
    expect(timeouts).toHaveLength(3)
    expect(timeouts[0]).toMatchObject({ status: 504, error: 'timeout' })
  })

  test('is an error event, where a stream has begun: what came before it is the beginning of the answer', async () => {
    const whole = (await served.model.generate(endless, { temperature: 0, ignoreEos: true })).text
    const release = await served.held()
    const [events, lines] = await Promise.all([
      served.post('/v1/completions', { ...long, stream: true, timeout: 0.2 }).then(sseEvents),
      served.post('/api/generate', { model: 'demo', prompt: endless, raw: true, timeout: 0.2 }).then(ndjson),
    ])
    await release()
    expect(events.at(-1)).toMatchObject({ error: { type: 'timeout_error', code: 'timeout' } })
    expect(lines.at(-1)).toEqual({ error: 'the request took longer than 0.2 seconds' })
    expect(
      whole.startsWith(
        events
          .slice(0, -1)
          .map(({ choices }) => choices[0].text)
          .join(''),
      ),
    ).toBe(true)
    await served.idle()
  })

  test('is told to a client that reads late, and holds no pages until then', async () => {
    const app = createApp(served.model, { name: 'demo' })
    const body = JSON.stringify({ ...long, stream: true, timeout: 0.2 })
    const response = await app.fetch(new Request('http://localhost/v1/completions', { method: 'POST', body }))
    await until(() => served.model.status().running > 0)
    await until(idle) // nobody has read
    expect((await sseEvents(response)).at(-1)).toMatchObject({ error: { code: 'timeout' } })
  })

  test('is the body of a 200, where only spaces have been sent', async () => {
    const server = await served.start({ name: 'demo', pingSeconds: 0.01, timeoutSeconds: 0.2 })
    const release = await served.held()
    const response = await fetch(`${server.url}/v1/chat/completions`, { method: 'POST', body: JSON.stringify({ messages: capital }) })
    expect([response.status, await response.json()]).toMatchObject([200, { error: { code: 'timeout' } }])
    await release()
  })
})

test("the shorter of the server's limit and the request's counts, and a request in time knows nothing of it", async () => {
  const server = await served.start({ name: 'demo', timeoutSeconds: 2 })
  const ask = (body: object) => fetch(`${server.url}/v1/completions`, { method: 'POST', body: JSON.stringify(body) })
  expect((await ask({ prompt: 'Once', max_tokens: 1, timeout: 100 })).status).toBe(200)
  const release = await served.held()
  const response = await ask({ ...long, timeout: 100 })
  expect([response.status, (await response.json()).error.message]).toEqual([504, 'the request took longer than 2 seconds'])
  await release()
  await until(() => server.logs.length === 2)
  expect(server.logs.map(({ outcome }) => outcome)).toEqual(['done', 'timeout'])
  await server.close()
})

test.each([0, -1, '1', true])('a limit of %j is refused', async (timeout) => {
  const response = await served.post('/v1/completions', { prompt: 'a', timeout })
  expect([response.status, (await response.json()).error.param]).toEqual([400, 'timeout'])
})

test('a body that comes too slowly is a 408', async () => {
  const server = await served.start({ name: 'demo', bodySeconds: 0.1 })
  const answer = await new Promise<string>((resolve) => {
    let text = ''
    const socket = connect(server.port, '127.0.0.1')
    socket.on('data', (chunk) => {
      text += chunk
      if (text.includes('timeout_error')) socket.destroy()
    })
    socket.on('error', () => {}).on('close', () => resolve(text))
    socket.write('POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n{"prompt":')
  })
  expect(answer).toMatch(/^HTTP\/1\.1 408 /)
  expect(answer).toContain('"type":"timeout_error"')
  await server.close()
})
