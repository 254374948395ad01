// Statistics of texts, against what `trace` says of the same tokens.

import { afterAll, beforeAll, expect, test } from 'vitest'
import { expertStatistics, MixtralModel } from '../../../dist/index.js'

let model: MixtralModel
beforeAll(async () => {
  model = await MixtralModel.load('demo', { threads: 2, contextLength: 128 })
})
afterAll(() => model.close())

const story = 'Once upon a time, there was a young goat who wanted to see the world. He went to the river and met a fox. '.repeat(6)
const play = 'KING RICHARD III:\nWhat says lord Stanley? will he bring his power?\n\nMessenger:\nMy lord, he doth deny to come.\n'.repeat(6)

test('every share, repetition and loss is that of the traced tensors', async () => {
  const { all, shape, domains } = await expertStatistics(model, [{ domain: 'stories', text: story }], { contextLength: 64 })
  const { layers, experts, used } = shape
  const ids = model.tokenizer.encode(story, { addBos: false })
  const shares = Array.from({ length: layers }, () => new Float64Array(experts))
  const repeats = new Float64Array(layers)
  const [first, probabilities] = [new Float64Array(used * experts), new Float64Array(experts)]
  let pairs = 0
  for (let start = 0; start < ids.length; start += 63) {
    const window = [model.tokenizer.bosId, ...ids.slice(start, start + 63)]
    const tensors = await model.trace(window, { tensors: ['ffn_moe_topk-*', 'ffn_moe_logits-*'] })
    pairs += window.length - 2
    for (let layer = 0; layer < layers; layer++) {
      const top = tensors.find(({ name }) => name === `ffn_moe_topk-${layer}`)!.values
      const logits = tensors.find(({ name }) => name === `ffn_moe_logits-${layer}`)!.values
      for (let t = 1; t < window.length; t++) {
        for (let k = 0; k < used; k++) {
          shares[layer]![top[t * used + k]!]!++
          first[k * experts + top[t * used + k]!]!++
        }
        if (t > 1 && top[t * used] === top[(t - 1) * used]) repeats[layer]!++
        const row = [...logits.subarray(t * experts, (t + 1) * experts)].map(Math.exp)
        const sum = row.reduce((a, b) => a + b)
        for (const [e, odd] of row.entries()) probabilities[e]! += odd / sum
      }
    }
  }
  expect(all.tokens).toBe(ids.length)
  expect(domains.map(({ domain, tokens }) => [domain, tokens])).toEqual([['stories', ids.length]])
  for (const [layer, figures] of all.layers.entries()) {
    for (let e = 0; e < experts; e++) expect(figures.shares[e]).toBeCloseTo(shares[layer]![e]! / (used * ids.length), 12)
    expect(figures.firstRepeats).toBeCloseTo(repeats[layer]! / pairs, 12)
  }
  const rows = ids.length * layers
  const loss = first.reduce((sum, count, i) => sum + (count / rows) * (probabilities[i % experts]! / rows), 0) * experts
  expect(all.balancingLoss).toBeCloseTo(loss, 6)
  expect(all.layers.every(({ entropy }) => entropy > 0 && entropy < Math.log(experts))).toBe(true)
})

test('domains are told apart, and counted together', async () => {
  const texts = [
    { domain: 'stories', text: story },
    { domain: 'plays', text: play },
    { domain: 'stories', text: 'The end.' },
  ]
  const counted: number[] = []
  const { domains, all, comparisons, cache } = await expertStatistics(model, texts, {
    tokens: 150,
    expertsPerToken: 3,
    onProgress: ({ loaded }) => counted.push(loaded),
  })
  expect(domains.map(({ domain, tokens }) => [domain, tokens])).toEqual([
    ['stories', 150],
    ['plays', 150],
  ])
  expect(all.tokens).toBe(300)
  expect(counted.at(-1)).toBe(300)
  expect(comparisons.map(({ domains }) => domains)).toEqual([['stories', 'plays']])
  expect(all.layers[0]!.rankShares).toHaveLength(3)
  for (const rank of all.layers[0]!.rankShares) expect(rank.reduce((a, b) => a + b)).toBeCloseTo(1, 12)
  expect(cache.hitRates.at(-1)).toBeCloseTo(1 - cache.reached.filter((at) => at > 0).length / (300 * 6 * 3), 12)
  for (const row of all.layers[0]!.nextLayer!) expect(row.reduce((a, b) => a + b)).toBeCloseTo(1, 9)
  expect(all.layers.at(-1)!.nextLayer).toBeUndefined()
})

test('the first tokens of each domain are kept where they are asked for, and predictions are shares', async () => {
  const texts = [
    { domain: 'plays', text: play },
    { domain: 'stories', text: 'A goat.' },
    { domain: 'plays', text: play },
  ]
  const { domains, all, prediction } = await expertStatistics(model, texts, { contextLength: 64, beginning: 70 })
  const ids = model.tokenizer.encode(play, { addBos: false })
  expect(domains[0]!.beginning!.tokens).toEqual(ids.slice(0, 70))
  expect(domains[1]!.beginning!.tokens).toEqual(model.tokenizer.encode('A goat.', { addBos: false }))
  expect(all.beginning).toBeUndefined()
  const { bosId } = model.tokenizer
  const first = await model.routing([bosId, ...ids.slice(0, 63)])
  const second = await model.routing([bosId, ...ids.slice(63, 126)])
  const expected = [...first.slice(1), ...second.slice(1)].slice(0, 70)
  expect([...domains[0]!.beginning!.experts]).toEqual(expected.flatMap(({ ids }) => [...ids]))
  expect([...domains[0]!.beginning!.weights]).toEqual(expected.flatMap(({ weights }) => [...weights]))
  const { layers } = model.config
  expect(prediction.fromLayerBefore[0]).toBe(0)
  for (const shares of [prediction.fromLayerBefore.slice(1), prediction.fromUses]) {
    for (const share of shares) {
      expect(share).toBeGreaterThan(0.25)
      expect(share).toBeLessThan(1)
    }
  }
  expect([prediction.fromLayerBefore.length, prediction.fromUses.length]).toEqual([layers, layers])
})

test('what cannot be is refused by name', async () => {
  const refused = (texts: unknown, options: object, message: string) =>
    expect(expertStatistics(model, texts as [], options)).rejects.toMatchObject({
      code: 'OPTION',
      message: expect.stringContaining(message),
    })
  await refused([], {}, 'texts is a list of 0, expected a list of at least one { domain, text }')
  await refused([{ domain: 'a', text: 5 }], {}, 'text 0')
  await refused([{ domain: 'a', text: '' }], {}, 'have no tokens')
  await refused([{ domain: 'a', text: 'b' }, null], {}, 'text 1 is null, expected an object with domain and text')
  const many = Array.from({ length: 101 }, (_, i) => ({ domain: `${i}`, text: 'b' }))
  await refused(many, {}, '101 domains, expected at most 100')
  await refused([{ domain: 'a', text: 'b' }], { tokens: 0 }, 'tokens is 0')
  await refused([{ domain: 'a', text: 'b' }], { beginning: -1 }, 'beginning is -1')
  await refused([{ domain: 'a', text: 'b' }], { expertsPerToken: 9 }, 'expertsPerToken is 9')
  await refused([{ domain: 'a', text: 'b' }], { window: 9 }, 'unknown option window')
})

test('an abort after the last window, before domains are compared, ends it', async () => {
  const controller = new AbortController()
  const onProgress = ({ loaded, total }: { loaded: number; total: number }) => {
    if (loaded === total) controller.abort()
  }
  const { signal } = controller
  await expect(expertStatistics(model, [{ domain: 'a', text: story }], { tokens: 64, signal, onProgress })).rejects.toMatchObject({
    code: 'ABORTED',
  })
})

test('an abort ends it while domains are compared, and other work goes on meanwhile', async () => {
  const texts = Array.from({ length: 24 }, (_, i) => ({ domain: `${i}`, text: i % 2 === 0 ? story : play }))
  const controller = new AbortController()
  let turns = 0
  const timer = setInterval(() => turns++, 1)
  const onProgress = ({ loaded, total }: { loaded: number; total: number }) => {
    if (loaded === total) setTimeout(() => controller.abort(), 2)
  }
  await expect(expertStatistics(model, texts, { tokens: 300, signal: controller.signal, onProgress })).rejects.toMatchObject({
    code: 'ABORTED',
  })
  clearInterval(timer)
  expect(turns).toBeGreaterThan(5)
})

test('an asynchronous function for progress that is rejected ends it with its error', async () => {
  const onProgress = async () => {
    throw new Error('no progress')
  }
  await expect(expertStatistics(model, [{ domain: 'a', text: story }], { onProgress })).rejects.toThrow('no progress')
})

test('texts that the caller changes meanwhile are those of the call', async () => {
  const texts = [
    { domain: 'a', text: story },
    { domain: 'b', text: play },
  ]
  const expected = await expertStatistics(model, texts, { tokens: 100 })
  const running = expertStatistics(model, texts, { tokens: 100 })
  texts[1]!.text = story
  texts.length = 1
  expect(await running).toEqual(expected)
})
