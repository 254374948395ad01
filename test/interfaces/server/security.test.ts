import { request as httpRequest } from 'node:http'
import { connect } from 'node:net'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isAllowedOrigin, isLoopback, isOwnHost } from '../../../dist/interfaces/server/security/hosts.js'
import { createApp } from '../../../dist/server.js'
import { capital, inBun, inDeno, type Json, withServer } from './served.js'

const served = withServer({
  apiKeys: ['first', 'second'],
  allowedHosts: ['box.example'],
  allowedOrigins: ['https://page.example'],
  bodyBytes: 20_000,
})
const key = { authorization: 'Bearer second' }
const chat = { temperature: 0, max_tokens: 1, messages: capital }

/** A request with headers that fetch would not send. */
function raw(
  path: string,
  headers: Record<string, string>,
  method = 'GET',
): Promise<{ status: number; headers: Record<string, Json>; body: string }> {
  return new Promise((resolve, reject) => {
    const sent = httpRequest({ port: served.server.port, path, method, headers }, (response) => {
      let body = ''
      response.on('data', (chunk) => {
        body += chunk
      })
      response.on('end', () => resolve({ status: response.statusCode!, headers: response.headers, body }))
    })
    sent.on('error', reject).end()
  })
}

/** What a server writes to bytes that need not be a request. */
function bytes(text: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(served.server.port, '127.0.0.1')
    let answer = ''
    socket.on('data', (chunk) => {
      answer += chunk
    })
    socket.on('error', () => {}).on('close', () => resolve(answer))
    socket.end(text)
  })
}

describe('hosts and origins', () => {
  test.each([
    ...[
      'localhost',
      'LOCALHOST:8080',
      'localhost.',
      'a.localhost',
      '127.0.0.1:1',
      '[::1]:80',
      '192.168.1.5',
      'box.example:80',
      'host.docker.internal:80',
      'Box.local',
      'a.home.arpa',
    ].map((host) => [host, true] as const),
    ...[
      'evil.example',
      'localhost.evil.example',
      'box.example.evil',
      'localhost@evil',
      '127.0.0.1.nip.io',
      '',
      'a b',
      '[::1',
      'box.lan',
      'local',
      'x.local.example',
      'evillocal',
    ].map((host) => [host, false] as const),
  ])('host %j is ours: %s', (host, expected) => {
    expect(isOwnHost(host, ['box.example'])).toBe(expected)
  })

  test.each([
    ...[
      'http://localhost:3000',
      'https://127.0.0.1',
      'app://x',
      'tauri://localhost',
      'vscode-webview://a',
      'https://page.example',
      'http://box.example',
    ].map((origin) => [origin, true] as const),
    ...[
      'null',
      'https://evil.example',
      'http://localhost.evil.example',
      'https://page.example.evil',
      'http://192.168.1.9',
      'javascript://localhost',
    ].map((origin) => [origin, false] as const),
  ])('a page of %s may call: %s', (origin, expected) => {
    expect(isAllowedOrigin(origin, 'box.example', ['https://page.example'])).toBe(expected)
  })

  test.each([
    ...['127.0.0.1', '127.1.2.3', '::1', 'localhost'].map((address) => [address, true] as const),
    ...['0.0.0.0', '::', '192.168.0.1', '127.0.0.1.example', 'example.org'].map((address) => [address, false] as const),
  ])('%s reaches this machine alone: %s', (address, expected) => {
    expect(isLoopback(address)).toBe(expected)
  })

  test('a foreign host or page is refused before anything else, health too', async () => {
    for (const headers of [
      { host: 'evil.example' },
      { origin: 'https://evil.example' },
      { origin: 'null' },
      { 'sec-fetch-site': 'cross-site' },
    ]) {
      const { status, body } = await raw('/health', headers)
      expect([status, JSON.parse(body).error.type]).toEqual([403, 'permission_error'])
    }
    expect(
      (await bytes('GET http://evil.example/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')).split('\r\n')[0],
    ).toMatch(inBun ? / 200 / : / 40[03] /) // Bun knows the header alone, and that is localhost here
    expect((await raw('/health', { host: 'box.example' })).status).toBe(200)
  })

  test('an allowed page gets its headers, and an answer to its preflight without a key', async () => {
    const origin = 'https://page.example'
    const preflight = await raw('/v1/models', { origin, 'access-control-request-headers': 'authorization' }, 'OPTIONS')
    expect(preflight).toMatchObject({
      status: 204,
      headers: { 'access-control-allow-origin': origin, 'access-control-allow-headers': 'authorization', vary: 'Origin' },
    })
    const answer = await raw('/v1/models', { origin, ...key })
    expect([answer.status, answer.headers['access-control-allow-origin']]).toEqual([200, origin])
    expect((await raw('/v1/models', { origin: 'https://evil.example', ...key })).headers['access-control-allow-origin']).toBeUndefined()
  })
})

describe('keys', () => {
  test.each([
    [{}, 401],
    [{ authorization: 'Bearer wrong' }, 401],
    [{ authorization: 'first' }, 401],
    [{ authorization: 'Bearer ' }, 401],
    [{ 'x-api-key': 'firs' }, 401],
    [{ 'x-api-key': 'first' }, 200],
    [{ 'x-api-key': 'first', authorization: 'Bearer wrong' }, 200],
    [{ authorization: 'bearer first' }, 200],
    [key, 200],
  ])('with %j the status is %i', async (headers, status) => {
    const { status: found, body } = await raw('/v1/models', headers as Record<string, string>)
    expect(found).toBe(status)
    if (status === 401) expect(JSON.parse(body).error).toMatchObject({ message: 'Invalid API Key', type: 'authentication_error' })
  })

  test('health and the greeting need none, everything else does, and tells nothing without', async () => {
    expect((await raw('/health', {})).status).toBe(200)
    expect((await raw('/', {})).status).toBe(200)
    for (const path of ['/props', '/metrics', '/v1/models/demo', '/nowhere', '/api/tags', '/v1/embeddings'])
      expect((await raw(path, {})).status).toBe(401)
    expect((await served.post('/v1/chat/completions', chat)).status).toBe(401)
  })
})

describe('hostile bodies', () => {
  const post = (body: string | Uint8Array, headers = {}, path = '/v1/chat/completions') =>
    fetch(served.server.url + path, { method: 'POST', body: body as BodyInit, headers: { ...key, ...headers } })

  test.each<[string, string | Uint8Array, number, object]>([
    ['nothing', '', 400, {}],
    ['no JSON', '{', 400, {}],
    ['a list', '[]', 400, {}],
    ['null', 'null', 400, {}],
    ['bytes that are no UTF-8', Uint8Array.of(0x7b, 0xff, 0x7d), 400, {}],
    ['too much', JSON.stringify({ messages: [{ role: 'user', content: 'x'.repeat(30_000) }] }), 413, {}],
    ['compressed', JSON.stringify(chat), 415, { 'content-encoding': 'gzip' }],
    ['nested deeply', `{"messages":${'['.repeat(9000)}${']'.repeat(9000)}}`, 400, {}],
    [
      'a schema nested deeply',
      JSON.stringify({ ...chat, json_schema: 1 }).replace(
        '"json_schema":1',
        `"json_schema":${'{"not":'.repeat(1500)}{}${'}'.repeat(1500)}`,
      ),
      400,
      {},
    ],
    ['__proto__', '{"__proto__":{"messages":[{"role":"user","content":"x"}]}}', 400, {}],
    ['another content type', JSON.stringify(chat), 200, { 'content-type': 'application/x-www-form-urlencoded' }],
  ])('%s', async (_, body, status, headers) => {
    const response = await post(body, headers)
    const text = await response.text()
    expect(response.status, text).toBe(status)
    expect(text).not.toMatch(/dist\/|node_modules|\.ts:|\.js:/)
  })

  test.each<[string, string, string]>([
    ['/v1/completions', '"prompt"', 'null'],
    ['/v1/completions', '"prompt"', '[]'],
    ['/v1/chat/completions', '"messages"', '1'],
    ['/v1/chat/completions', '"messages":[{"role":"user","content":"a"}],"bad_words"', '"ab"'],
    ['/api/chat', '"model":"demo","messages"', '1'],
    ['/api/chat', '"model":"demo","messages":[{"role":"assistant"}],"tools"', '1'],
    ['/detokenize', '"tokens"', 'null'],
  ])('%s with half a million items in %s, each %s, is refused without an object for each', async (path, fields, item) => {
    const app = createApp(served.model, { name: 'demo' })
    const body = `{${fields}:[${Array(500_000).fill(item).join()}]}`
    globalThis.gc?.()
    const before = process.memoryUsage().heapUsed
    const response = await app.fetch(new Request(`http://localhost${path}`, { method: 'POST', body }))
    const grown = process.memoryUsage().heapUsed - before
    const text = await response.text()
    expect([response.status, text.length < 500], text.slice(0, 500)).toEqual([400, true])
    expect(grown).toBeLessThan(150e6) // an object for each would be more
  })

  test('a body of unknown length is counted', async () => {
    const body = `5000\r\n${' '.repeat(0x5000)}\r\n`.repeat(3)
    const answer = await bytes(
      `POST /tokenize HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: first\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n${body}0\r\n\r\n`,
    )
    expect(answer.split('\r\n')[0]).toBe('HTTP/1.1 413 Payload Too Large')
  })

  test.each([
    ['a length that lies', 'POST /tokenize HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: first\r\nContent-Length: 50\r\n\r\n{}'],
    ['two lengths', 'POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}'],
    ['length and chunks', 'POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
    ['no HTTP', '\u0000\u0001\u0002'],
    ['large headers', `GET / HTTP/1.1\r\nHost: localhost\r\nX: ${'a'.repeat(40_000)}\r\n\r\n`],
    ['no host', 'GET /health HTTP/1.1\r\n\r\n'],
    ['a path with tricks', 'GET /../../etc/passwd HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'],
    ['an encoded path', 'GET /v1/models/%2e%2e%2f%00%ff HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'],
  ])('%s', async (name, text) => {
    const withoutHost = inDeno && name === 'no host' // which has then the name of the address, and no page sends that
    expect((await bytes(text)).split('\r\n')[0]).toMatch(withoutHost ? / 200 / : /^$|HTTP\/1.1 4\d\d/)
    expect((await raw('/health', {})).status).toBe(200)
  })

  test('mutated bodies of every endpoint get an answer of the right shape, and the server lives', async () => {
    const value = fc.jsonValue({ maxDepth: 3 })
    const names = fc.constantFrom(
      ...[
        'model',
        'messages',
        'prompt',
        'stop',
        'n',
        'logprobs',
        'top_logprobs',
        'logit_bias',
        'response_format',
        'tools',
        'tool_choice',
        'echo',
      ],
      ...[
        'seed',
        'temperature',
        'top_p',
        'stream_options',
        'grammar',
        'json_schema',
        'max_tokens',
        'content',
        'tokens',
        'samplers',
        'options',
        'format',
      ],
    )
    const bodies = fc.tuple(
      fc.constantFrom('/v1/chat/completions', '/v1/completions', '/tokenize', '/detokenize', '/api/chat', '/api/generate', '/api/show'),
      fc.dictionary(names, value, { maxKeys: 3 }),
    )
    await fc.assert(
      fc.asyncProperty(bodies, async ([path, changes]) => {
        const base = path.includes('chat') ? { messages: capital } : { prompt: 'a', content: 'a', tokens: [5] }
        const short = { model: 'demo', max_tokens: 1, options: { num_predict: 1 }, stream: false }
        const response = await post(JSON.stringify({ ...base, ...short, ...changes }), {}, path)
        const text = await response.text()
        expect([200, 400, 404, 501], `${path} ${JSON.stringify(changes)} ${text}`).toContain(response.status)
        const { error } = JSON.parse(text)
        expect(error === undefined).toBe(response.status === 200)
        if (error) expect(typeof (path.startsWith('/api') ? error : error.message)).toBe('string')
      }),
      { numRuns: 300 },
    )
    expect((await raw('/health', {})).status).toBe(200)
  })
})
