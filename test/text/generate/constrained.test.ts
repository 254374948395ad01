// Texts under a constraint: a grammar, a JSON schema, a regular expression. What the constraint itself allows is tested
// in test/text/constraint; here that a generation obeys it, whatever the sampler.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { MixtralModel } from '../../../dist/text/generate/mixtralModel.js'
import { readAll, resultOf } from './readAll.js'

let model: MixtralModel
beforeAll(async () => {
  model = await MixtralModel.load('demo', { threads: 2 })
})
afterAll(() => model.close())

const question = [{ role: 'user', content: 'What is the capital of France?' }] as const
const schema = {
  type: 'object',
  properties: { city: { enum: ['Paris', 'Rome'] }, people: { type: 'integer', minimum: 1, maximum: 99 }, old: { type: 'boolean' } },
  required: ['city', 'people', 'old'],
  additionalProperties: false,
}

test.each([1, 2, 3, 4, 5, 6])('an answer follows its JSON schema, and is parsed: seed %i', async (seed) => {
  const { parsed, text, finishReason } = await model.chat(question, { jsonSchema: schema, seed, temperature: 2, topK: 0, topP: 1, minP: 0 })
  expect(finishReason).toBe('stop')
  expect(parsed).toEqual(JSON.parse(text))
  expect(parsed).toEqual({
    city: expect.stringMatching(/^(Paris|Rome)$/),
    people: expect.any(Number),
    old: expect.any(Boolean),
  })
})

test.each([
  ['the number of tokens', { maxNewTokens: 3 }, 'length'],
  ['a stop string', { stop: ':' }, 'stop'],
  ['a stop id', { stopIds: Array.from({ length: 400 }, (_, id) => id + 30) }, 'stop'],
] as const)('a text that is cut by %s is not parsed', async (_, options, finishReason) => {
  const result = await model.chat(question, { jsonSchema: schema, temperature: 0, ...options })
  expect(result.finishReason).toBe(finishReason)
  expect(() => JSON.parse(result.text)).toThrow()
  expect(result).not.toHaveProperty('parsed')
})

test('a regular expression is matched as a whole, in an answer and in a text that goes on', async () => {
  const regex = '[A-Z][a-z]{2,5} (and|or) [0-9]{3}'
  for (let seed = 0; seed < 4; seed++) {
    const { text } = await model.chat(question, { regex, seed, temperature: 1.5 })
    expect(text).toMatch(new RegExp(`^${regex}$`))
    const { text: continued } = await model.generate('Once upon a time', { regex: ` ${regex}`, seed, temperature: 1.5 })
    expect(continued).toMatch(new RegExp(`^ ${regex}$`))
  }
})

test('a grammar is followed, streamed as at once, and a seed repeats', async () => {
  const options = { grammar: 'root ::= ("yes" | "no" | "perhaps") ("!" | "?")', seed: 3, temperature: 1.8 }
  const { text } = await model.chat(question, options)
  expect(text).toMatch(/^(yes|no|perhaps)[!?]$/)
  const { pieces } = await readAll(model.streamChat(question, options))
  expect(pieces.map((piece) => piece.text).join('')).toBe(text)
})

test('what the model would say anyway stays what it is', async () => {
  const free = await resultOf(model.streamChat(question, { temperature: 0 }))
  const bound = await model.chat(question, { temperature: 0, regex: '[ -~]*' })
  expect(bound.text).toBe(free.text)
})

describe('refused by name', () => {
  const refusals: [what: string, options: object, code: string, message: RegExp][] = [
    ['two constraints', { grammar: 'root ::= "a"', regex: 'a' }, 'OPTION', /grammar and regex are given, expected at most one/],
    ['a malformed grammar', { grammar: 'root ::= (' }, 'OPTION', /grammar/],
    ['a malformed pattern', { regex: '(' }, 'OPTION', /regular expression/],
    ['a schema that is none', { jsonSchema: { type: 'thing' } }, 'OPTION', /type/],
    ['a schema keyword without support', { jsonSchema: { type: 'array', uniqueItems: true } }, 'UNSUPPORTED', /uniqueItems/],
    ['a grammar that is no text', { grammar: 7 }, 'OPTION', /grammar is 7, expected the text of a GBNF grammar/],
  ]
  test.each(refusals)('%s', async (_, options, code, message) => {
    await expect(model.chat(question, options)).rejects.toMatchObject({ code, message: expect.stringMatching(message) })
  })
})

describe('what a constraint forces', () => {
  const record = {
    type: 'object',
    properties: { temperature_of_the_water: { enum: ['cold', 'warm'] }, name_of_the_station: { type: 'boolean' } },
    required: ['temperature_of_the_water', 'name_of_the_station'],
    additionalProperties: false,
  }
  const stepsOf = async (options: object) => {
    const before = model.status().steps
    const result = await model.chat(question, { jsonSchema: record, seed: 5, ...options })
    return { ...result, steps: model.status().steps - before }
  }

  test('is run together, and not drawn', async () => {
    const { ids, steps, parsed } = await stepsOf({})
    expect(parsed).toEqual({ temperature_of_the_water: expect.stringMatching(/cold|warm/), name_of_the_station: expect.any(Boolean) })
    expect(steps).toBeLessThan(ids.length / 2)
  })

  test.each([
    {},
    { stop: 'station' },
    { stop: 'temp' },
    { maxNewTokens: 7 },
    { maxNewTokens: 1 },
    { minTokens: 200 },
    { temperature: 2.5, topP: 1 },
  ])('is the same text where its rows are reported: %j', async (options) => {
    const plain = await stepsOf(options)
    const { logprobs, ...reported } = await stepsOf({ ...options, logprobs: 2 })
    const experts = await readAll(model.streamChat(question, { jsonSchema: record, seed: 5, ...options, experts: true }))
    for (const other of [reported, experts.result]) {
      expect([other.text, other.ids, other.finishReason, other.parsed]).toEqual([plain.text, plain.ids, plain.finishReason, plain.parsed])
    }
    const ended = plain.finishReason === 'stop' && !('stop' in options)
    expect(logprobs!.map(({ id }) => id)).toEqual([...plain.ids, ...(ended ? [model.tokenizer.eosId] : [])])
    expect(experts.pieces.flatMap(({ experts = [] }) => experts)).toHaveLength(logprobs!.length)
  })

  test('has the log-probabilities of the logits; after the samplers it is certain', async () => {
    const { ids, logprobs } = await stepsOf({ logprobs: 3 })
    const prompt = model.applyChatTemplate(question).ids
    const scored = await model.score([...prompt, ...ids], { from: prompt.length, top: 3 })
    expect(logprobs!.slice(0, -1).map(({ logprob }) => logprob)).toEqual(scored.map(({ logprob }) => logprob))
    const after = await stepsOf({ logprobs: 3, postSampling: true })
    expect(after.ids).toEqual(ids)
    const name = after.logprobs!.find(({ token }) => token.includes('ature') || token.includes('er'))!
    expect(name).toMatchObject({ logprob: 0, top: [{ id: name.id, logprob: 0 }] })
  })

  test('is drawn where words are banned or tokens have a bias, in a spelling that obeys', async () => {
    const id = (await stepsOf({})).ids[3]!
    const { ids, parsed } = await stepsOf({ logitBias: { [id]: false } })
    expect(ids).not.toContain(id)
    expect(parsed).toBeDefined()
  })

  test.each([{ jsonSchema: { const: 'a long constant text' } }, { regex: '' }, { regex: 'abc', stop: 'b' }, { regex: 'abc', n: 2 }])(
    'takes time that is counted: %j',
    async (options) => {
      const { prefillSeconds, decodeSeconds } = await model.chat(question, options)
      expect(prefillSeconds).toBeGreaterThan(0)
      expect(decodeSeconds).toBeGreaterThanOrEqual(0)
      expect(prefillSeconds + decodeSeconds).toBeLessThan(60)
    },
  )

  test('is whole where the last token is the last that may come', async () => {
    const whole = await model.chat(question, { jsonSchema: { enum: ['Paris', 'Rome'] }, seed: 1 })
    const cut = await model.chat(question, { jsonSchema: { enum: ['Paris', 'Rome'] }, seed: 1, maxNewTokens: whole.ids.length })
    expect([cut.text, cut.parsed, cut.finishReason]).toEqual([whole.text, whole.parsed, 'stop'])
  })

  test('does not end at a stop id before there are enough tokens', async () => {
    const [first] = (await model.chat(question, { regex: 'Paris is nice' })).ids
    const { text, ids } = await model.chat(question, { regex: 'Paris is nice', stopIds: [first!], minTokens: 2 })
    expect([text, ids[0]]).toEqual(['Paris is nice', first])
    expect((await model.chat(question, { regex: 'Paris is nice', stopIds: [first!] })).text).toBe('')
  })

  test('a grammar names no end token', async () => {
    await expect(model.chat(question, { grammar: 'root ::= "a" <[2]>' })).rejects.toMatchObject({
      code: 'OPTION',
      message: expect.stringContaining('the end token 2'),
    })
  })
})
