// The experts of an answer over the wire, beside what the library tells of them.

import { expect, test } from 'vitest'
import type { RoutedToken } from '../../../dist/index.js'
import { capital, type Json, sseEvents, withServer } from './served.js'

const served = withServer()
const request = { messages: capital, temperature: 0, return_routed_experts: true }
const path = '/v1/chat/completions'

/** What the library says of the same answer: each token with its experts. */
async function ofLibrary() {
  const stream = served.model.streamChat([{ role: 'user', content: capital[0]!.content }], { temperature: 0, experts: true })
  const experts: { ids: number[]; weights: number[] }[] = []
  for await (const piece of stream) {
    for (const { ids, weights } of piece.experts ?? []) experts.push({ ids: [...ids], weights: [...weights] })
  }
  return experts
}

const flat = ({ routed_experts, expert_weights }: Json) =>
  routed_experts.map((layers: number[][], i: number) => ({
    ids: layers.flat(),
    weights: expert_weights[i].flat().map((weight: number) => Math.fround(weight)),
  }))

test('an answer has the experts of each token and their weights, bit for bit those of the library', async () => {
  const expected = await ofLibrary()
  const { choices, usage } = await served.json(path, request)
  expect(flat(choices[0])).toEqual(expected)
  expect(choices[0].routed_experts).toHaveLength(usage.completion_tokens + 1) // the end token too
  const { layers, expertsPerToken } = served.model.config
  expect(choices[0].routed_experts[0]).toHaveLength(layers)
  expect(choices[0].routed_experts[0][0]).toHaveLength(expertsPerToken)
})

test('the chunks of a stream have the same experts, each with the text that they wrote', async () => {
  const expected = await ofLibrary()
  const events = await sseEvents(await served.post(path, { ...request, stream: true }))
  const choices = events.map(({ choices: [choice] }) => choice)
  expect(choices.filter((choice) => choice.routed_experts).flatMap(flat)).toEqual(expected)
  expect(choices.filter(({ delta }) => delta.content).every((choice) => choice.routed_experts.length > 0)).toBe(true)
})

test('they are what onRouting tells of the rows that wrote the answer', async () => {
  const rows: RoutedToken[] = []
  const end = served.model.onRouting((row) => rows.push(row))
  const { choices } = await served.json(path, request)
  end()
  const written = rows.slice(-choices[0].routed_experts.length)
  expect(flat(choices[0])).toEqual(written.map(({ ids, weights }) => ({ ids: [...ids], weights: [...weights] })))
})

test('each of several answers has its own', async () => {
  const two = { ...request, temperature: 1, seed: 5, n: 2 }
  const { choices } = await served.json(path, two)
  const second = await served.json(path, { ...two, n: 1, seed: 6 })
  expect(choices[1].routed_experts).toEqual(second.choices[0].routed_experts)
  const events = await sseEvents(await served.post(path, { ...two, stream: true }))
  for (const { index, routed_experts } of choices) {
    const own = events.map((event) => event.choices[0]).filter((choice) => choice.index === index)
    expect(own.flatMap((choice) => choice.routed_experts ?? [])).toEqual(routed_experts)
  }
})

test('nobody gets them who has not asked', async () => {
  for (const more of [{}, { return_routed_experts: false }, { return_routed_experts: null }]) {
    const { choices } = await served.json(path, { messages: capital, max_tokens: 2, ...more })
    expect(Object.keys(choices[0])).toEqual(['index', 'message', 'logprobs', 'finish_reason'])
  }
  const response = await served.post(path, { messages: capital, max_tokens: 2, stream: true })
  expect(await response.text()).not.toMatch(/experts|weights/)
})

test('what is no boolean is 400, and completions refuse the field by its name', async () => {
  expect((await served.post(path, { ...request, return_routed_experts: 1 })).status).toBe(400)
  const response = await served.post('/v1/completions', { prompt: 'a', return_routed_experts: true })
  expect(response.status).toBe(400)
  expect(((await response.json()) as Json).error).toMatchObject({ param: 'return_routed_experts' })
})

test('/v1/models tells how many layers and experts there are', async () => {
  const { data } = (await (await fetch(`${served.server.url}/v1/models`)).json()) as Json
  const { layers, experts, expertsPerToken } = served.model.config
  expect(data[0].meta).toMatchObject({ n_layer: layers, n_expert: experts, n_expert_used: expertsPerToken })
})
