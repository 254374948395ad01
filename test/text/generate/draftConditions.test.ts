// Answers with drafts and without where models are loaded in other ways: with a KV cache in 8 bits, adapters, few
// pages, experts on the disk, one to three threads; and where calls of several lengths come and go.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { afterAll, expect, test } from 'vitest'
import { type GenerationOptions, type LoadOptions, MixtralModel } from '../../../dist/index.js'
import '../../propertySeed.js'
import { plainPair, writeGgufAdapter } from '../../runtime/adapters/adapterFiles.js'
import { demoPath, leastRam } from '../../runtime/model/demoFiles.js'
import { told } from './lastingAnswer.js'

const RUNS = Number(process.env.DRAFT_PROMPTS ?? 20) / 7

const folder = mkdtempSync(join(tmpdir(), 'mixtral-drafts-'))
afterAll(() => rmSync(folder, { recursive: true }))
const adapters = ['a', 'b'].map((name) => join(folder, `${name}.gguf`))
for (const [i, path] of adapters.entries()) {
  await writeGgufAdapter(path, 4, [{ name: `blk.${i + 1}.attn_v.weight`, pairs: [plainPair(path.slice(-6), 128, 256, 4, 0.5)] }])
}

const sentence = 'Once upon a time, there was a child named Sam. He had a small red ball.'
const prompts = [
  'And they lived happily ever after. And they lived happily ever after. And they',
  `${sentence} ${sentence} ${sentence} Once upon`,
  '{"name": "Sam", "age": 7}, {"name": "Tom", "age": 9}, {"name": "',
  'x',
]
const person = { type: 'object', properties: { name: { enum: ['Sam', 'Tom'] }, age: { type: 'integer' } }, required: ['name', 'age'] }
const ways: GenerationOptions[] = [
  { temperature: 0, ignoreEos: true },
  { temperature: 0, ignoreEos: true, logprobs: 2, experts: true },
  { temperature: 0.8 },
  { mirostat: 2, ignoreEos: true, logprobs: 1 },
  { temperature: 0, jsonSchema: { type: 'array', items: person, minItems: 2, maxItems: 3 }, logprobs: 1 },
  { temperature: 0, repetitionPenalty: 1.1, dryMultiplier: 0.8, stop: 'Sam', experts: true },
  { temperature: 0, bannedWords: ['ball', 'Tom'], ignoreEos: true },
]

const call = fc.record({
  prompt: fc.constantFrom(...prompts),
  way: fc.constantFrom(...ways),
  maxNewTokens: fc.integer({ min: 1, max: 30 }),
  seed: fc.nat(2),
  scales: fc.constantFrom(undefined, undefined, [1, 0], [0, 0], [-0.5, 2]),
  expertsPerToken: fc.constantFrom(undefined, undefined, undefined, 1, 3),
  delay: fc.nat(20), // milliseconds before it begins
})

/** Calls that have drafts in any case. */
const quoting = [0, 2].map((way, i) => ({
  prompt: prompts[i]!,
  way: ways[way]!,
  maxNewTokens: 30 - 9 * i,
  seed: 1,
  scales: undefined,
  expertsPerToken: undefined,
  delay: 0,
}))

const least = await leastRam(demoPath(), { threads: 2, contextLength: 256 })

/** The last numbers: how many of RUNS, as reading experts takes long. */
test.each<[string, LoadOptions, part?: number]>([
  ['a KV cache in 8 bits and adapters, 3 threads', { kvFormat: 'q8', adapters, threads: 3 }],
  ['four pages for all calls, 1 thread', { kvTokens: 128, contextLength: 128, threads: 1 }],
  ['experts on the disk, 2 threads', { ram: least, threads: 2 }, 2 / 3],
])('are the same with %s', { timeout: Math.max(120_000, RUNS * 10_000) }, async (_, options, part = 1) => {
  const load = (drafts?: boolean) =>
    MixtralModel.load(demoPath(), { contextLength: 256, sequences: 4, ...options, ...(drafts !== undefined && { drafts }) })
  await using without = await load(false)
  await using always = await load(true)
  await using bySelf = await load()
  await fc.assert(
    fc.asyncProperty(fc.array(call, { minLength: 2, maxLength: 3 }), async (calls) => {
      const asks = calls.map(({ prompt, way, maxNewTokens, seed, scales, expertsPerToken }) => (model: MixtralModel) => {
        const own = { ...(scales && options.adapters && { adapters: scales }), ...(expertsPerToken && { expertsPerToken }) }
        return model.stream(prompt, { ...way, maxNewTokens, seed, ...own })
      })
      const expected = []
      for (const ask of asks) expected.push(await told(without, ask))
      for (const model of [always, bySelf]) {
        const found = asks.map((ask, i) => sleep(calls[i]!.delay).then(() => told(model, ask)))
        expect(await Promise.all(found)).toEqual(expected)
      }
    }),
    { numRuns: Math.ceil(RUNS * part), examples: [[quoting]] },
  )
  expect(always.status().acceptedTokens).toBeGreaterThan(0)
})
