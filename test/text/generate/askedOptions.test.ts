// What a generation can be asked beside sampling: log-probabilities, ends, forbidden and favored tokens; and that every
// sampler keeps its seed.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { BannedWords } from '../../../dist/text/generate/bannedWords.js'
import type { GenerationOptions } from '../../../dist/text/generate/generationOptions.js'
import { MixtralModel } from '../../../dist/text/generate/mixtralModel.js'
import { readAll, resultOf } from './readAll.js'

const prompt = '[INST] Who are you? [/INST]'
const answer = 'I am a tiny mixture of experts. I have eight experts in every layer, and two of them work on each word.'
const greedy = { temperature: 0 }

let model: MixtralModel
beforeAll(async () => {
  model = await MixtralModel.load('demo', { threads: 2 })
})
afterAll(() => model.close())

const run = (options: GenerationOptions, text = prompt) => resultOf(model.stream(text, options))
const hexPiece = (byte: number) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`
const idsOf = (text: string) => model.tokenizer.encode(text, { addBos: false })

describe('log-probabilities', () => {
  const varied = { temperature: 1.5, topK: 0, topP: 1, minP: 0, repetitionPenalty: 1.2, seed: 9, maxNewTokens: 12, logprobs: 5 }

  test("are those of the model's logits, whatever the samplers do", async () => {
    const { ids, logprobs } = await run(varied)
    const tokens = [...model.tokenizer.encodePrompt(prompt), ...ids]
    const { vocabSize } = model.config
    const all = await model.logits(tokens)
    for (const [i, { id, logprob, top }] of logprobs!.entries()) {
      const row = all.subarray((tokens.length - ids.length + i - 1) * vocabSize).subarray(0, vocabSize)
      const most = Math.max(...row)
      const logSum = most + Math.log(row.reduce((sum, logit) => sum + Math.exp(logit - most), 0))
      const best = [...row.keys()].sort((a, b) => row[b]! - row[a]! || a - b).slice(0, 5)
      expect(top.map((other) => other.id)).toEqual(best)
      for (const one of [{ id, logprob }, ...top]) expect(Math.abs(one.logprob - (row[one.id]! - logSum))).toBeLessThan(1e-6)
    }
    expect(logprobs!.map(({ id }) => id)).toEqual(ids)
  })

  test.each([{ ...greedy, logprobs: 3 }, varied, { ...greedy, logprobs: 0, stop: 'mixture' }])(
    'of a stream are those of its result: %j',
    async (options) => {
      const { pieces, result } = await readAll(model.stream(prompt, options))
      expect(pieces.flatMap(({ logprobs = [] }) => logprobs)).toEqual(result.logprobs)
      expect((await run(options)).logprobs).toEqual(result.logprobs)
      for (const { top } of result.logprobs!) expect(top).toHaveLength(options.logprobs!)
    },
  )

  test('have an entry for the end token, whose bytes are none; the bytes of all are the text', async () => {
    const { text, ids, logprobs } = await run({ ...greedy, logprobs: 1 })
    expect(logprobs!.map(({ id }) => id)).toEqual([...ids, model.tokenizer.eosId])
    expect(logprobs!.at(-1)).toMatchObject({ token: '</s>', bytes: [] })
    expect(Buffer.from(logprobs!.flatMap(({ bytes }) => [...bytes])).toString()).toBe(text)
    expect(logprobs![0]).toMatchObject({ token: 'I', bytes: [73] })
    for (const { id, logprob, token, top } of logprobs!) expect(top[0]).toMatchObject({ id, logprob, token }) // greedy
  })

  test('after sampling are among the tokens that were left', async () => {
    for (const { logprob, top } of (await run({ ...greedy, logprobs: 5, postSampling: true })).logprobs!) {
      expect({ logprob, left: top.length }).toEqual({ logprob: 0, left: 1 })
    }
    const { logprobs } = await run({ topK: 3, topP: 1, minP: 0, temperature: 2, seed: 1, maxNewTokens: 5, logprobs: 5, postSampling: true })
    for (const { top } of logprobs!) {
      expect(top).toHaveLength(3)
      expect(top.reduce((sum, { logprob }) => sum + Math.exp(logprob), 0)).toBeCloseTo(1, 9)
    }
  })

  test('after sampling are finite, where tokens are left that cannot be drawn', async () => {
    const cold = { temperature: 1e-4, topK: 5, topP: 1, minP: 0, seed: 1, logprobs: 5, postSampling: true, maxNewTokens: 6 }
    for (const { logprob, top } of (await run(cold)).logprobs!) {
      expect([logprob, ...top.map((other) => other.logprob)].every(Number.isFinite)).toBe(true)
      expect(top.length).toBeGreaterThan(0)
    }
  })

  test('are not there unless asked for', async () => {
    const { pieces, result } = await readAll(model.stream(prompt, { ...greedy, maxNewTokens: 2 }))
    expect([...pieces, result].some((one) => 'logprobs' in one)).toBe(false)
  })
})

describe('a text ends', () => {
  test('at a stop id, which it does not contain', async () => {
    const [tiny] = idsOf('tiny')
    const result = await run({ ...greedy, stopIds: [tiny!], logprobs: 0 })
    expect(result).toMatchObject({ text: 'I am a', finishReason: 'stop' })
    expect(result.ids).not.toContain(tiny)
    expect(result.logprobs!.at(-1)!.id).toBe(tiny)
  })

  test('at an end token or a stop id only after minTokens', async () => {
    const plain = await run(greedy)
    const more = await run({ ...greedy, minTokens: plain.ids.length + 5 })
    expect(more.ids.length).toBeGreaterThanOrEqual(plain.ids.length + 5)
    expect(more.ids.slice(0, plain.ids.length)).toEqual(plain.ids)
    const [tiny] = idsOf('tiny')
    expect((await run({ ...greedy, stopIds: [tiny!], minTokens: 3 })).text).toBe('I am a')
    expect((await run({ ...greedy, stopIds: [tiny!], minTokens: 4, maxNewTokens: 8 })).ids).not.toContain(tiny)
  })

  test('never at an end token with ignoreEos, though at a stop id', async () => {
    const { ids, finishReason } = await run({ ...greedy, ignoreEos: true, maxNewTokens: 60 })
    expect({ count: ids.length, finishReason }).toEqual({ count: 60, finishReason: 'length' })
    expect(ids).not.toContain(model.tokenizer.eosId)
    expect((await run({ ...greedy, ignoreEos: true, stopIds: idsOf('tiny') })).text).toBe('I am a')
  })
})

describe('banned words', () => {
  test('never come, however tokens would cut them', async () => {
    for (const bannedWords of [['experts'], ['perts', 'tiny'], ['e '], ['mixture of'], ['I'], [' am', 'a ', 'two of them']]) {
      const { text } = await run({ ...greedy, bannedWords, maxNewTokens: 40 })
      for (const word of bannedWords) expect(text).not.toContain(word)
      expect(text).not.toBe(answer)
    }
  })

  test('that do not come change nothing', async () => {
    expect((await run({ ...greedy, bannedWords: ['zebra', 'Experts'] })).text).toBe(answer)
  })

  test('are found in tokens of one byte, half of a character each', () => {
    const { tokenizer } = model
    const bytesOf = (id: number) => tokenizer.bytes(id)
    const [first, second] = Buffer.from('\u00e9')
    const byteToken = (byte: number) =>
      Array.from({ length: tokenizer.vocabSize }, (_, id) => id).find((id) => tokenizer.token(id).piece === hexPiece(byte))
    const words = new BannedWords(['caf\u00e9', '\u00e9e'], tokenizer)
    expect([...words.forbidden()].filter((id) => bytesOf(id).length === 1)).toEqual([])
    for (const byte of Buffer.from('caf')) words.push(Uint8Array.of(byte))
    words.push(Uint8Array.of(first!))
    expect([...words.forbidden()]).toContain(byteToken(second!))
    words.push(Uint8Array.of(0x20))
    expect([...words.forbidden()]).not.toContain(byteToken(second!))
  })
})

describe('a logit bias', () => {
  test('by id, as an object or as pairs, and by text', async () => {
    const [tiny] = idsOf('tiny')
    const texts = await Promise.all([
      run({ ...greedy, logitBias: { [tiny!]: false } }),
      run({ ...greedy, logitBias: [[tiny!, -Infinity]] }),
      run({ ...greedy, logitBias: [['tiny', false]] }),
    ])
    expect(new Set(texts.map(({ text }) => text)).size).toBe(1)
    expect(texts[0]!.text).not.toContain('tiny')
    expect((await run({ ...greedy, logitBias: { [tiny!]: 100 }, maxNewTokens: 3 })).ids).toEqual([tiny, tiny, tiny])
  })

  test('is not seen in log-probabilities', async () => {
    const [tiny] = idsOf('tiny')
    const logprobs = async (logitBias: NonNullable<GenerationOptions['logitBias']>) =>
      (await run({ ...greedy, logprobs: 2, maxNewTokens: 1, logitBias })).logprobs![0]!.top
    expect(await logprobs({ [tiny!]: 100 })).toEqual(await logprobs({}))
  })
})

describe('with every sampler on', () => {
  const every: GenerationOptions = {
    temperature: 1.1,
    dynatempRange: 0.4,
    topK: 300,
    topP: 0.99,
    minP: 0.001,
    typicalP: 0.99,
    topNSigma: 4,
    xtcProbability: 0.3,
    xtcThreshold: 0.05,
    repetitionPenalty: 1.1,
    frequencyPenalty: 0.2,
    presencePenalty: 0.1,
    dryMultiplier: 0.8,
    dryAllowedLength: 1,
    minKeep: 2,
    logitBias: { 13: -1 },
    bannedWords: ['very'],
    minTokens: 5,
    seed: 21,
    maxNewTokens: 30,
  }

  test.each([every, { ...every, adaptiveTarget: 0.3 }, { ...every, mirostat: 1 }, { ...every, mirostat: 2 }])(
    'the same seed writes the same text, whatever the threads: %#',
    async (options) => {
      const { ids } = await run(options, 'Once upon a time')
      expect((await run(options, 'Once upon a time')).ids).toEqual(ids)
      await using other = await MixtralModel.load('demo', { threads: 1 })
      expect((await resultOf(other.stream('Once upon a time', options))).ids).toEqual(ids)
      expect((await run({ ...options, seed: 22 }, 'Once upon a time')).ids).not.toEqual(ids)
    },
  )

  test('DRY keeps the model from saying the same again, and lets it behind a breaker', async () => {
    const again = `${prompt} ${answer}</s> ${prompt}`
    const text = async (options: GenerationOptions) => (await run({ ...greedy, maxNewTokens: 4, ...options }, again)).text
    const dry = { dryMultiplier: 20, dryAllowedLength: 5 }
    expect(await text({})).toBe('I am a tiny')
    expect(await text({ ...dry, drySequenceBreakers: 'zebra' })).not.toMatch(/^I/)
    expect(await text({ ...dry, drySequenceBreakers: ['zebra', ']'] })).toBe('I am a tiny')
    expect(await text({ ...dry, drySequenceBreakers: 'INST]' })).toBe('I am a tiny') // some tokens together
  })
})

test.each<[object, string]>([
  [{ stopIds: [2048] }, 'stopIds has token 2048, expected ids from 0 to 2047'],
  [{ stopIds: 5 }, 'stopIds is 5, expected a list of token ids'],
  [{ minTokens: -1 }, 'minTokens is -1, expected a whole number from 0'],
  [{ minTokens: 5, maxNewTokens: 4 }, 'minTokens is 5, expected at most maxNewTokens, which is 4'],
  [{ ignoreEos: 1 }, 'ignoreEos is 1, expected true or false'],
  [{ bannedWords: [''] }, 'bannedWords has "", expected'],
  [{ logprobs: 21 }, 'logprobs is 21, expected a whole number from 0 to 20'],
  [{ logprobs: true }, 'logprobs is true, expected'],
  [{ postSampling: true }, 'postSampling is true, expected logprobs with it'],
  [{ logitBias: { 2048: 1 } }, 'logitBias has token 2048, expected ids from 0 to 2047'],
  [{ logitBias: { tiny: 1 } }, 'logitBias has the key "tiny", expected token ids'],
  [{ logitBias: { 5: Number.NaN } }, 'logitBias has NaN for token 5, expected a number or false'],
  [{ logitBias: [[5, true]] }, 'logitBias has true for token 5, expected a number or false'],
  [{ logitBias: [5] }, 'logitBias has 5, expected pairs'],
])('%j is refused by name', async (options, message) => {
  await expect(model.generate(prompt, options)).rejects.toMatchObject({ code: 'OPTION', message: expect.stringContaining(message) })
})
