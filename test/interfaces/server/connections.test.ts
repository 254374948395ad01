import { connect } from 'node:net'
import { expect, test } from 'vitest'
import { capital, endless, inBun, inDeno, until, withServer } from './served.js'

const served = withServer({ maxQueue: 0 })

/** A connection over which requests go out by hand. */
function connection() {
  const socket = connect(served.server.port, '127.0.0.1')
  let read = ''
  let closed = false
  socket.setEncoding('utf8').on('data', (text) => {
    read += text
  })
  socket
    .on('error', () => {})
    .on('close', () => {
      closed = true
    })
  return {
    send: (text: string) => socket.write(text),
    end: () => socket.destroy(),
    get closed() {
      return closed
    },
    /** The next answer, which has a length. */
    async answer(): Promise<{ status: number; headers: string; body: string }> {
      for (;;) {
        const [head, headers] = /^(HTTP.*?)\r\n\r\n/s.exec(read) ?? []
        const length = Number(/^content-length: (\d+)$/im.exec(headers ?? '')?.[1] ?? 0)
        if (head !== undefined && read.length >= head.length + length) {
          const body = read.slice(head.length, head.length + length)
          read = read.slice(head.length + length)
          return { status: Number(headers!.slice(9, 12)), headers: headers!.toLowerCase(), body }
        }
        const before = read.length
        await until(() => read.length > before || closed)
        if (closed && read.length === before) throw new Error(`the connection ended after ${JSON.stringify(read)}`)
      }
    },
  }
}

const post = (body: string, headers = '', path = '/v1/chat/completions') =>
  `POST ${path} HTTP/1.1\r\nHost: localhost\r\n${headers}Content-Length: ${body.length}\r\n\r\n${body}`
const chat = JSON.stringify({ messages: capital, temperature: 0 })

test('a connection is used again, after errors too', async () => {
  const one = connection()
  for (const [sent, status] of [
    ['GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n', 200],
    [post('{'), 400],
    ['GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n', 404],
    ['GET /health HTTP/1.1\r\nHost: evil.example\r\n\r\n', 403],
    [post(chat), 200],
    [post(chat), 200],
  ] as const) {
    one.send(sent)
    const answer = await one.answer()
    expect(answer.status, sent).toBe(status)
    if (!inBun && !inDeno && status === 200) expect(answer.headers).toContain('keep-alive: timeout=65')
  }
  expect(one.closed).toBe(false)
  one.end()
})

// Bun ends a connection over which a second request comes before the first is answered
test.skipIf(inBun)('requests that come at once are answered in their order', async () => {
  const one = connection()
  one.send(`${post(chat)}GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n${post('{"content": "Once"}', '', '/tokenize')}`)
  const answers = [await one.answer(), await one.answer(), await one.answer()].map(({ body }) => JSON.parse(body))
  expect(answers).toMatchObject([{ object: 'chat.completion' }, { status: 'ok' }, { tokens: expect.any(Array) }])
  one.end()
})

test('a client that asks before it sends its body is told to go on', async () => {
  const one = connection()
  one.send(post(chat, 'Expect: 100-continue\r\n').slice(0, -chat.length))
  expect((await one.answer()).status).toBe(100)
  one.send(chat)
  expect((await one.answer()).status).toBe(200)
  one.end()
})

test('slots and metrics tell of answers that are being written, and of none afterwards', async () => {
  const leaving = new AbortController()
  const body = { prompt: endless, max_tokens: -1, ignore_eos: true, stream: true }
  const busy = async () => {
    const slots: { is_processing: boolean }[] = await (await fetch(`${served.server.url}/slots`)).json()
    return slots.filter((slot) => slot.is_processing).length
  }
  const gauge = async (name: string) => {
    const text = await (await fetch(`${served.server.url}/metrics`)).text()
    return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)![1])
  }
  const release = await served.held()
  const responses = await Promise.all([1, 2].map(() => served.post('/v1/completions', body, { signal: leaving.signal })))
  expect([await gauge('mixtral_requests_inside'), await gauge('mixtral_sequences_waiting')]).toEqual([2, 2])
  await release()
  await Promise.all(responses.map((response) => response.body!.getReader().read()))
  await until(async () => (await busy()) === 2)
  expect(await gauge('mixtral_kv_usage_ratio')).toBeGreaterThan(0)
  leaving.abort()
  await until(async () => (await busy()) === 0)
  await served.idle()
  expect([await gauge('mixtral_requests_inside'), await gauge('mixtral_kv_usage_ratio')]).toEqual([0, 0])
})

test('headers tell proxies and clients what they need', async () => {
  const stream = await served.post('/v1/chat/completions', { messages: capital, temperature: 0, stream: true })
  expect(
    Object.fromEntries(['cache-control', 'x-accel-buffering', 'content-type'].map((name) => [name, stream.headers.get(name)])),
  ).toEqual({
    'cache-control': 'no-cache, no-transform',
    'x-accel-buffering': 'no',
    'content-type': 'text/event-stream',
  })
  await stream.text()
  const release = await served.held()
  const leaving = new AbortController()
  const body = { prompt: endless, stream: true }
  await Promise.all([1, 2, 3, 4].map(() => served.post('/v1/completions', body, { signal: leaving.signal })))
  const busy = await served.post('/v1/completions', body)
  expect([busy.status, busy.headers.get('retry-after'), busy.headers.get('x-request-id')?.length]).toEqual([503, '2', 36])
  leaving.abort()
  await release()
  await served.idle()
})

const streamed = (id: string) => post(JSON.stringify({ prompt: endless, stream: true }), `X-Request-Id: ${id}\r\n`, '/v1/completions')

// Bun and Deno do not say which connection a request came by
test.skipIf(inBun || inDeno)(
  'requests of a connection take one place in the queue, and all end when it closes, each with its line',
  async () => {
    const release = await served.held()
    const one = connection()
    one.send(Array.from({ length: 40 }, (_, i) => streamed(`piped${i}`)).join(''))
    const inside = async () => /^mixtral_requests_inside (\d+)$/m.exec(await (await fetch(`${served.server.url}/metrics`)).text())![1]
    await until(async () => (await inside()) === '1')
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(await inside()).toBe('1')
    one.end()
    await until(() => served.logs.filter(({ id, outcome }) => id.startsWith('piped') && outcome === 'left').length === 40)
    expect(await inside()).toBe('0')
    await release()
    await served.idle()
  },
)

test.skipIf(inBun || inDeno)('a connection with more than 64 requests without an answer is cut', async () => {
  const release = await served.held()
  const one = connection()
  one.send(Array.from({ length: 65 }, (_, i) => streamed(`many${i}`)).join(''))
  await until(() => one.closed)
  await release()
  await served.idle()
})

/** What comes over a connection until the server closes it. */
const whole = (text: string) =>
  new Promise<string>((resolve) => {
    const socket = connect(served.server.port, '127.0.0.1')
    let read = ''
    socket.setEncoding('utf8').on('data', (piece) => {
      read += piece
    })
    socket.on('error', () => {}).on('close', () => resolve(read))
    socket.write(text)
  })

// the others have servers of their own, which answer HTTP/1.0 in their ways
test.skipIf(inBun || inDeno)('HTTP/1.0: no host is needed, and the end of a stream is that of its connection', async () => {
  expect(await whole('GET /health HTTP/1.0\r\n\r\n')).toMatch(/^HTTP\/1\.1 200 .*\{"status":"ok"\}$/s)
  const body = JSON.stringify({ messages: capital, temperature: 0, stream: true })
  const answer = await whole(`POST /v1/chat/completions HTTP/1.0\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
  const [head, events] = answer.split('\r\n\r\n') as [string, string]
  expect(head.toLowerCase()).toMatch(/^http\/1\.1 200 /)
  expect(head.toLowerCase()).not.toContain('transfer-encoding')
  expect(events).toMatch(/^data: \{.*\}\n\ndata: \[DONE\]\n\n$/s) // no lengths between
  expect(await whole('GET /health HTTP/1.0\r\nHost: evil.example\r\n\r\n')).toMatch(/^HTTP\/1\.1 403 .*--allow-host/s)
})
