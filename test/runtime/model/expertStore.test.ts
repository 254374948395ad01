// Fewer slots than experts: whatever comes and goes, and whenever, the bits stay.

import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setEnvironmentData } from 'node:worker_threads'
import { expect, onTestFinished, test } from 'vitest'
import { MixtralError } from '../../../dist/base/errors.js'
import { type LoadOptions, MixtralModel } from '../../../dist/index.js'
import { hashOf } from './hash.js'

// Plain JavaScript without types, hence not a static import.
const { writeSyntheticModel } = await import(new URL('../../../bench/syntheticModel.mjs', import.meta.url).href)

const tokens = Array.from({ length: 90 }, (_, i) => (i * 37 + 1) % 2048)
const small: LoadOptions = { contextLength: 128, chunk: 16 }
/** Room for four of 48 experts, two of each size: one token evicts in every layer. */
const leastRam = 5_200_000

async function hashes(options: LoadOptions): Promise<string[]> {
  const model = await MixtralModel.load('demo', options)
  try {
    const all = hashOf(await model.logits(tokens))
    const one = hashOf(await model.evaluate(tokens.slice(0, 31)))
    const next = hashOf(await model.evaluate(tokens.slice(0, 32)))
    return [all, one, next]
  } finally {
    await model.close()
  }
}

const resident = hashes({ threads: 1, ...small })

test.each<[string, LoadOptions]>([
  ['all but a few experts', { ...small, ram: 9_200_000 }],
  ['half of them', { ...small, ram: 7_400_000, threads: 2 }],
  ['four', { ...small, ram: leastRam, threads: 2 }],
  ['four, one token at a time', { ...small, ram: leastRam, chunk: 1, threads: 1 }],
  ['four, the whole prompt at once', { contextLength: 128, ram: 7_400_000, threads: 2 }],
  ['some, in banks of their own, on three threads', { ...small, ram: 38_000_000, bankBytes: 1_000_000, threads: 3 }],
])('logits are the resident ones with room for %s', async (_, options) => {
  expect(await hashes(options)).toEqual(await resident)
})

test('experts of several pieces, each of several bands, come whole whichever thread repacks them', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'mixtral-bands-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'bands.gguf')
  await writeSyntheticModel(path, { type: 'Q4_K_M', layers: 2, hidden: 1024, ffn: 3584, heads: 8, kvHeads: 2, experts: 4, vocab: 400 })
  const run = async (options: LoadOptions) => {
    await using model = await MixtralModel.load(path, { contextLength: 64, chunk: 8, ...options })
    const ids = Array.from({ length: 24 }, (_, i) => (i * 37 + 1) % 400)
    const list = [hashOf(await model.logits(ids))]
    for (let count = 1; count <= ids.length; count++) list.push(hashOf(await model.evaluate(ids.slice(0, count))))
    return { list, slots: model.memory.expertSlots, bytes: model.memory.totalBytes }
  }
  const whole = await run({ threads: 2 })
  expect(whole.slots).toBe(8)
  for (const threads of [1, 2, 3]) {
    const part = await run({ threads, ram: 52_000_000 })
    expect(part.slots).toBe(4)
    expect(part.list).toEqual(whole.list)
  }
})

test('a step of many tokens reads no expert twice, however few fit', async () => {
  for (const ram of [7_400_000, 8_600_000]) {
    await using model = await MixtralModel.load('demo', { contextLength: 128, ram, threads: 2 })
    expect(model.memory.expertSlots).toBeLessThan(model.memory.experts)
    await model.logits(tokens)
    const figures = model.expertFigures()!
    expect(figures.uses).toBe(48)
    expect(figures.hits).toBe(0)
    const experts = [...model.gguf.tensors.values()].filter(({ name }) => name.includes('_exps'))
    expect(figures.bytesRead).toBe(experts.reduce((sum, { bytes }) => sum + bytes, 0))
  }
})

test('figures tell of hits, of bytes read and of waiting; with all experts in memory there are none', async () => {
  await using model = await MixtralModel.load('demo', { ...small, ram: 7_400_000, threads: 2 })
  const generation = model.stream('Once upon a time', { temperature: 0, maxNewTokens: 8 })
  let next = await generation.next()
  while (!next.done) next = await generation.next()
  const { uses, hits, ahead, bytesRead, waitSeconds } = next.value.experts!
  expect(uses).toBeGreaterThan(8 * 6 * 2 - 1)
  expect(hits).toBeGreaterThan(0)
  expect(hits + ahead).toBeLessThan(uses)
  expect(bytesRead).toBeGreaterThan(1e5)
  expect(waitSeconds).toBeGreaterThan(0)
  await using whole = await MixtralModel.load('demo', { ...small, threads: 2 })
  expect(whole.expertFigures()).toBeUndefined()
  expect(whole.memory).toMatchObject({ experts: 48, expertSlots: 48 })
})

test('memory is bounded by the budget, all included', async () => {
  for (const ram of [leastRam, 5_900_000, 7_777_777, 9_000_000]) {
    await using model = await MixtralModel.load('demo', { ...small, ram, threads: 2 })
    expect(model.memory.totalBytes).toBeLessThanOrEqual(ram)
    expect(model.memory.totalBytes).toBeGreaterThan(ram - 400_000)
  }
})

test("a budget without room for one token's experts is refused with the numbers", async () => {
  const refused = MixtralModel.load('demo', { ...small, ram: 1_000_000 })
  await expect(refused).rejects.toThrow(MixtralError)
  await expect(refused).rejects.toThrow(
    /^1000000 bytes of memory, expected at least 5\d{6}: 4 of 48 experts take \d+ bytes with all other weights, the KV cache 393216, scratch memory \d+$/,
  )
})

test('an aborted step leaves the experts usable', async () => {
  const model = await MixtralModel.load('demo', { ...small, ram: leastRam, threads: 2 })
  const abort = new AbortController()
  const call = model.logits(tokens, { signal: abort.signal, onProgress: () => abort.abort() })
  setTimeout(() => abort.abort(), 2)
  await expect(call).rejects.toMatchObject({ code: 'ABORTED' })
  expect(hashOf(await model.logits(tokens))).toBe((await resident)[0])
  await model.close()
})

test('a pause in which the threads leave costs nothing but time', async () => {
  const open = () => (existsSync('/proc/self/fd') ? readdirSync('/proc/self/fd').length : 0)
  const counts: number[] = []
  await using model = await MixtralModel.load('demo', { ...small, ram: leastRam, threads: 2 })
  for (let i = 0; i < 4; i++) {
    expect(hashOf(await model.logits(tokens))).toBe((await resident)[0])
    await new Promise((resolve) => setTimeout(resolve, 120))
    counts.push(open())
  }
  // every reader opens the file once, and some perhaps not before a later call
  expect(counts.at(-1)! - counts[0]!).toBeLessThan(8)
})

test('a read that fails when its call is long over does not hold up the next', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'mixtral-late-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const order = join(folder, 'late')
  setEnvironmentData('late', order)
  const worker = new URL('workers/failsLate.js', import.meta.url).href
  await using model = await MixtralModel.load('demo', { ...small, ram: 7_400_000, threads: 1, worker })
  const evaluate = (ms: number) => model.evaluate(tokens.slice(0, 31), { signal: AbortSignal.timeout(ms) })
  writeFileSync(order, '')
  const aborted = evaluate(300)
  setTimeout(() => writeFileSync(`${order}.fail`, ''), 250)
  await expect(aborted).rejects.toMatchObject({ code: 'ABORTED' })
  rmSync(order)
  await new Promise((resolve) => setTimeout(resolve, 2000))
  expect(existsSync(`${order}.fail`)).toBe(false)
  expect(hashOf(await evaluate(20_000))).toBe((await resident)[1])
})
