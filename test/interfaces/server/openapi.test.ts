import { Ajv2020 } from 'ajv/dist/2020.js'
import { beforeAll, describe, expect, test } from 'vitest'
import { operations, UNSUPPORTED } from '../../../dist/interfaces/server/openapi/operations.js'
import { capital, type Json, withServer } from './served.js'

const served = withServer()
let document: Json
beforeAll(async () => {
  document = await (await fetch(`${served.server.url}/openapi.json`)).json()
})

/** The check of a route's body. */
function validator(path: string) {
  const ajv = new Ajv2020({ strict: false })
  return ajv.compile(document.paths[path].post.requestBody.content['application/json'].schema)
}

const ask = (method: string, path: string, body?: object) =>
  fetch(served.server.url + path, { method: method.toUpperCase(), ...(body && { body: JSON.stringify(body) }) })

test('the document is of OpenAPI 3.1, and has the routes that are described, no more and no fewer', () => {
  expect(document.openapi).toBe('3.1.0')
  // a server of one model, as this one, has no store
  const store = ['/api/pull', '/api/copy', '/api/delete']
  const described = Object.keys(operations).flatMap((path) =>
    store.includes(path) ? [] : [path.replaceAll(/:(\w+)(\{[^}]*\})?/g, '{$1}')],
  )
  expect(Object.keys(document.paths).sort()).toEqual(described.sort())
  for (const [path, methods] of Object.entries<Json>(document.paths)) {
    for (const { summary } of Object.values<Json>(methods)) expect(summary, path).not.toBe(path)
  }
})

test('every route of the document answers, and a route that answers is in the document', async () => {
  for (const [path, methods] of Object.entries<Json>(document.paths)) {
    for (const method of Object.keys(methods)) {
      const response = await ask(method, path.replace('{id}', 'demo'), method === 'post' ? {} : undefined)
      expect([200, 400], `${method} ${path}`).toContain(response.status)
      expect(response.headers.get('content-type'), path).toMatch(/^(application\/json|text\/plain)/)
      await response.arrayBuffer()
    }
  }
  for (const path of UNSUPPORTED) {
    const concrete = path.replace('/*', '/x').replaceAll(/:\w+/g, 'x')
    const response = await ask('post', concrete, {})
    const body = JSON.stringify(await response.json())
    expect([response.status, body], path).toEqual([501, expect.stringContaining('is not supported')])
    expect(document.paths[concrete]?.post).toBeUndefined()
  }
})

/** Bodies that are accepted, and some that are not because of their types and ranges. */
const bodies: [path: string, right: object[], wrong: object[]][] = [
  [
    '/v1/chat/completions',
    [
      { messages: capital, temperature: 0, max_tokens: 2 },
      {
        messages: capital,
        max_tokens: 2,
        stop: ['x'],
        seed: -1,
        logit_bias: { 5: -1 },
        top_p: null,
        tools: [],
        response_format: { type: 'text' },
        unknown: 1,
      },
      { messages: [{ role: 'user', content: [{ type: 'text', text: 'a' }] }], max_tokens: 1, logprobs: true, top_logprobs: 20 },
    ],
    [
      {},
      { messages: [] },
      { messages: 'a' },
      { messages: [1] },
      { messages: capital, n: 0 },
      { messages: capital, top_p: 3 },
      { messages: capital, stream: 'yes' },
    ],
  ],
  [
    '/v1/completions',
    [
      { prompt: 'a', max_tokens: 1 },
      { prompt: [1, 300], max_tokens: 1, echo: true, logprobs: 1 },
      { prompt: ['a', 'b'], max_tokens: 1 },
      { prompt: [[1], [2]], max_tokens: 0, echo: true },
    ],
    [{}, { prompt: [] }, { prompt: [['a']] }, { prompt: 'a', logprobs: 21 }, { prompt: 'a', temperature: -1 }],
  ],
  [
    '/v1/embeddings',
    [{ input: 'a' }, { input: [1, 2], encoding_format: 'base64' }, { input: ['a'] }],
    [{}, { input: '' }, { input: [] }, { input: 'a', encoding_format: 'x' }],
  ],
  [
    '/v1/responses',
    [
      { input: 'a', max_output_tokens: 1 },
      { input: capital, max_output_tokens: 1, instructions: 'b', tools: [{ type: 'function', name: 'f' }], tool_choice: 'none' },
    ],
    [{}, { input: [] }, { input: 'a', max_output_tokens: 0 }, { input: 'a', tools: [{}] }],
  ],
  [
    '/v1/messages',
    [
      { messages: capital, max_tokens: 1 },
      { messages: capital, max_tokens: 1, system: [{ type: 'text', text: 'a' }], tool_choice: null },
    ],
    [
      {},
      { messages: [] },
      { messages: [{ role: 'tool', content: 'a' }] },
      { messages: capital, max_tokens: 0 },
      { messages: capital, tools: [{ name: 1 }] },
    ],
  ],
  ['/v1/messages/count_tokens', [{ messages: capital }], [{}, { messages: [] }]],
  [
    '/completion',
    [
      { prompt: 'a', n_predict: 1 },
      { prompt: ['a', 5], n_predict: 1 },
      { prompt: [[1, 'a'], 'b'], n_predict: 1, logit_bias: [['a', false]], samplers: ['top_k'] },
    ],
    [{}, { prompt: [] }, { prompt: [[[1]]] }, { prompt: 'a', top_k: 1.5 }, { prompt: 'a', response_fields: 'content' }],
  ],
  ['/tokenize', [{ content: 'a' }, { prompt: 'a', add_special_tokens: false }], [{ content: 1 }, { messages: 'a' }]],
  ['/detokenize', [{ tokens: [1, 300] }], [{}, { tokens: ['a'] }, { tokens: [-1] }]],
  ['/apply-template', [{ messages: capital }], [{}, { messages: [] }]],
  ['/api/show', [{ model: 'demo' }, { name: 'demo' }], [{ model: 1 }]],
  [
    '/api/chat',
    [{ model: 'demo', messages: capital, options: { num_predict: 1, temperature: 0.5, invented: 1 }, stream: false }, { model: 'demo' }],
    [
      {},
      { model: 'demo', messages: 'a' },
      { model: 'demo', messages: capital, options: { top_p: 'x' } },
      { model: 'demo', messages: capital, top_logprobs: 21 },
    ],
  ],
  [
    '/api/generate',
    [{ model: 'demo', prompt: 'a', options: { num_predict: 1, stop: 'x' } }],
    [{}, { model: '' }, { model: 'demo', prompt: 1 }],
  ],
  [
    '/api/embed',
    [
      { model: 'demo', input: 'a' },
      { model: 'demo', input: ['a', ''] },
    ],
    [{}, { model: 'demo', input: [1] }],
  ],
  ['/api/embeddings', [{ model: 'demo', prompt: 'a' }], [{}, { model: 'demo', prompt: 1 }]],
]

describe('bodies: the document and the server agree', () => {
  test.each(bodies)('%s', async (path, right, wrong) => {
    const matches = validator(path)
    for (const body of right) {
      expect(matches(body), `${JSON.stringify(body)}: ${JSON.stringify(matches.errors)}`).toBe(true)
      const response = await ask('post', path, body)
      expect(response.status, JSON.stringify(body) + (await response.text())).toBe(200)
    }
    for (const body of wrong) {
      expect(matches(body), JSON.stringify(body)).toBe(false)
      const response = await ask('post', path, body)
      expect(response.status, JSON.stringify(body)).toBe(400)
      const { $ref } = document.paths[path].post.responses.default.content['application/json'].schema
      const ajv = new Ajv2020({ strict: false })
      expect(ajv.compile(document.components.schemas[$ref.split('/').at(-1)])(await response.json()), path).toBe(true)
    }
  })

  test('each route with a body is among them', () => {
    const withBodies = Object.entries<Json>(document.paths).flatMap(([path, { post }]) => (post?.requestBody ? [path] : []))
    const aliases = ['/chat/completions', '/completions']
    expect(withBodies.filter((path) => !aliases.includes(path)).sort()).toEqual(bodies.map(([path]) => path).sort())
  })
})

test('a server with keys says so', async () => {
  expect(document.security).toBeUndefined()
  const { createApp } = await import('../../../dist/server.js')
  const app = createApp(served.model, { apiKeys: ['secret'] })
  const request = new Request('http://localhost/openapi.json', { headers: { authorization: 'Bearer secret' } })
  expect((await (await app.fetch(request)).json()).security).toEqual([{ key: [] }, { header: [] }])
})
