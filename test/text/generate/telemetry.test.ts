// What a model tells about its work: log-probabilities of given tokens, the experts of every token, what runs and
// waits.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { exp, ln } from '../../../dist/base/elementary.js'
import { MixtralModel, type RoutedToken } from '../../../dist/index.js'
import { demo } from '../../runtime/model/demoFiles.js'

let model: MixtralModel
beforeAll(async () => {
  model = await MixtralModel.load('demo', { threads: 2, batchSize: 16 })
})
afterAll(() => model.close())

const tokens = demo.tokens.slice(0, 40)

describe('score', () => {
  test('is the log-softmax of logits in float64, with the best tokens', async () => {
    const { vocabSize } = model.config
    const logits = await model.logits(tokens)
    const scored = await model.score(tokens, { top: 5 })
    expect(scored.map(({ id }) => id)).toEqual(tokens.slice(1))
    for (const [i, { id, logprob, top }] of scored.entries()) {
      const row = logits.subarray(i * vocabSize, (i + 1) * vocabSize)
      const most = row.reduce((a, b) => Math.max(a, b))
      const offset = most + ln(row.reduce((sum, logit) => sum + exp(logit - most), 0))
      expect(logprob).toBeCloseTo(row[id]! - offset, 10)
      const best = [...row.keys()].sort((a, b) => row[b]! - row[a]! || a - b).slice(0, 5)
      expect(top.map((each) => each.id)).toEqual(best)
      for (const each of top) expect(each.logprob).toBeCloseTo(row[each.id]! - offset, 10)
    }
  })

  test('from a later place is the same, cached or not, alone or in company', async () => {
    const all = await model.score(tokens)
    await model.reset()
    expect(await model.score(tokens, { from: 25 })).toEqual(all.slice(24))
    const many = await Promise.all([1, 5, 20, 33, 39].map((from) => model.score(tokens, { from })))
    expect(many).toEqual([1, 5, 20, 33, 39].map((from) => all.slice(from - 1)))
  })

  test.each([
    [[1], {}, 'OPTION', /one token, expected at least two/],
    [tokens, { from: 0 }, 'OPTION', /from is 0, expected a whole number from 1 to 39/],
    [tokens, { from: 40 }, 'OPTION', /from is 40/],
    [tokens, { top: 21 }, 'OPTION', /top is 21, expected a whole number from 0 to 20/],
    [tokens, { best: 2 }, 'OPTION', /unknown option best/],
    [[1, 1e9], {}, 'TOKENIZER', /token 1 has id 1000000000/],
  ])('of %j with %o is refused', async (ids, options, code, message) => {
    await expect(model.score(ids, options as object)).rejects.toMatchObject({ code, message: expect.stringMatching(message) })
  })
})

describe('routing', () => {
  test('equals what trace finds, for every token and layer', async () => {
    const { layers, expertsPerToken: used } = model.config
    const routed: RoutedToken[] = []
    await model.reset()
    const end = model.onRouting((token) => routed.push(token))
    await model.logits(tokens)
    end()
    await model.evaluate(demo.tokens.slice(60, 64))
    expect(routed.map(({ position, token }) => [position, token])).toEqual(tokens.map((token, position) => [position, token]))
    for (let layer = 0; layer < layers; layer++) {
      const [ids, weights] = await model.trace(tokens, { tensors: [`ffn_moe_topk-${layer}`, `ffn_moe_weights_norm-${layer}`] })
      const inLayer = ({ ids, weights }: RoutedToken) => ({
        ids: [...ids.subarray(layer * used, (layer + 1) * used)],
        weights: [...weights.subarray(layer * used, (layer + 1) * used)],
      })
      expect(routed.flatMap((token) => inLayer(token).ids)).toEqual([...ids!.values])
      if (weights) expect(routed.flatMap((token) => inLayer(token).weights)).toEqual([...weights.values])
    }
  })

  test('counts every use', async () => {
    const { layers, experts, expertsPerToken } = model.config
    const before = model.expertUses()
    await model.reset()
    await model.evaluate(tokens)
    const uses = model.expertUses().map((count, i) => count - before[i]!)
    for (let layer = 0; layer < layers; layer++) {
      const sum = uses.subarray(layer * experts, (layer + 1) * experts).reduce((a, b) => a + b)
      expect(sum).toBe(tokens.length * expertsPerToken)
    }
  })

  test('comes with the pieces of a stream that asks for it', async () => {
    const ids = model.tokenizer.encodePrompt('[INST] Who are you? [/INST]')
    const written: number[] = []
    const rows: number[][] = []
    let last: readonly number[] = []
    for await (const piece of model.stream('[INST] Who are you? [/INST]', { temperature: 0, experts: true })) {
      written.push(...piece.ids)
      rows.push(...piece.experts!.map((routing) => [...routing.ids]))
      last = piece.ids
    }
    expect(last).toEqual([]) // the end token has experts too
    expect(rows).toHaveLength(written.length + 1)
    const routed: RoutedToken[] = []
    const end = model.onRouting((token) => routed.push(token))
    await model.logits([...ids, ...written])
    end()
    expect(rows).toEqual(routed.slice(ids.length - 1).map((token) => [...token.ids]))
  })

  test('listeners that throw are not called again, and harm no call', async () => {
    const warnings: string[] = []
    const listen = ({ message }: Error) => warnings.push(message)
    process.on('warning', listen)
    let calls = 0
    model.onRouting(() => {
      calls++
      throw new TypeError('of the listener')
    })
    await model.evaluate(tokens.slice(5, 12))
    await model.evaluate(tokens.slice(6, 12))
    await new Promise((resolve) => setTimeout(resolve))
    process.off('warning', listen)
    expect(calls).toBe(1)
    expect(warnings).toEqual(['of the listener'])
  })

  test('wants a function', () => {
    expect(() => model.onRouting(5 as never)).toThrow(/the listener is 5, expected a function/)
  })
})

test('status tells what runs and waits, and what the KV cache holds', async () => {
  await using small = await MixtralModel.load('demo', { threads: 2, sequences: 2, contextLength: 128 })
  expect(small.status()).toMatchObject({ running: 0, waiting: 0, suspended: 0, kvTokens: 128, kvFree: 128, prefixTokens: 0 })
  const calls = [1, 2, 3].map((n) => small.evaluate(tokens.slice(n, n + 35)))
  await calls[0]
  expect(small.status().steps).toBeGreaterThan(0)
  await Promise.all(calls)
  await expect.poll(() => small.status()).toMatchObject({ running: 0, waiting: 0, kvFree: 128 })
  expect(small.status().prefixTokens).toBeGreaterThan(30)
})

test('the time of the prompt ends with its first token, which needs no step of its own', async () => {
  await model.reset()
  const { prefillSeconds, decodeSeconds } = await model.generate('Long ago, in a far away land, there was a goat. '.repeat(8), {
    maxNewTokens: 1,
  })
  expect(prefillSeconds).toBeGreaterThan(decodeSeconds)
})

test('a salt keeps calls apart', async () => {
  await model.reset()
  const prompt = '[INST] What is the capital of France, and what is the capital of Italy? Please say it in a sentence. [/INST]'
  const reused = async (salt?: string) => (await model.generate(prompt, { maxNewTokens: 1, ...(salt && { salt }) })).reusedTokens
  expect(await reused('a')).toBe(0)
  expect(await reused('b')).toBe(0)
  expect(await reused()).toBe(0)
  expect(await reused('a')).toBeGreaterThan(30)
  await expect(model.generate(prompt, { salt: 5 as never })).rejects.toMatchObject({ code: 'OPTION' })
})
