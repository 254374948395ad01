// Fewer slots than experts: whatever is evicted and read, and whenever, the bits stay.

import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
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
const small: LoadOptions = { contextLength: 128, batchSize: 16 }
/** Memory for four of 48 experts, two of each size: one token evicts in every layer. */
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
  ['four, one token at a time', { ...small, ram: leastRam, batchSize: 1, threads: 1 }],
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
    await using model = await MixtralModel.load(path, { contextLength: 64, batchSize: 8, ...options })
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
    /^1\.0 MB of memory, expected at least 5\.\d MB \(5\d{6} bytes\): 4 of 48 experts take [\d.]+ MB with all other weights, the KV cache 393\.2 kB, scratch memory [\d.]+ MB$/,
  )
})

/** Words that a test shares with the threads (workers/holdsRead.js). */
const word = { state: 0, ended: 1 }
/** States of a held read: what the test orders, what the thread answers, how the test ends it. */
const state = { none: 0, ordered: 1, held: 2, goOn: 3, fail: 4 }
/** The readers of a streamed model, beside its compute threads (weights/plan.ts). */
const READERS = 8

/** Options for a model whose reads can be held and whose threads tell when they leave. */
function holdingReads() {
  const words = new Int32Array(new SharedArrayBuffer(8))
  setEnvironmentData('holdsRead', { words, word, state })
  const until = (index: number, value: number) =>
    expect.poll(() => Atomics.load(words, index), { timeout: 30_000, interval: 1 }).toBe(value)
  return {
    worker: new URL('workers/holdsRead.js', import.meta.url).href,
    /** Resolves when a read is held. */
    async hold() {
      Atomics.store(words, word.state, state.ordered)
      await until(word.state, state.held)
    },
    release(how: number) {
      Atomics.store(words, word.state, how)
      Atomics.notify(words, word.state)
    },
    /** Resolves when `threads` threads have left since the last call. */
    async left(threads: number) {
      await until(word.ended, threads)
      Atomics.store(words, word.ended, 0)
    },
  }
}

test('an aborted step leaves the experts usable', async () => {
  const { worker, hold, release } = holdingReads()
  await using model = await MixtralModel.load('demo', { ...small, ram: leastRam, threads: 2, worker })
  const abort = new AbortController()
  const call = expect(model.logits(tokens, { signal: abort.signal })).rejects.toMatchObject({ code: 'ABORTED' })
  await hold() // of an expert that the step needs
  abort.abort()
  await call
  release(state.goOn)
  expect(hashOf(await model.logits(tokens))).toBe((await resident)[0])
})

test('a pause in which the threads leave costs nothing but time', async () => {
  const { worker, left } = holdingReads()
  await using model = await MixtralModel.load('demo', { ...small, ram: leastRam, threads: 2, worker })
  for (let i = 0; i < 3; i++) {
    expect(hashOf(await model.logits(tokens))).toBe((await resident)[0])
    await left(2 + READERS)
  }
})

test.skipIf(!existsSync('/proc/self/fd'))('threads that leave and come back leave no more files open', async () => {
  const { worker, left } = holdingReads()
  const counts: number[] = []
  await using model = await MixtralModel.load('demo', { ...small, ram: leastRam, threads: 2, worker })
  for (let i = 0; i < 4; i++) {
    await model.logits(tokens)
    await left(2 + READERS)
    counts.push(readdirSync('/proc/self/fd').length)
  }
  expect(counts[0]).toBeGreaterThan(0)
  // every reader opens the file once, and some perhaps not before a later call
  expect(counts.at(-1)! - counts[0]!).toBeLessThan(READERS)
})

test('a read that fails when its call is long over does not hold up the next', async () => {
  const { worker, hold, release, left } = holdingReads()
  await using model = await MixtralModel.load('demo', { ...small, ram: 7_400_000, threads: 1, worker })
  const evaluate = (signal: AbortSignal) => model.evaluate(tokens.slice(0, 31), { signal })
  const abort = new AbortController()
  const call = expect(evaluate(abort.signal)).rejects.toMatchObject({ code: 'ABORTED' })
  await hold()
  abort.abort()
  await call
  await left(1 + READERS - 1) // all threads but the one whose read is held
  release(state.fail)
  expect(hashOf(await evaluate(AbortSignal.timeout(30_000)))).toBe((await resident)[1])
})
