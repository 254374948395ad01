// What will never work is asked once: how often real clients come back after a refusal.

import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import { ChatOpenAI } from '@langchain/openai'
import { generateText } from 'ai'
import OpenAI from 'openai'
import { beforeEach, describe, expect, test } from 'vitest'
import { capital, type Json, until, withServer } from './served.js'

const served = withServer()
const settings = () => ({ baseURL: `${served.server.url}/v1`, apiKey: 'none' })
const refused = { allowed_token_ids: [1] }

beforeEach(() => {
  served.logs.length = 0
})

describe('a field that cannot be honored is asked for once', () => {
  test.each<[string, () => Promise<unknown>]>([
    ['openai', () => new OpenAI(settings()).chat.completions.create({ model: 'demo', messages: capital, ...refused } as Json)],
    [
      'LangChain',
      () => new ChatOpenAI({ model: 'demo', apiKey: 'none', configuration: settings(), modelKwargs: refused } as Json).invoke('a'),
    ],
    [
      'the AI SDK',
      () =>
        generateText({
          model: createOpenAICompatible({
            name: 'demo',
            ...settings(),
            transformRequestBody: (body: object) => ({ ...body, ...refused }),
          } as Json)('demo'),
          prompt: 'a',
        }),
    ],
  ])('%s', async (_, ask) => {
    await expect(ask()).rejects.toThrow('allowed_token_ids')
    await until(() => served.logs.length > 0)
    expect(served.logs.map(({ status }) => status)).toEqual([400])
  })
})

test('a schema without support names its field', async () => {
  const body = { messages: capital, response_format: { type: 'json_schema', json_schema: { schema: { $dynamicRef: '#' } } } }
  const response = await served.post('/v1/chat/completions', body)
  expect([response.status, ((await response.json()) as Json).error.type]).toEqual([400, 'invalid_request_error'])
})

const odd = { type: 'object', properties: { a: { typ: 'string', $dynamicRef: '#b' } } }
test.each([
  [
    '/v1/chat/completions',
    (more: object) => ({ messages: capital, tools: [{ type: 'function', function: { name: 'f', parameters: odd, ...more } }] }),
  ],
  [
    '/api/chat',
    (more: object) => ({
      messages: capital,
      stream: false,
      tools: [{ type: 'function', function: { name: 'f', parameters: odd, ...more } }],
    }),
  ],
  ['/v1/responses', (more: object) => ({ input: 'a', tools: [{ type: 'function', name: 'f', parameters: odd, ...more }] })],
  ['/v1/messages', (more: object) => ({ messages: capital, tools: [{ name: 'f', input_schema: odd, ...more }] })],
])('a keyword without support in a tool of %s is left out, unless the tool is strict', async (path, bodyOf) => {
  const few = { model: 'demo', max_tokens: 2, options: { num_predict: 2 } }
  const bodies = [bodyOf({}), bodyOf({ strict: false }), bodyOf({ strict: true })]
  const known = (body: object) => (path === '/v1/responses' ? { model: 'demo', max_output_tokens: 16, ...body } : { ...few, ...body })
  const responses = await Promise.all(bodies.map((body) => served.post(path, known(body))))
  expect(responses.map(({ status }) => status)).toEqual([200, 200, 400])
  expect(await responses[2]!.text()).toContain('the tool f')
})

test('a route that is missing is 501, and asked for once', async () => {
  await expect(new OpenAI(settings()).moderations.create({ input: 'a' })).rejects.toThrow('/v1/moderations is not supported')
  await until(() => served.logs.length > 0)
  expect(served.logs.map(({ status }) => status)).toEqual([501])
  const response = await served.post('/api/push', {})
  expect([response.status, response.headers.get('x-should-retry')]).toEqual([501, 'false'])
})
