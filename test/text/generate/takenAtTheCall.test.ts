// A call is what it was when it was made: what the caller changes afterwards changes nothing, and what is wrong is told
// by the call itself.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { ChatMessage, ChatOptions, GenerationOptions } from '../../../dist/index.js'
import { MixtralModel } from '../../../dist/text/generate/mixtralModel.js'
import { resultOf } from './readAll.js'

let model: MixtralModel
beforeAll(async () => {
  model = await MixtralModel.load('demo', { threads: 2 })
})
afterAll(() => model.close())

const prompt = 'Once upon a time'

/** Options whose every part a caller can change. */
const changeable = () => ({
  maxNewTokens: 12,
  seed: 3,
  stop: [' the'],
  stopIds: [400],
  bannedWords: ['was'],
  logitBias: [
    ['little', 5],
    [13, false],
  ] as [string | number, number | false][],
  samplers: ['top_k', 'temperature'] as string[],
  drySequenceBreakers: ['.'],
})

function change(options: ReturnType<typeof changeable>): void {
  options.maxNewTokens = 1
  options.seed = 4
  options.stop[0] = 'a'
  options.stop.push('e')
  options.stopIds.push(...Array(300).keys())
  options.bannedWords.push('e')
  options.logitBias[0]![1] = -50
  options.logitBias.push(['a', false])
  options.samplers.length = 0
  options.drySequenceBreakers.push('a')
}

test.each<[string, (options: GenerationOptions) => AsyncGenerator<unknown, { text: string }>]>([
  ['stream', (options) => model.stream(prompt, options)],
  ['streamChat', (options) => model.streamChat([{ role: 'user', content: prompt }], options)],
  ['a session', (options) => model.session({ ids: [1, 500, 600] }).stream(options)],
])('options of %s', async (_, stream) => {
  const { text } = await resultOf(stream(changeable() as GenerationOptions))
  const options = changeable()
  const pieces = stream(options as GenerationOptions)
  change(options)
  expect((await resultOf(pieces)).text).toBe(text)
})

test('options of `logitBias` by id, and a schema', async () => {
  const bias = { 13: false as const, 300: 4 }
  const schema = { enum: ['yes', 'no'] }
  const first = model.stream(prompt, { logitBias: bias, seed: 1, maxNewTokens: 8 })
  const second = model.stream(prompt, { jsonSchema: schema, seed: 1 })
  Object.assign(bias, { 300: -40, 400: 40 })
  schema.enum.length = 0
  schema.enum.push('perhaps')
  const { text } = await model.generate(prompt, { logitBias: { 13: false, 300: 4 }, seed: 1, maxNewTokens: 8 })
  expect((await resultOf(first)).text).toBe(text)
  expect((await resultOf(second)).parsed).toMatch(/yes|no/)
})

test('messages and tools of a chat', async () => {
  const ask = (): ChatMessage[] => [{ role: 'user', content: [{ type: 'text', text: 'Who are you?' }] }]
  const tools = () => [
    { type: 'function', function: { name: 'add', parameters: { type: 'object', properties: {}, additionalProperties: false } } },
  ]
  const options = (): ChatOptions => ({ tools: tools(), toolChoice: 'required', seed: 1 }) as ChatOptions
  const expected = await model.chat(ask(), options())
  const [messages, changed] = [ask(), options()]
  const pieces = model.streamChat(messages, changed)
  messages.push({ role: 'assistant', content: 'I' })
  ;(messages[0]!.content as unknown as { text: string }[])[0]!.text = 'No'
  ;(changed.tools as ReturnType<typeof tools>)[0]!.function.name = 'other'
  const { toolCalls } = await resultOf(pieces)
  expect(toolCalls).toEqual(expected.toolCalls)
})

test('token ids of every call, also in its own callbacks', async () => {
  const ids = () => Array.from({ length: 30 }, (_, i) => 300 + i)
  const expected = [await model.evaluate(ids()), (await model.score(ids())).map(({ logprob }) => logprob)]
  const given = ids()
  const grow = () => given.push(700, 800)
  const calls = [model.evaluate(given, { onProgress: grow }), model.score(given, { onProgress: grow })] as const
  given.fill(900)
  expect([await calls[0], (await calls[1]).map(({ logprob }) => logprob)]).toEqual(expected)
})

describe('a wrong option is told at the call', () => {
  test.each<[string, () => unknown]>([
    ['stream', () => model.stream(prompt, { topK: -1 })],
    ['streamChat', () => model.streamChat([{ role: 'user', content: 'x' }], { temperature: -1 })],
    ['streamChat, for messages', () => model.streamChat([])],
    ['a session', () => model.session().stream({ n: 2 })],
    ['the tokenizer', () => model.tokenizer.encode('a', { addBOS: false } as object)],
    ['decoding', () => model.tokenizer.decode([1], { Special: true } as object)],
  ])('of %s', (_, call) => {
    expect(call).toThrow(expect.objectContaining({ name: 'MixtralError', code: expect.stringMatching(/OPTION|TEMPLATE/) }))
  })

  test('of a call that gives a promise, by the promise', async () => {
    await expect(model.generate(prompt, { topK: -1 })).rejects.toMatchObject({ code: 'OPTION' })
    await expect(model.chat([])).rejects.toMatchObject({ code: 'TEMPLATE' })
    await expect(model.session().generate({ topK: -1 })).rejects.toMatchObject({ code: 'OPTION' })
  })
})
