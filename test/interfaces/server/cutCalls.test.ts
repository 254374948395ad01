// A call that a limit has cut: whole answers have what streams have, and nothing that was written is lost.

import { describe, expect, test } from 'vitest'
import { begunJson } from '../../../dist/interfaces/server/anthropic/wire.js'
import { capital, type Json, namedEvents, ndjson, sseEvents, withServer } from './served.js'

const served = withServer()
const parameters = { type: 'object', properties: { city: { const: 'Paris, which is the capital of France' } }, required: ['city'] }
const definition = { name: 'weather', parameters }
const tools = [{ type: 'function', function: definition }]
/** Limits that cut the demo model's call in its arguments. */
const limits = [38, 40, 42]

describe('chats of OpenAI', () => {
  test.each(limits)('%i tokens', async (most) => {
    const body = { messages: capital, tools, tool_choice: 'required', temperature: 0, max_tokens: most }
    const { choices } = await served.json('/v1/chat/completions', body)
    const [{ message, finish_reason: reason }] = choices
    const events = await sseEvents(await served.post('/v1/chat/completions', { ...body, stream: true }))
    const parts = events.flatMap(({ choices: [one] }: Json) => one?.delta.tool_calls ?? [])
    const streamed = parts.map((part: Json) => part.function.arguments).join('')
    expect(streamed).toMatch(/^\{"city/)
    expect(message).toMatchObject({
      content: null,
      tool_calls: [{ id: parts[0].id, type: 'function', function: { name: 'weather', arguments: streamed } }],
    })
    expect([reason, events.at(-1).choices[0].finish_reason]).toEqual(['length', 'length'])
  })
})

test.each(limits)('responses: %i tokens', async (most) => {
  const body = {
    input: 'a',
    tools: [{ type: 'function', ...definition }],
    tool_choice: 'required',
    temperature: 0,
    max_output_tokens: most,
  }
  const { status, output } = await served.json('/v1/responses', body)
  const events = await namedEvents(await served.post('/v1/responses', { ...body, stream: true }))
  const { response } = events.at(-1)
  expect([status, output]).toMatchObject(['incomplete', [{ type: 'function_call', status: 'incomplete', name: 'weather' }]])
  expect(output[0].arguments).toMatch(/^\{"city/)
  expect(response.output[0]).toMatchObject({ arguments: output[0].arguments, status: 'incomplete' })
})

test.each(limits)('messages: %i tokens', async (most) => {
  const offered = [{ name: 'weather', input_schema: parameters }]
  const body = { messages: capital, tools: offered, tool_choice: { type: 'any' }, temperature: 0, max_tokens: most }
  const { content, stop_reason: reason } = await served.json('/v1/messages', body)
  const events = await namedEvents(await served.post('/v1/messages', { ...body, stream: true }))
  const streamed = events.map(({ delta }: Json) => delta?.partial_json ?? '').join('')
  expect(content).toEqual([{ type: 'tool_use', id: expect.any(String), name: 'weather', input: begunJson(streamed) }])
  expect(reason).toBe('max_tokens')
})

test('chats of Ollama have it as a text', async () => {
  const body = { model: 'demo', messages: capital, tools, options: { temperature: 0, num_predict: 38, seed: 1 } }
  const called = await served.model.chat(capital, { tools: tools as Json, temperature: 0, maxNewTokens: 38, seed: 1 })
  const whole = await served.json('/api/chat', { ...body, stream: false })
  const lines = await ndjson(await served.post('/api/chat', body))
  expect(lines.map(({ message }: Json) => message.content).join('')).toBe(whole.message.content)
  const { cutCall } = called
  const cut = cutCall ? `{"name": "weather", "arguments": ${cutCall.function.arguments}` : ''
  expect(whole.message.content).toBe(called.text + cut)
})

test.each<[string, unknown]>([
  ['', {}],
  ['{', {}],
  ['{"a', {}],
  ['{"a": ', {}],
  ['{"a": 12', { a: 12 }],
  ['{"a": tr', {}],
  ['{"a": "b', { a: 'b' }],
  ['{"a": "b\\', { a: 'b' }],
  ['{"a": "b\\u00', { a: 'b' }],
  ['{"a": [1, {"b": "x, ]}\\"', { a: [1, { b: 'x, ]}"' }] }],
  ['{"a": [1, 2], "c": nul', { a: [1, 2] }],
  ['{"a": 1, "b": {"c": [', { a: 1, b: { c: [] } }],
  ['{"a": 1}', { a: 1 }],
])('the object of %s', (text, value) => {
  expect(begunJson(text)).toEqual(value)
})
