// The same logits, bit for bit, however a model is run: kernel builds, threads, batches, banks, context, and what was
// in the cache before.

import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Reference } from '../../../dist/evaluation/reference/reference.js'
import { type LoadOptions, MixtralModel } from '../../../dist/index.js'
import { ATTENTION_RANGE } from '../../../dist/runtime/weights/scratch.js'
import { divergence } from '../../golden/divergence.js'
import { shapes, writeShapeModel } from '../../golden/shapeModel.js'
import { demo, demoPath, demoTypes } from './demoFiles.js'
import { hashOf } from './hash.js'

const folder = mkdtempSync(join(tmpdir(), 'mixtral-bits-'))
afterAll(() => rmSync(folder, { recursive: true }))

const base = shapes.find(({ name }) => name === 'base')!
const slidingWindow = 5
const windowPath = join(folder, 'window.gguf')
beforeAll(() => writeShapeModel(base, windowPath, { slidingWindow }))

const tokens = demo.tokens.slice(0, 50)
const models = new Map<string, { readonly path: string; readonly tokens: readonly number[] }>([
  ...demoTypes.map((type) => [type, { path: demoPath(type), tokens }] as const),
  ['F32 with a sliding window', { path: windowPath, tokens: base.tokens }],
])

async function hashWith(name: string, options: LoadOptions): Promise<string> {
  const { path, tokens } = models.get(name)!
  await using model = await MixtralModel.load(path, { threads: 1, ...options })
  return hashOf(await model.logits(tokens))
}

describe('logits', () => {
  const expected = new Map<string, string>()
  beforeAll(async () => {
    for (const name of models.keys()) expected.set(name, await hashWith(name, {}))
  }, 30_000)

  test.each<[string, LoadOptions]>([
    ['Q4_K_M', { threads: 2 }],
    ['Q4_K_M', { threads: 3 }],
    ['Q4_K_M', { threads: 5 }],
    ['Q4_K_M', { batchSize: 1 }],
    ['Q4_K_M', { batchSize: 7 }],
    ['Q4_K_M', { batchSize: 49, threads: 2 }],
    ['Q4_K_M', { bankBytes: 1 }],
    ['Q4_K_M', { bankBytes: 250_000, threads: 2 }],
    ['Q4_K_M', { contextLength: 50 }],
    ['Q4_K_M', { contextLength: 65, batchSize: 33 }],
    ['F16', { threads: 3, batchSize: 7, bankBytes: 1 }],
    ['Q8_0', { threads: 2, batchSize: 1 }],
    ['Q6_K', { threads: 3, batchSize: 13, bankBytes: 500_000 }],
    ['Q5_K_M', { threads: 2, batchSize: 3, bankBytes: 1 }],
    ['Q4_K_S', { threads: 5, batchSize: 31 }],
    ['Q4_0', { threads: 3, batchSize: 17 }],
    ['Q3_K_M', { threads: 2, batchSize: 1 }],
    ['Q2_K', { threads: 3, batchSize: 6, bankBytes: 1 }],
    ['MXFP4_MOE', { threads: 2, batchSize: 1 }],
    ['IQ3_S', { threads: 3, batchSize: 1 }],
    ['IQ3_XXS', { threads: 2, batchSize: 5, bankBytes: 1 }],
    ['IQ2_M', { threads: 3, batchSize: 1 }],
    ['IQ2_XS', { threads: 2, batchSize: 1 }],
    ['IQ2_XXS', { threads: 5, batchSize: 1, bankBytes: 250_000 }],
    ['IQ1_M', { threads: 3, batchSize: 1 }],
    ['IQ1_S', { threads: 2, batchSize: 3 }],
    ['TQ2_0', { threads: 2, batchSize: 1 }],
    ['TQ1_0', { threads: 3, batchSize: 1, bankBytes: 1 }],
    ['F32 with a sliding window', { batchSize: 1 }],
    ['F32 with a sliding window', { threads: 3, batchSize: 4, bankBytes: 1 }],
  ])('of %s are the same with %o', async (name, options) => {
    expect(await hashWith(name, options)).toBe(expected.get(name))
  })

  test.each(['IQ3_S', 'IQ3_XXS', 'IQ2_M', 'IQ2_XS', 'IQ2_XXS', 'IQ1_M', 'IQ1_S'])(
    'of %s are the same with all layers expanded, with some, and with none',
    async (name) => {
      const { path, tokens } = models.get(name)!
      const hashes = new Set<string>()
      const totals = new Set<number>()
      const logitsWith = async (options: LoadOptions) => {
        await using model = await MixtralModel.load(path, { threads: 2, ...options })
        const { totalBytes, experts, expertSlots } = model.memory
        if (experts === expertSlots) totals.add(totalBytes)
        hashes.add(hashOf(await model.logits(tokens.slice(0, 5))))
        return totalBytes
      }
      const most = await logitsWith({})
      for (const share of [0.97, 0.8]) await logitsWith({ ram: Math.floor(most * share) })
      expect(totals.size).toBeGreaterThan(1)
      expect(hashes.size).toBe(1)
    },
  )

  test('with the other KV cache are others, and the same with any threads and batches', async () => {
    const f32 = await hashWith('Q4_K_M', { kvFormat: 'f32' })
    const f16 = await hashWith('F32 with a sliding window', { kvFormat: 'f16' })
    expect([...expected.values()]).not.toContain(f32)
    expect([...expected.values()]).not.toContain(f16)
    expect(await hashWith('Q4_K_M', { kvFormat: 'f32', threads: 2, batchSize: 11 })).toBe(f32)
    expect(await hashWith('F32 with a sliding window', { kvFormat: 'f16', threads: 3, batchSize: 6 })).toBe(f16)
  })

  test.each<[string, readonly LoadOptions[]]>([
    [
      'Q4_K_M',
      [
        { threads: 3, batchSize: 7 },
        { threads: 2, batchSize: 1 },
        { threads: 5, batchSize: 31, bankBytes: 1 },
      ],
    ],
    ['F32 with a sliding window', [{ threads: 3, batchSize: 4 }, { batchSize: 1 }]],
  ])('of %s with a KV cache of 8 bits are others, and the same with any threads and batches', async (name, others) => {
    const q8 = await hashWith(name, { kvFormat: 'q8' })
    expect([...expected.values()]).not.toContain(q8)
    for (const options of others) expect(await hashWith(name, { kvFormat: 'q8', ...options })).toBe(q8)
  })

  test('embeddings and texts are the same from both kernel builds', async () => {
    const wanted = [...models.values()].map((model) => ({ ...model, options: { threads: 2, batchSize: 16 }, prompt: 'Once upon a time' }))
    const script = fileURLToPath(new URL('printHashes.mjs', import.meta.url))
    const run = async (build: string): Promise<{ kernels: string; hash: string; embedding: string; text: string }[]> => {
      const env = { ...process.env, MIXTRAL_KERNELS: build }
      return JSON.parse((await promisify(execFile)(process.execPath, [script, JSON.stringify(wanted)], { env })).stdout)
    }
    const plain = await run('simd')
    const relaxed = await run('relaxed-simd')
    expect(new Set(plain.map(({ kernels }) => kernels))).toEqual(new Set(['simd']))
    expect(new Set(relaxed.map(({ kernels }) => kernels))).toEqual(new Set(['relaxed-simd']))
    expect(plain.map(({ hash }) => hash)).toEqual([...expected.values()])
    expect(relaxed.map(({ hash }) => hash)).toEqual([...expected.values()])
    expect(plain.map(({ embedding }) => embedding)).toEqual(relaxed.map(({ embedding }) => embedding))
    expect(plain.map(({ text }) => text)).toEqual(relaxed.map(({ text }) => text))
  }, 60_000)
})

describe('what was in the cache before', () => {
  let model: MixtralModel
  let rows: readonly string[] // of the logits after each token
  beforeAll(async () => {
    model = await MixtralModel.load(demoPath(), { threads: 2, batchSize: 20 })
    rows = rowsOf(await model.logits(tokens), demo.vocab)
  })
  afterAll(() => model.close())

  const rowAfter = async (ids: readonly number[]) => hashOf(await model.evaluate(ids))

  test('does not matter when tokens come one at a time', async () => {
    await model.reset()
    for (let n = 1; n <= tokens.length; n++) expect(await rowAfter(tokens.slice(0, n))).toBe(rows[n - 1])
  })

  test('does not matter when tokens come in uneven batches', async () => {
    await model.reset()
    for (const n of [3, 4, 9, 31, 32, 33, 50]) expect(await rowAfter(tokens.slice(0, n))).toBe(rows[n - 1])
  })

  test('does not matter when a call goes back', async () => {
    for (const n of [50, 12, 49, 1, 33, 32, 32]) expect(await rowAfter(tokens.slice(0, n))).toBe(rows[n - 1])
  })

  test('does not matter when a call leaves the path of the one before', async () => {
    const other = [...tokens.slice(0, 21), ...tokens.slice(30, 45).toReversed()]
    await model.evaluate(other)
    expect(await rowAfter(tokens)).toBe(rows[49])
    await model.reset()
    const fresh = await rowAfter(other)
    await model.evaluate(tokens)
    expect(await rowAfter(other)).toBe(fresh)
  })

  test('does not matter after a trace that ended early', async () => {
    await model.evaluate(tokens.slice(0, 40))
    await model.trace(tokens.slice(0, 30), { tensors: ['Kcur-2'] })
    expect(await rowAfter(tokens)).toBe(rows[49])
  })

  test('does not matter after generating', async () => {
    await model.generate('[INST] Count to 12. [/INST]', { maxNewTokens: 5 })
    expect(await rowAfter(tokens)).toBe(rows[49])
  })
})

test('a sliding window gives the logits of the reference', async () => {
  await using model = await MixtralModel.load(windowPath, { threads: 2, batchSize: 9 })
  const truth = (await Reference.open(windowPath)).logits(base.tokens)
  const { meanKL, top1 } = divergence(truth, await model.logits(base.tokens), base.vocab)
  expect(meanKL).toBeLessThanOrEqual(1e-9)
  expect(top1).toBe(1)
})

describe('a context of several attention ranges', () => {
  const sizes = { layers: 1, dim: 16, heads: 2, kvHeads: 1, headDim: 8, ffn: 16, experts: 2, used: 1, vocab: 261 }
  const long = Array.from({ length: 2 * ATTENTION_RANGE + 40 }, (_, i) => (i * 61 + 7) % sizes.vocab)
  const path = join(folder, 'long.gguf')
  beforeAll(() => writeShapeModel({ ...base, ...sizes }, path))

  test('gives the logits of the reference, in the same bits however it is run', async () => {
    await using together = await MixtralModel.load(path, { threads: 1, contextLength: long.length })
    const logits = await together.logits(long)
    const { meanKL } = divergence((await Reference.open(path)).logits(long), logits, sizes.vocab)
    expect(meanKL).toBeLessThanOrEqual(1e-9)
    const rows = rowsOf(logits, sizes.vocab)
    await using model = await MixtralModel.load(path, { threads: 3, batchSize: 50, contextLength: long.length, bankBytes: 1 })
    for (const edge of [ATTENTION_RANGE, 2 * ATTENTION_RANGE]) {
      for (let n = edge - 1; n <= edge + 2; n++) expect(hashOf(await model.evaluate(long.slice(0, n)))).toBe(rows[n - 1])
    }
    expect(hashOf(await model.evaluate(long))).toBe(rows.at(-1))
  }, 60_000)
})

function rowsOf(logits: Float32Array, vocab: number): string[] {
  return Array.from({ length: logits.length / vocab }, (_, row) => hashOf(logits.subarray(row * vocab, (row + 1) * vocab)))
}
