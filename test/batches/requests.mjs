// Requests of all kinds for the demo model: chats with common beginnings, completions with log-probabilities,
// embeddings, constraints, penalties, several answers, and some that are wrong.

import { closeSync, openSync, writeSync } from 'node:fs'

const systems = ['Answer briefly.', 'You are a pirate.', 'Tell stories for children.']
const starts = ['Once upon a time', 'Long ago, in a far away land,', 'The sun rose over']
const kinds = [
  (i) => chat(i, { max_tokens: 10 }),
  (i) => chat(i, { max_tokens: 8, temperature: 0.7, top_p: 0.9, presence_penalty: 0.5, repetition_penalty: 1.2 }),
  (i) => completion(i, { max_tokens: 12 }),
  (i) => chat(i, { max_tokens: 6, logprobs: true, top_logprobs: 2, seed: i }),
  (i) => completion(i, { max_tokens: 5, logprobs: 1, echo: true }),
  (i) => ({ url: '/v1/embeddings', body: { input: `A text about the number ${i}.` } }),
  (i) => chat(i, { max_tokens: 12, stop: ['.', ' the'], mirostat: 2 }),
  (i) => chat(i, { max_tokens: 24, response_format: schema }),
  (i) => chat(i, { max_tokens: 4, n: 2, temperature: 1.5 }),
  (i) => (i % 3 === 0 ? chat(i, { temperature: -1 }) : completion(i, { max_tokens: 8, logit_bias: { 300: -5 }, top_k: 20 })),
]

const schema = {
  type: 'json_schema',
  json_schema: { name: 'a', schema: { type: 'object', properties: { a: { type: 'integer', maximum: 99, minimum: 0 } }, required: ['a'] } },
}

function chat(i, more) {
  const messages = [
    { role: 'system', content: systems[i % systems.length] },
    { role: 'user', content: `What is ${i} + 1?` },
  ]
  return { url: '/v1/chat/completions', body: { model: 'demo', messages, ...more } }
}

function completion(i, more) {
  return { url: '/v1/completions', body: { prompt: `${starts[i % starts.length]} number ${i}`, ...more } }
}

/** The lines of `count` requests, the same ones every time. */
export function requestLines(count) {
  return Array.from({ length: count }, (_, i) => {
    const { url, body } = kinds[i % kinds.length](i)
    return `${JSON.stringify({ custom_id: `request-${i}`, method: 'POST', url, body })}\n`
  })
}

export function writeRequests(file, count) {
  const handle = openSync(file, 'w')
  for (const line of requestLines(count)) writeSync(handle, line)
  closeSync(handle)
}
