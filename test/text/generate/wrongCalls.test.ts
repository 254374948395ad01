// Calls that a careless program makes: values of any type in any place end in an error of ours that names them, and no
// change that a caller makes to its own lists during a call reaches the model.

import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { LocalModel } from '../../../dist/index.js'
import { MixtralConfig, MixtralError, Tokenizer } from '../../../dist/index.js'
import type { GenerationOptions } from '../../../dist/text/generate/generationOptions.js'
import { MixtralModel } from '../../../dist/text/generate/mixtralModel.js'

const demo = fileURLToPath(new URL('../../../models/tiny-mixtral.Q4_K_M.gguf', import.meta.url))

let model: MixtralModel
beforeAll(async () => {
  model = await MixtralModel.load('demo', { threads: 1 })
})
afterAll(() => model.close())

const circular: Record<string, unknown> = {}
circular.self = circular
const noText = {
  toString() {
    throw new TypeError('no text')
  },
}
const values: readonly (readonly [string, unknown])[] = [
  ['null', null],
  ['a big integer', 10n],
  ['a symbol', Symbol('s')],
  ['an object without a prototype', Object.create(null)],
  ['a circular object', circular],
  ['an object without a text', noText],
  ['a function', () => {}],
  ['a list of a big integer', [1n]],
  ['a sparse list', new Array(3)],
]
const kinds = (names: readonly string[]) => names.flatMap((name) => values.map(([kind, value]) => [name, kind, value] as const))

async function errorOf(call: () => unknown): Promise<unknown> {
  try {
    await call()
  } catch (error) {
    return error
  }
  return undefined
}

describe('a value of another type is refused by name', () => {
  const options = ['maxNewTokens', 'stop', 'stopIds', 'bannedWords', 'temperature', 'seed', 'samplers', 'drySequenceBreakers']
  test.each(kinds(options))('%s: %s', async (name, _, value) => {
    const error = await errorOf(() => model.generate('a', { maxNewTokens: 1, [name]: value } as GenerationOptions))
    expect(error).toMatchObject({ code: 'OPTION', message: expect.stringContaining(name) })
  })

  test.each(kinds(['logitBias']))('a bias in %s: %s', async (name, _, value) => {
    const error = await errorOf(() => model.generate('a', { maxNewTokens: 1, [name]: [[5, value]] } as unknown as GenerationOptions))
    expect(error).toMatchObject({ code: 'OPTION', message: expect.stringContaining(name) })
  })

  test.each(kinds(['threads', 'ram', 'kvFormat', 'worker']).filter(([name, kind]) => name === 'worker' || kind !== 'null'))(
    'in loading, %s: %s',
    async (name, _, value) => {
      expect(await errorOf(() => MixtralModel.load('demo', { [name]: value }))).toMatchObject({
        code: 'OPTION',
        message: expect.stringContaining(name),
      })
    },
  )

  const calls: Record<string, (value: never) => unknown> = {
    'the options of generate': (value) => model.generate('a', value),
    'the options of logits': (value) => model.logits([1], value),
    'the options of load': (value) => MixtralModel.load('demo', value),
  }
  test.each(Object.entries(calls))('%s: null and a number', async (_, call) => {
    for (const value of [null, 5]) expect(await errorOf(() => call(value as never))).toMatchObject({ code: 'OPTION' })
  })

  const tokenCalls: Record<string, (ids: never) => unknown> = {
    logits: (ids) => model.logits(ids),
    evaluate: (ids) => model.evaluate(ids),
    trace: (ids) => model.trace(ids),
    decode: (ids) => model.tokenizer.decode([ids]),
    'decode without a list': (ids) => model.tokenizer.decode(ids),
    encodeParts: (part) => model.tokenizer.encodeParts([part]),
    'encodeParts without a list': (parts) => model.tokenizer.encodeParts(parts),
    'metadata of a tokenizer': (metadata) => Tokenizer.fromGgufMetadata(metadata),
    'metadata of a config': (metadata) => MixtralConfig.fromGgufMetadata(metadata),
    token: (ids) => model.tokenizer.token(ids),
    encode: (ids) => model.tokenizer.encode(ids),
    chat: (ids) => model.chat([ids]),
    'role of chat': (ids) => model.chat([{ role: ids, content: 'a' }]),
    load: (ids) => MixtralModel.load(ids),
  }
  test.each(kinds(Object.keys(tokenCalls)))('%s of %s', async (name, _, value) => {
    expect(await errorOf(() => tokenCalls[name]!(value as never))).toBeInstanceOf(MixtralError)
  })

  test('a number in place of a list', () => {
    expect(() => model.tokenizer.decode(5 as never)).toThrow('the list of token ids is 5, expected an iterable of numbers')
    expect(() => model.tokenizer.encodeParts(5 as never)).toThrow('the list of parts is 5, expected a list of texts and token ids')
  })

  test('a property of lists is no token', () => {
    expect(() => model.tokenizer.token('length' as never)).toThrow(MixtralError)
    expect(() => model.tokenizer.decode(['length' as never])).toThrow(MixtralError)
  })

  test.each<readonly [string, unknown]>([
    ['the promise of a model', Promise.resolve()],
    ['a path of another type', { path: 5 }],
    ['layers without parameters', { path: demo, layers: {} }],
    ['a template of another type', { path: demo, layers: { params: {}, messages: [], licenses: [], template: 5 } }],
    ['null for layers', { path: demo, layers: null }],
    ['adapters of another type', { path: demo, adapters: 5 }],
    ['an adapter of another type', { path: demo, adapters: [5] }],
  ])('a found model: %s', async (_, found) => {
    expect(await errorOf(() => MixtralModel.load(found as LocalModel))).toMatchObject({ code: 'OPTION' })
  })
})

describe('a logit bias that would count for nothing, or for another token, is refused', () => {
  test.each<readonly [string, unknown]>([
    ['a map', new Map([[13, -2]])],
    ['a set', new Set([13])],
    ['a typed array', new Int32Array(3)],
    ['an empty key', { '': -5 }],
    ['a hexadecimal key', { '0x10': -5 }],
  ])('%s', async (_, logitBias) => {
    expect(await errorOf(() => model.generate('a', { maxNewTokens: 1, logitBias } as GenerationOptions))).toMatchObject({
      code: 'OPTION',
      message: expect.stringContaining('logitBias'),
    })
  })
})

describe('tokens that the caller changes during a call', () => {
  const ids = Array.from({ length: 300 }, (_, i) => 1 + (i % 2000))
  const changes: Record<string, (own: number[]) => void> = {
    'other ids': (own) => own.fill(1e9),
    fewer: (own) => own.splice(5),
    more: (own) => own.push(1, 2, 3),
  }
  test.each(Object.entries(changes))('%s: the call sees those that it was given', async (_, change) => {
    const expected = await model.logits(ids)
    for (const call of [model.logits.bind(model), model.evaluate.bind(model)]) {
      const own = [...ids]
      const result = await call(own, { onProgress: () => change(own) })
      expect(sameBits(result, expected.subarray(expected.length - result.length))).toBe(true)
    }
    const waiting = [...ids]
    const [first, second] = [model.logits([1]), model.logits(waiting)]
    change(waiting)
    await first
    expect(sameBits(await second, expected)).toBe(true)
  })
})

function sameBits(a: Float32Array, b: Float32Array): boolean {
  return a.length === b.length && a.every((value, i) => Object.is(value, b[i]))
}

describe('huge lists and texts', () => {
  const many = Array.from({ length: 150_000 }, (_, i) => `zq${i}`)
  test.each<readonly [string, GenerationOptions]>([
    ['stop strings', { stop: many }],
    ['banned words', { bannedWords: many.slice(0, 10_000) }],
    ['a long banned word', { bannedWords: 'a'.repeat(200_000) }],
    ['sequence breakers', { dryMultiplier: 1, drySequenceBreakers: many.slice(0, 1000) }],
  ])('%s', async (_, options) => {
    const { ids } = await model.generate('a', { maxNewTokens: 1, ...options })
    expect(ids).toHaveLength(1)
  })

  test.each<readonly [string, GenerationOptions]>([
    ['banned words', { bannedWords: many }],
    ['characters of banned words', { bannedWords: 'a'.repeat(200_001) }],
    ['sequence breakers', { dryMultiplier: 1, drySequenceBreakers: many.slice(0, 1001) }],
  ])('more %s than are looked for are refused', async (_, options) => {
    await expect(model.generate('a', options)).rejects.toMatchObject({
      code: 'OPTION',
      message: expect.stringContaining('expected at most'),
    })
  })
})

test.each<GenerationOptions>([
  { repetitionPenalty: 0.01 },
  { repetitionPenalty: 0.01, temperature: 1.7e308, dynatempRange: 1.7e308, minP: 0.5, topNSigma: 1 },
  { repetitionPenalty: 100, frequencyPenalty: 100, typicalP: 0.5 },
])('biases next to the largest number leave probabilities: %j', async (options) => {
  const logitBias = Array.from({ length: model.config.vocabSize }, (_, id) => [id, id % 2 ? -1.7e308 : 1.7e308] as const)
  const all = await model.generate('a', { maxNewTokens: 6, seed: 1, logprobs: 3, postSampling: true, logitBias, ...options })
  for (const { logprob } of all.logprobs!) expect(logprob).not.toBeNaN()
})
