// Calls of all kinds at the same time, in a model with few pages: each gets what it gets alone, bit for bit, whatever
// the others do.

import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type GenerationOptions, type LoadOptions, MixtralModel } from '../../../dist/index.js'
import { demo } from '../model/demoFiles.js'
import { hashOf } from '../model/hash.js'

const beginnings = ['', '[INST] What is the capital of France? ', '[INST] What is the capital of France? Say it in one word. ']
const ends = ['Who are you? [/INST]', 'Long ago, there was', '7 + 5 =', 'and a young goat is']

interface Call {
  readonly kind: 'generate' | 'stream' | 'logits' | 'evaluate'
  readonly beginning: number
  readonly end: number
  readonly tokens: number
  readonly seed: number
  /** Milliseconds before it begins. */
  readonly delay: number
  /** Milliseconds after which it is aborted. */
  readonly abortAfter: number | undefined
  /** Milliseconds that a reader of a stream takes for each piece. */
  readonly slow: number
  /** The model's own number where it is undefined. */
  readonly expertsPerToken: number | undefined
}

const call = fc.record<Call>({
  kind: fc.constantFrom('generate', 'generate', 'stream', 'logits', 'evaluate'),
  beginning: fc.nat(beginnings.length - 1),
  end: fc.nat(ends.length - 1),
  tokens: fc.integer({ min: 1, max: 60 }),
  seed: fc.nat(2),
  delay: fc.nat(30),
  abortAfter: fc.option(fc.nat(60), { freq: 4, nil: undefined }),
  slow: fc.nat(2),
  expertsPerToken: fc.constantFrom(undefined, undefined, 1, 3, 8),
})

/** What a call gives: the ids and the text that it writes, or a hash of its logits. */
async function run(
  model: MixtralModel,
  { kind, beginning, end, tokens, seed, slow, expertsPerToken }: Call,
  signal?: AbortSignal,
): Promise<unknown> {
  const prompt = beginnings[beginning]! + ends[end]!
  const ids = model.tokenizer.encodePrompt(prompt)
  const common = { ...(signal && { signal }), ...(expertsPerToken && { expertsPerToken }) }
  const options: GenerationOptions = { maxNewTokens: tokens, seed, temperature: seed ? 1.2 : 0, ignoreEos: true, ...common }
  if (kind === 'logits') return hashOf(await model.logits(ids, common))
  if (kind === 'evaluate') return hashOf(await model.evaluate(ids, common))
  if (kind === 'generate') {
    const { text, ids: written } = await model.generate(prompt, options)
    return { text, written }
  }
  const pieces = model.stream(prompt, options)
  let text = ''
  const written: number[] = []
  for await (const piece of pieces) {
    text += piece.text
    written.push(...piece.ids)
    if (slow) await sleep(slow - 1)
  }
  return { text, written }
}

let reference: MixtralModel
const known = new Map<string, Promise<unknown>>()
beforeAll(async () => {
  reference = await MixtralModel.load('demo', { threads: 1, sequences: 1 })
})
afterAll(() => reference.close())

/** What a call gives alone, on a model whose cache is empty. */
function alone(of: Call): Promise<unknown> {
  const { kind, beginning, end, tokens, seed, expertsPerToken } = of
  const key = JSON.stringify(
    kind === 'logits' || kind === 'evaluate' ? [kind, beginning, end, expertsPerToken] : [beginning, end, tokens, seed, expertsPerToken],
  )
  const result = known.get(key) ?? reference.reset().then(() => run(reference, { ...of, slow: 0 }))
  known.set(key, result)
  return result
}

const small: LoadOptions = { contextLength: 128, kvTokens: 192 }

describe.each<[string, LoadOptions]>([
  ['six pages and one thread', { ...small, threads: 1 }],
  ['six pages and three threads, three at once, small steps', { ...small, threads: 3, sequences: 3, batchSize: 7 }],
  ['many pages and two threads', { threads: 2, kvTokens: 8192 }],
  ['experts that are read when needed', { ...small, threads: 2, batchSize: 16, ram: 5_300_000 }],
])('with %s', (_, options) => {
  test('each call gets what it gets alone', async () => {
    await using model = await MixtralModel.load('demo', options)
    await fc.assert(
      fc.asyncProperty(fc.array(call, { minLength: 2, maxLength: 10 }), async (calls) => {
        const expected = []
        for (const each of calls) expected.push(await alone(each))
        const results = await Promise.all(
          calls.map(async (each) => {
            await sleep(each.delay)
            const signal = each.abortAfter === undefined ? undefined : AbortSignal.timeout(each.abortAfter)
            return run(model, each, signal).catch((error) => {
              if (error.code === 'ABORTED' && signal?.aborted) return undefined
              throw error
            })
          }),
        )
        for (const [i, result] of results.entries()) if (result !== undefined) expect(result).toEqual(expected[i])
      }),
      { numRuns: 8 },
    )
  }, 120_000)
})

describe('many calls', () => {
  test('that begin alike compute the beginning once', async () => {
    await using model = await MixtralModel.load('demo', { threads: 2, kvTokens: 8192 })
    const stem = demo.tokens.slice(0, 90)
    const loaded: number[] = []
    const calls = Array.from({ length: 8 }, (_, n) => {
      let total = 0
      const onProgress = (progress: { total: number }) => {
        total = progress.total
      }
      return model.evaluate([...stem, 100 + n, 200 + n], { onProgress }).then(() => loaded.push(total))
    })
    await Promise.all(calls)
    expect(Math.max(...loaded)).toBeLessThanOrEqual(92)
    await using fresh = await MixtralModel.load('demo', { threads: 2 })
    for (let n = 0; n < 8; n++) {
      const ids = [...stem, 100 + n, 200 + n]
      expect(hashOf(await model.evaluate(ids))).toBe(hashOf(await fresh.evaluate(ids)))
    }
  })

  test('may wait for each other in loops of each other', async () => {
    await using model = await MixtralModel.load('demo', { threads: 2, sequences: 1 })
    const prompt = '[INST] Who are you? [/INST]'
    const { text } = await model.generate(prompt, { temperature: 0 })
    let outer = ''
    for await (const piece of model.stream(prompt, { temperature: 0 })) {
      outer += piece.text
      if (piece.text.includes('tiny')) expect((await model.generate(prompt, { temperature: 0 })).text).toBe(text)
    }
    expect(outer).toBe(text)
  })
})

describe('a KV cache that is just large enough', () => {
  test.each([
    [{ contextLength: 64 }, 40, 40],
    [{ contextLength: 96 }, 40, 70],
    [{ contextLength: 128 }, 20, 97],
    [{ contextLength: 128, batchSize: 8 }, 70, 128],
    [{ contextLength: 512, batchSize: 512 }, 40, 490],
  ] as const)('runs a prompt that has the beginning of a page in common with an earlier one: %j', async (options, first, second) => {
    await using model = await MixtralModel.load('demo', { threads: 2, ...options })
    const ids = (length: number, from: number) => Array.from({ length }, (_, i) => (i ? from + i : 1))
    await model.evaluate(ids(first, 100))
    const found = await model.evaluate(ids(second, 700))
    await model.reset()
    expect(found).toEqual(await model.evaluate(ids(second, 700)))
    expect(model.status()).toMatchObject({ running: 0, suspended: 0 })
  })
})
