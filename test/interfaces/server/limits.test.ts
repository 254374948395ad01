import { connect, type Socket } from 'node:net'
import { expect, test } from 'vitest'
import { endless, inDeno, until, withServer } from './served.js'

const served = withServer({ stallSeconds: 0.5, maxQueue: 2 })

/** A connection that has sent this. */
function sent(text: string): { socket: Socket; read: () => string; closed: Promise<void> } {
  const socket = connect(served.server.port, '127.0.0.1')
  let answer = ''
  socket.on('data', (chunk) => {
    answer += chunk
  })
  const closed = new Promise<void>((resolve) => socket.on('error', () => {}).on('close', () => resolve()))
  socket.write(text)
  return { socket, read: () => answer, closed }
}

const request = (body: object, headers = '') => {
  const json = JSON.stringify(body)
  return `POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n${headers}Content-Length: ${json.length}\r\n\r\n${json}`
}

test('who does not read its answer loses it, and nobody waits for that', async () => {
  // some megabytes: more than sockets hold
  const body = { prompt: Array(64).fill(endless.repeat(30)), echo: true, logprobs: 20, max_tokens: 1, stream: true }
  const { socket, closed } = sent(request(body, 'X-Request-Id: unread\r\n'))
  socket.pause()
  await until(() => served.logs.some(({ id }) => id === 'unread'))
  expect(served.logs.find(({ id }) => id === 'unread')).toMatchObject({ status: 200, outcome: 'stalled' })
  await served.idle()
  expect((await served.json('/v1/completions', { prompt: 'Once', max_tokens: 2 })).usage.completion_tokens).toBe(2)
  socket.resume()
  if (inDeno) socket.destroy() // what the connection holds comes first, and its end when Deno says so
  await closed
})

test('headers of more than 16 KiB are refused', async () => {
  const { read, closed, socket } = sent(`GET /health HTTP/1.1\r\nHost: localhost\r\nX-Large: ${'a'.repeat(17_000)}\r\n\r\n`)
  await until(() => read().includes('\r\n\r\n'))
  expect(read()).toMatch(/^HTTP\/1\.1 431 /)
  socket.destroy()
  await closed
})

test('a client that leaves in its body, in the queue and in its answer leaves nothing behind', async () => {
  const body = { prompt: endless, max_tokens: -1, ignore_eos: true }
  const release = await served.held()
  const half = sent(request(body).slice(0, -10))
  const waiting = [sent(request(body)), sent(request({ ...body, stream: true }))]
  await until(async () => (await served.status()).waiting >= 2)
  half.socket.destroy()
  for (const { socket } of waiting) socket.destroy()
  await until(() => served.logs.filter(({ outcome }) => outcome === 'left').length >= 2)
  await release()
  await served.idle()
})

test('a thousand requests whose clients leave at once, and then a good one', { timeout: 60_000 }, async () => {
  const body = { prompt: 'Once upon a time', max_tokens: 30, ignore_eos: true, stream: true }
  for (let round = 0; round < 25; round++) {
    await Promise.all(
      Array.from({ length: 40 }, async (_, i) => {
        const { socket, closed, read } = sent(request(body))
        if (i % 4 > 0) await until(() => read() !== '') // refused, or begun
        socket.destroy()
        await closed
      }),
    )
  }
  await served.idle()
  expect((await served.json('/v1/completions', { ...body, stream: false })).usage.completion_tokens).toBe(30)
})

test('texts that no context can hold are refused before they become tokens, and those without an answer have a bound', async () => {
  const long = 'word '.repeat(400_000)
  const messages = [{ role: 'user', content: long }]
  for (const [path, body] of [
    ['/v1/chat/completions', { messages }],
    ['/v1/messages', { messages: [{ role: 'user', content: [{ type: 'text', text: long }] }], max_tokens: 1 }],
    ['/v1/responses', { input: long }],
    ['/api/chat', { model: 'demo', messages }],
    ['/v1/completions', { prompt: ['Once', long] }],
    ['/completion', { prompt: long }],
    ['/completion', { prompt: ' '.repeat(2_000_000) }],
    ['/api/generate', { model: 'demo', prompt: long }],
    ['/v1/embeddings', { input: long }],
  ] as const) {
    const response = await served.post(path, body)
    expect([path, response.status]).toEqual([path, 400])
    expect(await response.text()).toMatch(/the prompt has at least \d+ tokens, the context has room for \d+/)
  }
  for (const [path, body, message] of [
    ['/tokenize', { content: long }, 'the text has 2000000 bytes, expected at most 1048576'],
    ['/tokenize', { content: ' '.repeat(2_000_000) }, 'the text has 2000000 bytes'],
    ['/v1/messages/count_tokens', { messages }, 'the text has 2000000 bytes'],
    ['/apply-template', { messages }, 'the text has 2000000 bytes'],
    ['/api/embed', { model: 'demo', input: long }, 'the text has 2000000 bytes'],
    ['/api/embed', { model: 'demo', input: Array(2000).fill('word '.repeat(200)) }, 'the text has 2000000 bytes'],
    ['/api/embeddings', { model: 'demo', prompt: long }, 'the text has 2000000 bytes'],
    ['/detokenize', { tokens: Array(300_000).fill(5) }, 'tokens has 300000 ids, expected at most 262144'],
  ] as const) {
    const response = await served.post(path, body)
    expect([path, response.status]).toEqual([path, 400])
    expect(await response.text()).toContain(message)
  }
  // what is only long is counted
  expect((await (await served.post('/v1/completions', { prompt: 'word '.repeat(600) })).json()).error.message).toMatch(
    /^the prompt has \d+ tokens/,
  )
})

test('a body that nests too deeply is a 400 on every route', async () => {
  const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`
  const said = '"role": "user", "content": "x"'
  for (const [path, body] of [
    ['/v1/responses', `{"input": "x", "metadata": {"a": ${deep}}}`],
    ['/v1/responses', `{"input": "x", "tools": [{"type": "function", "name": "f", "parameters": {"a": ${deep}}}]}`],
    ['/api/chat', `{"model": "demo", "messages": [{${said}, "tool_calls": [{"function": {"name": "f", "arguments": {"a": ${deep}}}}]}]}`],
    [
      '/v1/messages',
      `{"max_tokens": 1, "messages": [{${said}}, {"role": "assistant", "content": [{"type": "tool_use", "input": {"a": ${deep}}}]}]}`,
    ],
  ] as const) {
    const response = await served.post(path, body)
    expect([path, response.status, await response.text()]).toEqual([path, 400, expect.stringContaining('nests more than 256 levels deep')])
  }
})
