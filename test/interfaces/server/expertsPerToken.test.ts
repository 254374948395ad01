// How many experts each token has, as requests ask for it: `experts_per_token` on every route that writes, in the
// `options` of Ollama's, and in what a model of Ollama's brings.

import { describe, expect, test } from 'vitest'
import { createApp } from '../../../dist/server.js'
import { type Json, withServer } from './served.js'

const served = withServer()
const prompt = 'Once upon a time'
/** A question whose answer depends on it. */
const question = 'Write a story about a golden ring.'
const messages = [{ role: 'user' as const, content: question }]
const story = { prompt, temperature: 0 }
const chat = { model: 'demo', messages, temperature: 0 }

/** Each route with a request for 12 tokens, and the text in its answer. */
const routes: readonly [path: string, body: object, textOf: (answer: Json) => string, isChat: boolean][] = [
  ['/v1/chat/completions', { ...chat, max_tokens: 12 }, ({ choices }) => choices[0].message.content, true],
  ['/v1/completions', { ...story, max_tokens: 12 }, ({ choices }) => choices[0].text, false],
  ['/v1/responses', { input: question, temperature: 0, max_output_tokens: 12 }, ({ output }) => output[0].content[0].text, true],
  ['/v1/messages', { ...chat, max_tokens: 12 }, ({ content }) => content[0].text, true],
  ['/completion', { ...story, n_predict: 12 }, ({ content }) => content, false],
  ['/api/chat', { ...chat, stream: false, options: { temperature: 0, num_predict: 12 } }, ({ message }) => message.content, true],
  [
    '/api/generate',
    { model: 'demo', prompt, raw: true, stream: false, options: { temperature: 0, num_predict: 12 } },
    ({ response }) => response,
    false,
  ],
]

/** A request for so many experts, in the place that its route has for it. */
function asking(path: string, body: object, experts: unknown): object {
  if (!path.startsWith('/api/')) return { ...body, experts_per_token: experts }
  return { ...body, options: { ...(body as Json).options, experts_per_token: experts } }
}

describe.each(routes)('%s', (path, body, textOf, isChat) => {
  test('answers with as many experts as are asked for, as the library does', async () => {
    const texts: string[] = []
    for (const expertsPerToken of [1, 5, 8, null]) {
      const options = { temperature: 0, maxNewTokens: 12, ...(expertsPerToken !== null && { expertsPerToken }) }
      const { text } = await (isChat ? served.model.chat(messages, options) : served.model.generate(prompt, options))
      expect(textOf(await served.json(path, asking(path, body, expertsPerToken)))).toBe(text)
      texts.push(text)
    }
    expect(new Set(texts).size).toBeGreaterThan(1)
  })

  test('refuses numbers that the model cannot use, by the name of the field', async () => {
    for (const wrong of [0, 9, -1, 'many', true]) {
      const response = await served.post(path, asking(path, body, wrong))
      expect(response.status).toBe(400)
      expect(await response.text()).toMatch(/experts_per_token is .*, expected a whole number from 1( to 8)?/)
    }
  })
})

test('log-probabilities of a repeated prompt are those of as many experts, and are kept apart', async () => {
  const ids = served.model.tokenizer.encodePrompt(prompt)
  for (const expertsPerToken of [2, 1, 8, 1]) {
    const body = { ...story, max_tokens: 0, echo: true, logprobs: 0, experts_per_token: expertsPerToken }
    const { choices } = await served.json('/v1/completions', body)
    const scored = await served.model.score(ids, { expertsPerToken })
    expect(choices[0].logprobs.token_logprobs.slice(1)).toEqual(scored.map(({ logprob }) => logprob))
  }
})

test('the document of the routes knows the field', async () => {
  const app = createApp(served.model)
  const document = (await (await app.fetch(new Request('http://127.0.0.1/openapi.json'))).json()) as Json
  const fieldsOf = (path: string) => document.paths[path].post.requestBody.content['application/json'].schema.properties
  for (const [path] of routes) {
    const fields = path.startsWith('/api/') ? fieldsOf(path).options.anyOf[0].properties : fieldsOf(path)
    expect(fields).toHaveProperty('experts_per_token')
  }
  const { parameters } = document.paths['/v1/routed-experts/stats'].get
  expect(parameters).toEqual([{ name: 'model', in: 'query', required: false, schema: { type: 'string' } }])
  await app.close()
})
