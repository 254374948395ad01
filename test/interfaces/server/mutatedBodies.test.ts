// Bodies that nobody means, for embeddings, responses, messages and llama-server's completions: each gets a status and
// a sentence in the shape of its API, at no more cost than its bytes.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createApp } from '../../../dist/server.js'
import { capital, withServer } from './served.js'

const served = withServer()

/** A body of each route that is accepted, with fields that do something. */
const bases: Readonly<Record<string, object>> = {
  '/v1/embeddings': { input: 'a', encoding_format: 'float', dimensions: null },
  '/api/embed': { model: 'demo', input: 'a', truncate: null, options: null, keep_alive: null },
  '/api/embeddings': { model: 'demo', prompt: 'a' },
  '/v1/responses': {
    input: capital,
    max_output_tokens: 1,
    instructions: 'a',
    tools: [],
    tool_choice: null,
    text: null,
    include: [],
    top_logprobs: 0,
  },
  '/v1/messages': { messages: capital, max_tokens: 1, system: 'a', stop_sequences: [], tools: [], tool_choice: null, output_config: null },
  '/v1/messages/count_tokens': { messages: capital, system: 'a', tools: [] },
  '/completion': {
    prompt: 'a',
    n_predict: 1,
    stop: [],
    n_probs: 0,
    logit_bias: [],
    grammar: null,
    samplers: ['top_k'],
    response_fields: null,
  },
}

test('mutated bodies get an answer of the right shape, and the server lives', async () => {
  const body = fc.constantFrom(...Object.keys(bases)).chain((path) => {
    const names = fc.constantFrom(...Object.keys(bases[path]!), 'model', 'seed', 'temperature', 'json_schema')
    return fc.tuple(fc.constant(path), fc.dictionary(names, fc.jsonValue({ maxDepth: 4 }), { minKeys: 1, maxKeys: 2 }))
  })
  await fc.assert(
    fc.asyncProperty(body, async ([path, changes]) => {
      // an answer without a limit would go on to the end of the context
      const limited = { ...bases[path], ...changes, ...(path === '/completion' && { n_predict: 1 }) }
      if ('max_tokens' in limited && limited.max_tokens === null) limited.max_tokens = 1
      if ('max_output_tokens' in limited && limited.max_output_tokens === null) limited.max_output_tokens = 1
      const response = await served.post(path, limited)
      const text = await response.text()
      expect([200, 400, 404, 501], `${path} ${JSON.stringify(changes)} ${text}`).toContain(response.status)
      expect(text).not.toMatch(/dist\/|node_modules|\.js:/)
      if (response.status === 200) return
      const { error } = JSON.parse(text)
      expect(typeof (path.startsWith('/api') ? error : error.message), text).toBe('string')
    }),
    { numRuns: 250 },
  )
  expect((await fetch(`${served.server.url}/health`)).status).toBe(200)
})

test.each<[string, string, string]>([
  ['/v1/embeddings', '"input"', 'null'],
  ['/v1/embeddings', '"input"', '[]'],
  ['/api/embed', '"model":"demo","input"', '1'],
  ['/v1/responses', '"input"', '1'],
  ['/v1/responses', '"input":"a","include"', '1'],
  ['/v1/messages', '"messages"', '1'],
  ['/v1/messages', '"messages":[{"role":"user","content":"a"}],"stop_sequences"', '1'],
  ['/v1/messages', '"messages":[{"role":"user","content":"a"}],"tools"', '{}'],
  ['/completion', '"prompt"', 'null'],
  ['/completion', '"prompt":"a","response_fields"', '1'],
])('%s with half a million items in %s, each %s, is refused without an object for each', async (path, fields, item) => {
  const app = createApp(served.model, { name: 'demo' })
  const body = `{${fields}:[${Array(500_000).fill(item).join()}]}`
  globalThis.gc?.()
  const before = process.memoryUsage().heapUsed
  const response = await app.fetch(new Request(`http://localhost${path}`, { method: 'POST', body }))
  const grown = process.memoryUsage().heapUsed - before
  const text = await response.text()
  expect([response.status, text.length < 500], text.slice(0, 500)).toEqual([400, true])
  expect(grown).toBeLessThan(150e6)
})
