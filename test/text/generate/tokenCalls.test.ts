// The calls for which nobody should need a loop: counts, routing, typed ids, typed tensors, progress as people count.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type ChatMessage, MixtralModel, Reference, type TokenIds, verifyModel } from '../../../dist/index.js'

let model: MixtralModel
beforeAll(async () => {
  model = await MixtralModel.load('demo', { threads: 2, batchSize: 16 })
})
afterAll(() => model.close())

const text = 'Once upon a time, there was a fox.'
const ids = () => model.tokenizer.encodePrompt(text)

test('countTokens counts what a call would run', async () => {
  const message = { role: 'user', content: 'Who are you?' } // its role is a text
  const messages: ChatMessage[] = [message]
  const { promptTokens } = await model.chat(messages, { maxNewTokens: 1 })
  expect(model.countTokens(messages)).toBe(promptTokens)
  expect(model.countTokens(text)).toBe((await model.generate(text, { maxNewTokens: 1 })).promptTokens)
  expect(model.countTokens([...messages, { role: 'assistant', content: 'I' }], { addGenerationPrompt: false })).toBeGreaterThan(
    promptTokens,
  )
  expect(() => model.countTokens([{ role: 'robot', content: 'x' }])).toThrow(expect.objectContaining({ code: 'TEMPLATE' }))
  expect(() => model.countTokens(5 as never)).toThrow(expect.objectContaining({ code: 'TEMPLATE' }))
  expect(() => model.countTokens('x', { tools: [] })).toThrow(expect.objectContaining({ code: 'OPTION' }))
})

test('an answer that the last message has begun goes on', async () => {
  const question: ChatMessage = { role: 'user', content: 'What is the capital of France?' }
  const options = { temperature: 0 }
  const { text } = await model.chat([question], options)
  const begun = text.slice(0, text.indexOf(' of'))
  const { text: rest, promptTokens } = await model.chat([question, { role: 'assistant', content: begun }], options)
  expect(begun + rest).toBe(text)
  expect(promptTokens).toBe(model.countTokens([question, { role: 'assistant', content: begun }]))
})

test('routing gives the experts that a trace shows', async () => {
  const tokens = ids()
  const { layers, expertsPerToken } = model.config
  await model.evaluate(tokens) // what is in the cache is not left out
  const routing = await model.routing(tokens)
  expect(routing.map(({ id }) => id)).toEqual(tokens)
  const traced = await model.trace(tokens, { tensors: ['ffn_moe_topk-*'] })
  for (let layer = 0; layer < layers; layer++) {
    const experts: Int32Array = traced[layer]!.values
    const shown = routing.flatMap((token) => [...token.layers[layer]!.experts])
    expect(shown).toEqual([...experts])
  }
  for (const { layers: each, weights } of routing) {
    expect(each.flatMap((layer) => [...layer.weights])).toEqual([...weights])
    for (const layer of each) {
      expect(layer.experts).toHaveLength(expertsPerToken)
      expect(layer.weights.reduce((sum, weight) => sum + weight, 0)).toBeCloseTo(1, 5)
    }
  }
  await expect(model.routing([])).rejects.toMatchObject({ code: 'OPTION' })
})

test('the values of a trace have the type of their tensor', async () => {
  const floats = await model.trace(ids(), { tensors: ['l_out-5', 'ffn_moe_weights-*'] })
  const values: Float32Array = floats[0]!.values
  expect(values).toBeInstanceOf(Float32Array)
  for await (const { values } of model.traceEach(ids(), { tensors: ['ffn_moe_topk-2'] })) {
    const experts: Int32Array = values
    expect(experts).toBeInstanceOf(Int32Array)
  }
  const both: (Float32Array | Int32Array)[] = (await model.trace(ids(), { tensors: ['ffn_moe*'] })).map((tensor) => tensor.values)
  expect(new Set(both.map((values) => values.constructor))).toEqual(new Set([Float32Array, Int32Array]))
  const reference = await Reference.open(model.gguf)
  const exact: Float64Array = reference.trace(ids(), { tensors: ['l_out-0'] })[0]!.values
  expect(exact).toBeInstanceOf(Float64Array)
})

describe('typed arrays are ids', () => {
  const calls: Record<string, (ids: TokenIds) => unknown> = {
    logits: (ids) => model.logits(ids),
    evaluate: (ids) => model.evaluate(ids),
    score: (ids) => model.score(ids),
    routing: (ids) => model.routing(ids),
    trace: (ids) => model.trace(ids, { tensors: ['l_out-1'] }),
    session: (ids) => model.session({ ids }).ids,
    append: async (ids) => {
      const session = model.session({ ids: [1] })
      await session.append(ids)
      return session.ids
    },
    stopIds: async (stopIds) => (await model.generate(text, { stopIds, temperature: 0, maxNewTokens: 20 })).ids,
    decode: (ids) => model.tokenizer.decode(ids as number[]),
    verifyModel: async (ids) => (await verifyModel(model, ids)).faults,
  }
  const kinds = [Int32Array, Uint32Array, Uint16Array, Float64Array] as const
  test.each(Object.entries(calls))('%s', async (name, call) => {
    const expected = await call(ids())
    for (const kind of name === 'verifyModel' ? [Uint16Array] : kinds) expect(await call(kind.from(ids()))).toEqual(expected)
  })

  test('but not what only looks like one', async () => {
    await expect(model.logits(new DataView(new ArrayBuffer(8)) as never)).rejects.toMatchObject({ code: 'OPTION' })
    await expect(model.logits({ length: 1, 0: 1 })).rejects.toMatchObject({ code: 'OPTION' })
    await expect(model.logits(new BigInt64Array(2) as never)).rejects.toMatchObject({ code: 'TOKENIZER' })
  })
})

test('progress counts all tokens of a prompt, those in the cache too, and all bytes of a model', async () => {
  const prompt = 'A word in a text. '.repeat(8)
  const told: (readonly [number, number])[] = []
  const options = { maxNewTokens: 1, onProgress: ({ loaded, total }: { loaded: number; total: number }) => told.push([loaded, total]) }
  const { promptTokens } = await model.generate(prompt, options)
  expect(told.length).toBeGreaterThan(2)
  expect(told.every(([loaded, total], i) => total === promptTokens && loaded > (told[i - 1]?.[0] ?? 0))).toBe(true)
  expect(told.at(-1)).toEqual([promptTokens, promptTokens])
  told.length = 0
  await model.generate(prompt, options)
  expect(told).toEqual([[promptTokens, promptTokens]])
  await model.generate('x', { ...options, regex: 'a fixed text' }) // which is run together with the prompt
  expect(told.at(-1)).toEqual([model.countTokens('x'), model.countTokens('x')])
  told.length = 0
  await using other = await MixtralModel.load('demo', { onProgress: options.onProgress })
  expect(told[0]).toEqual([0, told.at(-1)![1]])
  expect(other.threads).toBeGreaterThan(0)
})

test.each<[string, () => unknown, string]>([
  ['of loading', () => MixtralModel.load('demo', { threds: 1 } as never), 'did you mean threads?'],
  ['of generating', () => model.generate('a', { temprature: 1 } as never), 'did you mean temperature?'],
  ["of generating, by OpenAI's name", () => model.generate('a', { max_tokens: 1 } as never), 'did you mean maxNewTokens?'],
  ["of generating, by llama-server's name", () => model.generate('a', { n_predict: 1 } as never), 'did you mean maxNewTokens?'],
  ['of loading, by the name of others', () => MixtralModel.load('demo', { contextSize: 1 } as never), 'did you mean contextLength?'],
  ['of generating, in camel case', () => model.generate('a', { maxTokens: 1 } as never), 'did you mean maxNewTokens?'],
  [
    "of generating, by Ollama's name in camel case",
    () => model.generate('a', { repeatPenalty: 1 } as never),
    'did you mean repetitionPenalty?',
  ],
  ['of generating, shortened', () => model.generate('a', { temp: 1 } as never), 'did you mean temperature?'],
  ['of a constraint', () => model.generate('a', { response_format: {} } as never), 'did you mean jsonSchema?'],
  ['of a signal', () => model.embed('a', { abortSignal: undefined } as never), 'did you mean signal?'],
  ['of a chat session', () => model.chatSession({ systemPrompt: 'a' } as never), 'did you mean system?'],
  [
    'of a chat, in snake case',
    () => model.chat([{ role: 'user', content: 'a' }], { tool_choice: 'auto' } as never),
    'did you mean toolChoice?',
  ],
  ['of the tokenizer', () => model.tokenizer.encode('a', { addBOS: true } as never), 'did you mean addBos?'],
  ['of tracing', () => model.trace([1], { tensor: [] } as never), 'did you mean tensors?'],
  [
    'that is like no other',
    () => model.logits([1], { zzzz: 1 } as never),
    'unknown option zzzz, expected expertsPerToken, adapters, signal, onProgress',
  ],
])('an unknown option %s is told with what was meant', async (_, call, end) => {
  const error = await (async () => call())().catch((error) => error)
  expect(error).toMatchObject({ code: 'OPTION' })
  expect((error as Error).message.endsWith(end)).toBe(true)
})

test.each<[string, () => unknown, string, string]>([
  ['no model', () => MixtralModel.load(undefined as never), 'OPTION', "the model's name is no value, expected a string"],
  [
    'a size in words',
    () => MixtralModel.load('demo', { ram: '12G' as never }),
    'OPTION',
    'ram is "12G", expected a whole number of bytes from 1 to 2^53 - 1',
  ],
  [
    'a model that is called with new',
    () => new (MixtralModel as unknown as new (name: string) => unknown)('demo'),
    'OPTION',
    'a model begins with new, expected await MixtralModel.load(name)',
  ],
  [
    'a text in place of messages',
    () => model.chat('Hello' as never),
    'TEMPLATE',
    'the messages are "Hello", expected a list of at least one { role, content }',
  ],
  [
    'nothing said',
    () => model.chatSession().send(undefined as never),
    'TEMPLATE',
    'what is said is no value, expected a text, a message or a list of messages',
  ],
  [
    'several texts to embed',
    () => model.embed(['a', 'b'] as never),
    'OPTION',
    'the input is a list of texts, expected one text or its token ids: calls for several texts at once share steps',
  ],
])('%s is refused in words that help', async (_, call, code, message) => {
  await expect((async () => call())()).rejects.toMatchObject({ code, message })
})
