// The experts of an answer over the wire, beside what the library tells of them.

import { describe, expect, test } from 'vitest'
import type { RoutedToken } from '../../../dist/index.js'
import { RoutedList } from '../../../dist/interfaces/server/openai/routedExperts.js'
import { capital, type Json, runtime, sseEvents, withServer } from './served.js'

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

test('what is no boolean is 400', async () => {
  for (const [path, body] of [
    ['/v1/chat/completions', request],
    ['/v1/completions', { prompt: 'a' }],
  ] as const)
    expect((await served.post(path, { ...body, return_routed_experts: 1 })).status).toBe(400)
})

describe('completions', () => {
  const completions = '/v1/completions'
  const asked = { prompt: 'Once upon a time', temperature: 0, max_tokens: 5, return_routed_experts: true }
  const ids = () => served.model.tokenizer.encodePrompt(asked.prompt)
  const ofPrompt = async (tokens: readonly number[], expertsPerToken = 2) => {
    const routing = await served.model.routing(tokens, { expertsPerToken })
    return routing.map(({ layers }) => layers.map(({ experts }) => [...experts]))
  }

  test('have the experts of each token, and with echo those of the prompt, as the library', async () => {
    const expected: { ids: number[]; weights: number[] }[] = []
    for await (const { experts = [] } of served.model.stream(asked.prompt, { temperature: 0, maxNewTokens: 5, experts: true }))
      expected.push(...experts.map(({ ids, weights }) => ({ ids: [...ids], weights: [...weights] })))
    const plain = await served.json(completions, asked)
    expect(flat(plain.choices[0])).toEqual(expected)
    expect(plain).not.toHaveProperty('prompt_routed_experts')
    const echoed = await served.json(completions, { ...asked, echo: true, n: 2, logprobs: 0 })
    expect(echoed.prompt_routed_experts).toEqual(await ofPrompt(ids()))
    expect(echoed.choices.map(flat)).toEqual([expected, expected])
    expect(Object.keys(echoed.choices[0])).not.toContain('prompt_routed_experts')
    const only = await served.json(completions, { ...asked, echo: true, max_tokens: 0 })
    expect(only.prompt_routed_experts).toEqual(echoed.prompt_routed_experts)
    expect(only.choices[0]).not.toHaveProperty('routed_experts')
  })

  test('of prompt and answer together are those of each position, as vLLM and SGLang give them, without the first of the answer', async () => {
    const { prompt_routed_experts: before, choices } = await served.json(completions, { ...asked, echo: true })
    const { ids: written } = await served.model.generate(asked.prompt, { temperature: 0, maxNewTokens: 5 })
    const { routed_experts: after } = choices[0]
    expect(after[0]).toEqual(before.at(-1))
    expect([...before, ...after.slice(1)]).toEqual(await ofPrompt([...ids(), ...written.slice(0, -1)]))
  })

  test('in a stream come with the text that they wrote, those of the prompt before it', async () => {
    const whole = await served.json(completions, { ...asked, echo: true })
    const events = await sseEvents(await served.post(completions, { ...asked, echo: true, stream: true }))
    expect(events.filter((event) => event.prompt_routed_experts).map((event) => event.prompt_routed_experts)).toEqual([
      whole.prompt_routed_experts,
    ])
    const choices = events.map((event) => event.choices[0])
    expect(choices.filter((choice) => choice.routed_experts).flatMap(flat)).toEqual(flat(whole.choices[0]))
    expect(choices.map(({ text }) => text).join('')).toBe(whole.choices[0].text)
  })

  test('of several prompts have those of each, with as many experts as are asked for', async () => {
    const other = [1, 400, 401]
    const body = { ...asked, prompt: [ids(), other], echo: true, n: 2, experts_per_token: 3 }
    const { choices, ...rest } = await served.json(completions, body)
    expect(rest).not.toHaveProperty('prompt_routed_experts')
    expect(choices.map((choice: Json) => choice.prompt_routed_experts)).toEqual([
      await ofPrompt(ids(), 3),
      undefined,
      await ofPrompt(other, 3),
      undefined,
    ])
    expect(choices[2].routed_experts[0][0]).toHaveLength(3)
    const events = await sseEvents(await served.post(completions, { ...body, n: 1, stream: true }))
    const told = events.flatMap(({ choices: [choice] }) =>
      choice.prompt_routed_experts ? [[choice.index, choice.prompt_routed_experts]] : [],
    )
    expect(told.sort()).toEqual([
      [0, choices[0].prompt_routed_experts],
      [1, choices[2].prompt_routed_experts],
    ])
  })
})

describe('the statistics of a model', () => {
  const stats = async (query = '') => {
    const response = await fetch(`${served.server.url}/v1/routed-experts/stats${query}`)
    return { status: response.status, body: (await response.json()) as Json }
  }

  test('count every token that ran, prompts too, and tell how even the load is', async () => {
    const { body: before } = await stats()
    const { usage } = await served.json(path, { messages: [{ role: 'user', content: 'What is 7 + 5?' }], temperature: 0, seed: 1 })
    const { status, body } = await stats('?model=demo')
    const { layers, experts, expertsPerToken } = served.model.config
    expect(status).toBe(200)
    expect(body).toMatchObject({ model: 'demo', n_layer: layers, n_expert: experts, n_expert_used: expertsPerToken })
    const ran = usage.prompt_tokens - usage.prompt_tokens_details.cached_tokens + usage.completion_tokens
    let total = 0
    for (const [i, { layer, counts, shares, ...balance }] of body.layers.entries()) {
      expect([layer, counts.length]).toEqual([i, experts])
      const sum = counts.reduce((a: number, b: number) => a + b)
      total += sum
      expect(sum - before.layers[i].counts.reduce((a: number, b: number) => a + b)).toBe(ran * expertsPerToken)
      expect(shares).toEqual(counts.map((count: number) => count / sum))
      expect(balance.load_balance_score).toBeCloseTo(
        sum ** 2 / (experts * counts.reduce((all: number, one: number) => all + one ** 2, 0)),
        12,
      )
      expect(balance.max_over_mean).toBeCloseTo(Math.max(...shares) * experts, 12)
      expect(balance.effective_experts).toBeGreaterThan(1)
    }
    expect(body.total).toBe(total)
    if (!runtime) expect(body.layers.flatMap(({ counts }: Json) => counts)).toEqual([...served.model.expertUses()])
  })

  test('of another model are 503, as long as it is not in memory', async () => {
    const { status, body } = await stats('?model=other')
    expect([status, body.error.message]).toEqual([503, 'the model "other" is not in memory'])
  })
})

test('/v1/models tells how many layers and experts there are', async () => {
  const { data } = (await (await fetch(`${served.server.url}/v1/models`)).json()) as Json
  const { layers, experts, expertsPerToken } = served.model.config
  expect(data[0].meta).toMatchObject({ n_layer: layers, n_expert: experts, n_expert_used: expertsPerToken })
})

test('a prompt may have more tokens than a call has arguments', () => {
  const list = new RoutedList(1)
  const token = { ids: Uint16Array.of(3), weights: Float32Array.of(1) }
  list.add(new Array(200_000).fill(token))
  expect(list.take()!.routed_experts).toHaveLength(200_000)
})
