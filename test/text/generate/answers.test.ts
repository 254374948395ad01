// Several answers to one prompt: each is what its seed writes alone, and the prompt is computed once.

import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { MixtralModel } from '../../../dist/text/generate/mixtralModel.js'
import { readAll } from './readAll.js'

let model: MixtralModel
beforeAll(async () => {
  model = await MixtralModel.load('demo', { threads: 2, sequences: 3 })
})
afterAll(() => model.close())
afterEach(() => {
  expect(model.status()).toMatchObject({ running: 0, waiting: 0, suspended: 0 })
})

const prompt = `Once upon a time there was ${'a very '.repeat(40)}old house`
const options = { temperature: 1.2, seed: 40, maxNewTokens: 12 }

test('each is what its seed writes alone; the first is the result', async () => {
  const result = await model.generate(prompt, { ...options, n: 5 })
  expect(result.choices).toHaveLength(5)
  for (const [i, { text, ids, seed, finishReason }] of result.choices!.entries()) {
    const alone = await model.generate(prompt, { ...options, seed: 40 + i })
    expect({ text, ids, seed, finishReason }).toEqual(expect.objectContaining({ text: alone.text, ids: alone.ids, seed: 40 + i }))
    expect(alone).not.toHaveProperty('choices')
  }
  const { choices, ...first } = result
  expect(choices![0]).toEqual(first)
  expect(new Set(choices!.map(({ text }) => text)).size).toBeGreaterThan(1)
})

test('their prompt is computed once', async () => {
  await model.reset()
  const { choices, promptTokens } = await model.generate(prompt, { ...options, n: 5 })
  expect(choices!.map(({ reusedTokens }) => reusedTokens)).toEqual([0, ...Array(4).fill(promptTokens - 1)])
})

test('without a seed each has one of its own, which repeats it', async () => {
  const { choices } = await model.generate(prompt, { maxNewTokens: 8, n: 2 })
  for (const { seed, text } of choices!) expect((await model.generate(prompt, { maxNewTokens: 8, seed })).text).toBe(text)
})

test('pieces tell which answer they belong to', async () => {
  const { pieces, result } = await readAll(model.stream(prompt, { ...options, n: 3, logprobs: 1 }))
  for (const [i, { text, logprobs }] of result.choices!.entries()) {
    const own = pieces.filter(({ index }) => index === i)
    expect(own.map((piece) => piece.text).join('')).toBe(text)
    expect(own.flatMap(({ logprobs: some = [] }) => some)).toEqual(logprobs)
  }
})

test('answers of a chat are answers of a chat, parsed and with calls', async () => {
  const question = [{ role: 'user', content: 'Who are you?' }] as const
  const { choices } = await model.chat(question, { n: 3, seed: 1, jsonSchema: { enum: ['you', 'me'] } })
  for (const { parsed, toolCalls, folded } of choices!) {
    expect(['you', 'me']).toContain(parsed)
    expect({ toolCalls, folded }).toEqual({ toolCalls: [], folded: false })
  }
  const tools = [
    { type: 'function', function: { name: 'add', parameters: { type: 'object', properties: {}, additionalProperties: false } } },
  ] as const
  const asked = await model.chat(question, { n: 2, seed: 1, tools, toolChoice: 'required' })
  const calls = asked.choices!.map(({ toolCalls }) => toolCalls[0]!)
  expect(calls.map((call) => call.function.name)).toEqual(['add', 'add'])
  expect(calls[0]!.id).not.toBe(calls[1]!.id)
})

describe('an end', () => {
  test('of the loop ends all', async () => {
    for await (const { index } of model.stream(prompt, { ...options, n: 5 })) if (index === 2) break
    await model.evaluate([1, 2])
  })

  test('of the signal ends all', async () => {
    const abort = new AbortController()
    const stream = model.stream(prompt, { ...options, n: 5, signal: abort.signal })
    await stream.next()
    abort.abort()
    await expect(readAll(stream)).rejects.toMatchObject({ code: 'ABORTED' })
    await model.evaluate([1, 2])
  })
})

test('an abort or an error between two pieces is told to the reader alone', async () => {
  const told: unknown[] = []
  const note = (error: unknown) => told.push(error)
  process.on('unhandledRejection', note)
  try {
    const abort = new AbortController()
    const stream = model.stream(prompt, { ...options, n: 3, signal: abort.signal })
    await stream.next()
    abort.abort()
    await sleep(50)
    await expect(readAll(stream)).rejects.toMatchObject({ code: 'ABORTED' })
    await sleep(1)
    expect(told).toEqual([])
  } finally {
    process.off('unhandledRejection', note)
  }
})

test('leaving the loop does not wait for an answer that has not begun', async () => {
  await using small = await MixtralModel.load('demo', { threads: 2, sequences: 2 })
  let isOver = false
  const long = small.generate('A', { ignoreEos: true, temperature: 0 }).then(() => (isOver = true))
  const stream = small.stream('B', { n: 2, seed: 1, ignoreEos: true, temperature: 0 })
  await stream.next()
  await stream.return(undefined as never)
  expect([isOver, small.status().running]).toEqual([false, 1])
  await long
})

test('the seed of the result repeats all of them', async () => {
  const { seed, choices } = await model.generate(prompt, { maxNewTokens: 6, n: 3 })
  const again = await model.generate(prompt, { maxNewTokens: 6, n: 3, seed })
  expect(again.choices!.map(({ text }) => text)).toEqual(choices!.map(({ text }) => text))
  expect(choices!.map((choice) => choice.seed - seed)).toEqual([0, 1, 2])
})

test.each([0, 129, 1.5, '2', null])('%j answers are refused', async (n) => {
  await expect(model.generate(prompt, { n: n as number })).rejects.toMatchObject({
    code: 'OPTION',
    message: expect.stringContaining('from 1 to 128'),
  })
})

test('a session has one answer', async () => {
  const session = model.session({ ids: [1, 2, 3] })
  await expect(session.generate({ n: 2 })).rejects.toMatchObject({ code: 'OPTION', message: expect.stringContaining('fork') })
  expect((await session.generate({ n: 1, maxNewTokens: 1 })).ids).toHaveLength(1)
})
