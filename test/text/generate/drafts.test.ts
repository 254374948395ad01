// Answers with drafts and without: tokens, texts, pieces, log-probabilities, experts and reasons are the same, with any
// sampler, constraint and company. DRAFT_PROMPTS says for how many random calls.

import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type GenerationOptions, MixtralModel, type RoutedToken } from '../../../dist/index.js'
import '../../propertySeed.js'
import { hardGrammar } from '../constraint/hardGrammar.js'
import { lasting, told } from './lastingAnswer.js'

const RUNS = Number(process.env.DRAFT_PROMPTS ?? 40)

let without: MixtralModel
let always: MixtralModel
let bySelf: MixtralModel
beforeAll(async () => {
  const load = (drafts?: boolean) => MixtralModel.load('demo', { threads: 1, contextLength: 256, ...(drafts !== undefined && { drafts }) })
  ;[without, always, bySelf] = await Promise.all([load(false), load(true), load()])
})
afterAll(() => Promise.all([without, always, bySelf].map((model) => model.close())))

const sentence = 'Once upon a time, there was a child named Sam. He had a small red ball.'
const prompts = [
  `${sentence} ${sentence} Once upon`,
  '[INST] Say it again: the cat sat on the mat, and the dog sat on the cat. [/INST] the cat sat on the mat, and the dog',
  '{"name": "Sam", "age": 7}, {"name": "Tom", "age": 9}, {"name": "',
  'And they lived happily ever after. And they lived happily ever after. And they',
  '[INST] What is 7 + 5? [/INST]',
  'Long ago, in a far away land,',
  'x',
]

const person = { type: 'object', properties: { name: { enum: ['Sam', 'Tom'] }, age: { type: 'integer' } }, required: ['name', 'age'] }
const constraints: GenerationOptions[] = [
  {},
  {},
  {},
  { jsonSchema: { ...person, additionalProperties: false } },
  { jsonSchema: { type: 'array', items: person, minItems: 2, maxItems: 3 } },
  { regex: '(the cat sat on the (mat|cat), and )+the end' },
  { regex: '[a-z ]{3,60}' },
  { grammar: 'root ::= "once upon a time " ("there was " | "there lived ") [a-z ]+ "."' },
]
const samplers: GenerationOptions[] = [
  { temperature: 0 },
  { temperature: 0 },
  {},
  { temperature: 1.3, topK: 0, topP: 1, minP: 0 },
  { repetitionPenalty: 1.3, frequencyPenalty: 0.2, penaltyLastN: 32 },
  { temperature: 0, presencePenalty: 0.5, penaltyLastN: -1 },
  { dryMultiplier: 0.8 },
  { xtcProbability: 0.5, xtcThreshold: 0.1 },
  { mirostat: 1 },
  { mirostat: 2, mirostatTau: 3 },
  { adaptiveTarget: 0.5, samplers: ['topK', 'adaptiveP'] },
  { dynatempRange: 0.5, typicalP: 0.8, topNSigma: 1.5 },
]
const reports: GenerationOptions[] = [{}, {}, {}, { logprobs: 3 }, { experts: true }, { logprobs: 2, postSampling: true, experts: true }]
const ends: GenerationOptions[] = [
  {},
  {},
  { stop: 'the' },
  { stop: ['sat on the m', '"age": 9'] },
  { stopIds: [17, 300, 301] },
  { minTokens: 12 },
  { ignoreEos: true },
  { bannedWords: ['ball', 'cat'] },
  { logitBias: [['Sam', 1.5]] },
  { logitBias: { 5: 0 } },
]

const asked = fc
  .record({
    prompt: fc.constantFrom(...prompts),
    options: fc.tuple(...[constraints, samplers, reports, ends].map((list) => fc.constantFrom(...list))),
    maxNewTokens: fc.integer({ min: 1, max: 40 }),
    seed: fc.nat(3),
    n: fc.constantFrom(1, 1, 1, 2, 3),
  })
  .map(({ prompt, options, maxNewTokens, seed, n }) => {
    const all: GenerationOptions = Object.assign({}, ...options, { seed, n, maxNewTokens })
    return { prompt, options: all.minTokens !== undefined && all.minTokens > maxNewTokens ? { ...all, minTokens: maxNewTokens } : all }
  })

test(
  'are the same for every prompt, seed, sampler and constraint, alone and among others',
  async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(asked, { minLength: 1, maxLength: 2 }), async (calls) => {
        const ask =
          ({ prompt, options }: (typeof calls)[number]) =>
          (model: MixtralModel) =>
            model.stream(prompt, options)
        const expected = []
        for (const call of calls) expected.push(await told(without, ask(call)))
        for (const model of [always, bySelf]) {
          expect(await told(model, ask(calls[0]!))).toEqual(expected[0])
          expect(await Promise.all(calls.map((call) => told(model, ask(call))))).toEqual(expected)
        }
      }),
      { numRuns: Math.ceil(RUNS / 1.5) }, // of one call or two,
    )
    const { draftedTokens, acceptedTokens } = always.status()
    expect(acceptedTokens).toBeGreaterThan(RUNS)
    expect(draftedTokens).toBeGreaterThan(acceptedTokens) // there were rejected ones, too
    expect(without.status()).toMatchObject({ draftedTokens: 0, acceptedTokens: 0 })
  },
  Math.max(120_000, RUNS * 2000),
)

const repeating = { temperature: 0, maxNewTokens: 60, ignoreEos: true, seed: 1 }

describe('the end comes where it comes without, inside of a draft:', () => {
  const prompt = prompts[3]!
  let ids: readonly number[]
  let text: string
  beforeAll(async () => {
    ;({ ids, text } = await without.generate(prompt, repeating))
  })
  const same = async (options: GenerationOptions) => {
    const result = await always.generate(prompt, { ...repeating, ...options })
    expect(lasting(result)).toEqual(lasting(await without.generate(prompt, { ...repeating, ...options })))
    return result
  }

  test('after any number of tokens', async () => {
    let accepted = 0
    for (let maxNewTokens = 1; maxNewTokens <= 34; maxNewTokens += 3) {
      const result = await same({ maxNewTokens })
      expect([result.ids, result.finishReason]).toEqual([ids.slice(0, maxNewTokens), 'length'])
      accepted += result.acceptedTokens
    }
    expect(accepted).toBeGreaterThan(50)
  })

  test('at a stop string', async () => {
    for (let at = 1; at < 40; at += 7) expect((await same({ stop: text.slice(at, at + 4) })).finishReason).toBe('stop')
  })

  test('at an end token', async () => {
    for (const id of new Set(ids.slice(-9))) expect((await same({ stopIds: [id] })).finishReason).toBe('stop')
  })

  test('at the end of the context', async () => {
    const { maxNewTokens: _, ...endless } = repeating
    const [result, expected] = await Promise.all([always, without].map((model) => model.generate(prompt, endless)))
    expect(lasting(result!)).toEqual(lasting(expected!))
    expect(result!.finishReason).toBe('context')
    expect(result!.promptTokens + result!.ids.length).toBe(256)
    expect(result!.acceptedTokens).toBeGreaterThan(50)
  })
})

test('counts tell what was drafted and what came', async () => {
  const before = always.status()
  const { draftedTokens, acceptedTokens, ids } = await always.generate(prompts[3]!, repeating)
  expect(acceptedTokens).toBeGreaterThan(20)
  expect(acceptedTokens).toBeLessThanOrEqual(Math.min(draftedTokens, ids.length))
  const after = always.status()
  expect(after.draftedTokens - before.draftedTokens).toBe(draftedTokens)
  expect(after.acceptedTokens - before.acceptedTokens).toBe(acceptedTokens)
  expect(after.steps - before.steps).toBeLessThan(ids.length + 2 - acceptedTokens + 2)
})

test('listeners and counts of experts have each token once, in order', async () => {
  const heard = async (model: MixtralModel) => {
    await model.reset()
    const before = model.expertUses()
    const routed: RoutedToken[] = []
    const end = model.onRouting(({ request: _, ...token }) => routed.push({ request: 0, ...token }))
    await model.generate(prompts[3]!, repeating)
    end()
    return { routed, uses: model.expertUses().map((uses, i) => uses - before[i]!) }
  }
  expect(await heard(always)).toEqual(await heard(without))
})

test('forced tokens are drafts where a bias may ask for another spelling', async () => {
  const options = {
    jsonSchema: { const: { title: 'a long text that is known', more: [1, 2, 3] } },
    logitBias: { 5: 0.5 },
    temperature: 0,
    seed: 1,
  }
  const [result, expected] = await Promise.all([always, without].map((model) => model.generate('Fill it in: ', options)))
  expect(lasting(result!)).toEqual(lasting(expected!))
  expect(result!.acceptedTokens).toBeGreaterThan(result!.ids.length / 2)
})

test('a constraint that is too much work ends an answer where it does without drafts', async () => {
  const beginning = 'happily ever after. And they lived happily '
  const options = { grammar: hardGrammar(beginning), logitBias: { 5: 0 }, temperature: 0, maxNewTokens: 40, seed: 1 }
  const tell = (model: MixtralModel, own: GenerationOptions) => told(model, (one) => one.stream('And they lived ', { ...options, ...own }))
  // drafts of answers that end before go as far, again and again, and learn what there is to learn
  for (let call = 0; call < 2; call++) for (const model of [without, always, bySelf]) await tell(model, { stop: 'after' })
  const expected = await tell(without, {})
  expect(expected).toMatchObject({ code: 'UNSUPPORTED' })
  for (const model of [always, bySelf]) expect(await tell(model, {})).toEqual(expected)
})

describe('a session', () => {
  test('goes on, forks and goes back after drafts as without', async () => {
    const story = async (model: MixtralModel) => {
      const session = await model.session({ salt: 'a story' })
      await session.append(prompts[3]!)
      const first = await session.generate(repeating)
      const fork = session.fork()
      const second = await fork.generate({ ...repeating, temperature: 1, seed: 3 })
      session.rewind(session.ids.length - 17)
      const third = await session.generate(repeating)
      const { ids } = session
      await Promise.all([session.close(), fork.close()])
      return [lasting(first), lasting(second), lasting(third), [...ids], second.reusedTokens, third.reusedTokens]
    }
    expect(await story(always)).toEqual(await story(without))
  })

  test('finds what was accepted in the cache, and nothing else', async () => {
    const reused = async (model: MixtralModel) => {
      await model.reset()
      const { ids } = await model.generate(prompts[3]!, repeating)
      const all = [...model.tokenizer.encodePrompt(prompts[3]!), ...ids]
      const session = await model.session({ ids: all })
      const { reusedTokens } = await session.generate({ maxNewTokens: 1 })
      await session.close()
      return reusedTokens
    }
    expect(await reused(always)).toBe(await reused(without))
  })
})

test('an answer that is left in the middle of a draft gives its pages back', async () => {
  for await (const { ids } of always.stream(prompts[3]!, repeating)) if (ids.length > 0) break
  await expect.poll(() => always.status()).toMatchObject({ running: 0, kvFree: 256 })
})

test.each([0, 'auto', null])('drafts %s is refused', async (drafts) => {
  await expect(MixtralModel.load('demo', { drafts: drafts as never })).rejects.toMatchObject({
    code: 'OPTION',
    message: expect.stringMatching(/^drafts is .*, expected true or false$/),
  })
})
