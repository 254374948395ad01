// Another number of experts than the model's own, for one call: it gives the bits of a model that has that number of
// its own, alone and in steps with calls of other numbers, in memory and from disk.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { type LoadOptions, MixtralModel, Reference } from '../../../dist/index.js'
import { divergence } from '../../golden/divergence.js'
import { type Shape, writeShapeModel } from '../../golden/shapeModel.js'
import { hashOf } from '../model/hash.js'

const folder = mkdtempSync(join(tmpdir(), 'mixtral-experts-'))
afterAll(() => rmSync(folder, { recursive: true }))

const vocab = 270
const sizes = { layers: 2, dim: 36, heads: 3, kvHeads: 1, headDim: 12, ffn: 300, experts: 8, vocab }
const tokens = Array.from({ length: 70 }, (_, i) => (i * 61 + 7) % vocab)
const all = [1, 2, 3, 4, 5, 6, 7, 8]

/** A model of the same weights whose own number of experts is `used`. */
async function fileWith(used: number): Promise<string> {
  const path = join(folder, `${used}.gguf`)
  const shape: Shape = { ...sizes, used, name: 'experts', seed: 11, ropeTheta: 1e4, tokens: [], routing: [], check: {} }
  await writeShapeModel(shape, path)
  return path
}

const load = async (used: number, options: LoadOptions = {}) =>
  MixtralModel.load(await fileWith(used), { threads: 2, batchSize: 19, sequences: 8, contextLength: 96, ...options })

describe.each(all)('%i of 8 experts', (expertsPerToken) => {
  test('give the logits of a model that has as many, and those of the float64 reference', async () => {
    await using own = await load(expertsPerToken)
    await using other = await load(2)
    const logits = await other.logits(tokens, { expertsPerToken })
    expect(hashOf(logits)).toBe(hashOf(await own.logits(tokens)))
    const truth = (await Reference.open(await fileWith(expertsPerToken))).logits(tokens)
    const { meanKL, top1 } = divergence(truth, logits, vocab)
    expect(meanKL).toBeLessThanOrEqual(1e-9)
    expect(top1).toBe(1)
  })
})

test('calls with all numbers at the same time get what each gets alone', async () => {
  await using model = await load(2)
  const run = async (expertsPerToken: number) => {
    const options = { expertsPerToken, maxNewTokens: 20, temperature: 0.8, seed: 5, ignoreEos: true, experts: true }
    const pieces = []
    for await (const { ids, experts } of model.stream('one two three', options)) pieces.push({ ids, experts })
    return { pieces, hash: hashOf(await model.logits(tokens, { expertsPerToken })), scored: await model.score(tokens, { expertsPerToken }) }
  }
  const alone = []
  for (const used of all) {
    alone.push(await run(used))
    await model.reset()
  }
  expect(new Set(alone.map(({ hash }) => hash)).size).toBe(8)
  expect(await Promise.all(all.map(run))).toEqual(alone)
  expect(await Promise.all([...all].reverse().map(run))).toEqual([...alone].reverse())
  for (const [i, { pieces }] of alone.entries()) {
    for (const { experts = [] } of pieces) for (const { ids } of experts) expect(ids).toHaveLength(sizes.layers * (i + 1))
  }
})

test('experts that are read from disk give the same bits', async () => {
  await using resident = await load(2)
  await using streamed = await load(2, { ram: resident.memory.totalBytes * 0.9 })
  expect(streamed.memory.expertSlots).toBeLessThan(streamed.memory.experts)
  for (const expertsPerToken of [1, 5, 8]) {
    const hash = hashOf(await resident.logits(tokens, { expertsPerToken }))
    expect(hashOf(await streamed.logits(tokens, { expertsPerToken }))).toBe(hash)
  }
})

test('a listener to the routing sees as many, the largest logits, with the weights of their softmax', async () => {
  await using model = await load(2)
  const seen: { ids: Uint16Array; weights: Float32Array; logits: Float32Array }[] = []
  model.onRouting((routed) => seen.push(routed))
  await model.logits(tokens.slice(0, 5), { expertsPerToken: 3 })
  expect(seen).toHaveLength(5)
  for (const { ids, weights, logits } of seen) {
    expect([ids.length, weights.length, logits.length]).toEqual([6, 6, 16])
    for (let layer = 0; layer < 2; layer++) {
      const row = [...logits.subarray(layer * 8, layer * 8 + 8)]
      const best = row.map((_, e) => e).sort((a, b) => row[b]! - row[a]! || a - b)
      expect([...ids.subarray(layer * 3, layer * 3 + 3)]).toEqual(best.slice(0, 3))
      const odds = best.slice(0, 3).map((e) => Math.exp(row[e]!))
      const sum = odds.reduce((a, b) => a + b)
      for (const [k, odd] of odds.entries()) expect(weights[layer * 3 + k]).toBeCloseTo(odd / sum, 5)
    }
  }
})

test('an impossible number is refused at the call', async () => {
  await using model = await load(2)
  for (const expertsPerToken of [0, 9, 1.5, -1, '2', null] as number[]) {
    const refusal = { code: 'OPTION', message: expect.stringMatching(/^expertsPerToken is .*, expected a whole number from 1 to 8$/) }
    expect(() => model.stream('a', { expertsPerToken })).toThrow(expect.objectContaining(refusal))
    await expect(model.logits([1], { expertsPerToken })).rejects.toMatchObject(refusal)
    await expect(model.evaluate([1], { expertsPerToken })).rejects.toMatchObject(refusal)
    await expect(model.score([1, 2], { expertsPerToken })).rejects.toMatchObject(refusal)
  }
})
