// Adapters at run time: logits beside the reference's, and rows of different adapters in one step beside each alone.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { openGguf } from '../../../dist/format/gguf/openGguf.js'
import { MixtralModel, quantizeModel, Reference } from '../../../dist/index.js'
import { AdapterSet } from '../../../dist/runtime/adapters/adapterSet.js'
import { MixtralConfig } from '../../../dist/runtime/weights/mixtralConfig.js'
import { divergence } from '../../golden/divergence.js'
import { shapes, writeShapeModel } from '../../golden/shapeModel.js'
import { modulePair, type NamedPairs, plainPair, writeGgufAdapter, writePeftFolder } from '../adapters/adapterFiles.js'
import { hashOf } from './hash.js'

const folder = mkdtempSync(join(tmpdir(), 'mixtral-lora-'))
afterAll(() => rmSync(folder, { recursive: true }))

const shape = shapes.find(({ name }) => name === 'base')!
const { dim, heads, kvHeads, headDim, ffn, experts, layers, tokens, vocab } = shape
const path = join(folder, 'model.gguf')
await writeShapeModel(shape, path)

/** Pairs of every matrix that can be adapted, of odd ranks too. */
function matricesOf(name: string, ranks: readonly [number, number]): NamedPairs[] {
  return Array.from({ length: layers }, (_, layer): NamedPairs[] => {
    const one = (matrix: string, rows: number, columns: number) => ({
      name: `blk.${layer}.${matrix}.weight`,
      pairs: [plainPair(`${name} ${layer} ${matrix}`, rows, columns, ranks[0])],
    })
    const all = (matrix: string, rows: number, columns: number) => ({
      name: `blk.${layer}.${matrix}_exps.weight`,
      pairs: Array.from({ length: experts }, (_, e) => plainPair(`${name} ${layer} ${matrix} ${e}`, rows, columns, ranks[1])),
    })
    return [
      one('attn_q', heads * headDim, dim),
      one('attn_k', kvHeads * headDim, dim),
      one('attn_v', kvHeads * headDim, dim),
      one('attn_output', dim, heads * headDim),
      one('ffn_gate_inp', experts, dim),
      all('ffn_gate', ffn, dim),
      all('ffn_up', ffn, dim),
      all('ffn_down', dim, ffn),
    ]
  }).flat()
}
const write = async (name: string, matrices: readonly NamedPairs[], type: 'F32' | 'F16' | 'BF16' = 'F32') => {
  const file = join(folder, `${name}.gguf`)
  await writeGgufAdapter(file, 2, matrices, type)
  return file
}
const every = matricesOf('a', [3, 2])
const [a, b, c] = [
  await write('a', every),
  await write('b', matricesOf('b', [8, 5]), 'F16'),
  await write(
    'c',
    matricesOf('c', [4, 4]).filter(({ name }) => /attn_[qv]/.test(name)),
    'BF16',
  ),
]

const logitsOf = async (adapters: readonly (string | { path: string; scale: number })[], options = {}) => {
  await using model = await MixtralModel.load(path, { threads: 1, adapters, ...options })
  return await model.logits(tokens)
}

test.each([
  ['queries', /attn_q/],
  ['keys', /attn_k/],
  ['values', /attn_v/],
  ['the output of attention', /attn_output/],
  ['the router', /gate_inp/],
  ['gates', /ffn_gate_exps/],
  ['ups', /ffn_up_exps/],
  ['downs', /ffn_down_exps/],
  ['all', /./],
] as const)('an adapter of %s gives the logits of the reference', async (name, which) => {
  const file = await write(
    name,
    every.filter((matrix) => which.test(matrix.name)),
  )
  const truth = (await Reference.open(path, { adapters: [file] })).logits(tokens)
  expect(divergence(truth, await logitsOf([file]), vocab).meanKL).toBeLessThan(1e-9)
})

test('several adapters add up, each by its scale', async () => {
  const adapters = [{ path: a, scale: 0.5 }, { path: b, scale: -1.5 }, c]
  const truth = (await Reference.open(path, { adapters })).logits(tokens)
  const found = await logitsOf(adapters as { path: string; scale: number }[])
  expect(divergence(truth, found, vocab).meanKL).toBeLessThan(1e-9)
})

test('the bits do not depend on threads, batches, banks, or experts that are read when needed', async () => {
  const one = hashOf(await logitsOf([a, b]))
  for (const options of [{ threads: 3 }, { batchSize: 3 }, { bankBytes: 65536 }, { threads: 2, batchSize: 5 }]) {
    expect(hashOf(await logitsOf([a, b], options)), JSON.stringify(options)).toBe(one)
  }
})

test('experts that are read when needed have the bits of those that stay', async () => {
  const demo = 'models/tiny-mixtral.Q4_K_M.gguf'
  const file = await write('demo', [
    ...['attn_q', 'attn_output'].map((name) => ({ name: `blk.1.${name}.weight`, pairs: [plainPair(name, 256, 256, 4)] })),
    ...['gate', 'up', 'down'].map((name) => ({
      name: `blk.2.ffn_${name}_exps.weight`,
      pairs: Array.from({ length: 8 }, (_, e) => plainPair(`${name} ${e}`, 256, 256, 2)),
    })),
  ])
  const ids = Array.from({ length: 40 }, (_, i) => 300 + i)
  const hashes = []
  for (const options of [{ threads: 1 }, { threads: 2, contextLength: 128, batchSize: 16, ram: 7_400_000 }]) {
    await using model = await MixtralModel.load(demo, { ...options, adapters: [file] })
    expect(model.memory.expertSlots < model.memory.experts).toBe('ram' in options)
    hashes.push(hashOf(await model.logits(ids)))
  }
  expect(hashes[1]).toBe(hashes[0])
  const truth = (await Reference.open(demo, { adapters: [file] })).logits(ids.slice(0, 12))
  await using model = await MixtralModel.load(demo, { threads: 1, adapters: [file] })
  const found = divergence(truth, await model.logits(ids.slice(0, 12)), 2048)
  await using plain = await MixtralModel.load(demo, { threads: 1 })
  const base = divergence((await Reference.open(demo)).logits(ids.slice(0, 12)), await plain.logits(ids.slice(0, 12)), 2048)
  expect(found.trimmedMeanKL).toBeLessThan(3 * base.trimmedMeanKL + 1e-6)
})

test('rows of three adapters and of none share a step: each has the bits that it has alone, and none those of the model', async () => {
  await using model = await MixtralModel.load(path, { threads: 2, adapters: [a, { path: b, scale: 0 }, { path: c, scale: 0 }] })
  const choices = [[], [1], [0, 1], [0, 0, 1], [0.5, -1, 2], undefined]
  const ask = (adapters: number[] | undefined, ids = tokens) => model.logits(ids, { ...(adapters && { adapters }) })
  const alone: string[] = []
  for (const choice of choices) {
    await model.reset()
    alone.push(hashOf(await ask(choice)))
  }
  expect(new Set(alone).size).toBe(choices.length - 1)
  expect(alone[5]).toBe(alone[1])
  await using plain = await MixtralModel.load(path, { threads: 1 })
  expect(alone[0]).toBe(hashOf(await plain.logits(tokens)))
  expect(alone[1]).toBe(hashOf(await logitsOf([a])))
  await model.reset()
  const { steps } = model.status()
  const together = (await Promise.all(choices.map((choice) => ask(choice)))).map(hashOf)
  expect(together).toEqual(alone)
  expect(model.status().steps - steps).toBeLessThan(choices.length)
})

test('what an adapter wrote into the cache is shared with the same choice only', async () => {
  await using model = await MixtralModel.load(path, { threads: 1, adapters: [a] })
  const evaluate = async (adapters?: number[]) => hashOf(await model.evaluate(tokens, { ...(adapters && { adapters }) }))
  const adapted = await evaluate()
  const plain = await evaluate([])
  expect(plain).not.toBe(adapted)
  expect([await evaluate([0]), await evaluate([]), await evaluate([1]), await evaluate()]).toEqual([plain, plain, adapted, adapted])
  const half = await evaluate([0.5])
  await model.reset()
  expect(await evaluate([0.5])).toBe(half)
})

test('no salt of a caller shares the keys and values of another choice', async () => {
  await using model = await MixtralModel.load(path, { threads: 1, adapters: [a] })
  const ids = Array.from({ length: 70 }, (_, i) => tokens[i % tokens.length]!)
  const last = (salt: string, adapters: number[]) => model.score(ids, { from: 69, salt, adapters })
  const expected = await last('x', [1])
  await model.reset()
  expect(await last('1 x', [])).not.toEqual(expected)
  expect(await last('[1] x', [])).not.toEqual(expected)
  expect(await last('x', [1])).toEqual(expected)
})

test('texts, scores, experts and embeddings are those of the choice', async () => {
  const adapters = [a, { path: c, scale: 0 }]
  await using model = await MixtralModel.load(path, { threads: 2, adapters })
  await using alone = await MixtralModel.load(path, { threads: 1, adapters: [c] })
  const ids = [...tokens]
  expect(model.adapters).toEqual([
    { path: a, scale: 1, files: [a], sha256: expect.stringMatching(/^[0-9a-f]{64}$/) },
    { path: c, scale: 0, files: [c], sha256: alone.adapters[0]!.sha256 },
  ])
  const only = { adapters: [0, 1] }
  expect(await model.score(ids, only)).toEqual(await alone.score(ids))
  expect((await model.routing(ids, only)).map(({ logits }) => [...logits])).toEqual(
    (await alone.routing(ids)).map(({ logits }) => [...logits]),
  )
  expect(await model.embed(ids, only)).toEqual(await alone.embed(ids))
  expect(await model.trace(ids, { ...only, tensors: ['l_out-1'] })).toEqual(await alone.trace(ids, { tensors: ['l_out-1'] }))
  const write = (one: MixtralModel, options: object) => one.generate('t260 t261', { maxNewTokens: 12, seed: 5, ...options })
  const texts = await Promise.all([write(model, only), write(model, { adapters: [] }), write(model, {})])
  expect(texts[0]!.ids).toEqual((await write(alone, {})).ids)
  await using plain = await MixtralModel.load(path, { threads: 1 })
  expect(texts[1]!.ids).toEqual((await write(plain, {})).ids)
  const expected = await model.generate('t260 t261', { maxNewTokens: 12, seed: 5, ...only, expected: texts[0]!.ids })
  expect(expected.ids).toEqual(texts[0]!.ids)
})

test('what a model tells of its adapters cannot be changed: calls go by it', async () => {
  await using model = await MixtralModel.load(path, { threads: 1, adapters: [a, { path: c, scale: 0 }] })
  const told = structuredClone(model.adapters)
  const before = hashOf(await model.logits(tokens, { adapters: [1, 1] }))
  const adapters = model.adapters as { path: string; scale: number; files: string[]; sha256: string }[]
  expect(() => adapters.push({ path: 'x', scale: 1, files: [], sha256: '' })).toThrow(TypeError)
  expect(() => adapters.splice(0)).toThrow(TypeError)
  expect(() => Object.assign(adapters[0]!, { scale: 5 })).toThrow(TypeError)
  expect(() => adapters[0]!.files.pop()).toThrow(TypeError)
  expect(model.adapters).toEqual(told)
  expect(hashOf(await model.logits(tokens, { adapters: [1, 1] }))).toBe(before)
})

test('a saved session belongs to the adapters that it was written with', async () => {
  const file = join(folder, 'saved')
  await using model = await MixtralModel.load(path, { threads: 1, adapters: [a] })
  const ids = Array.from({ length: 40 }, (_, i) => tokens[i % tokens.length]!)
  const session = model.session({ ids })
  await session.save(file)
  await using same = await MixtralModel.load(path, { threads: 1, adapters: [a] })
  const restored = (await same.restore(file)).session
  expect(restored.ids).toEqual(ids)
  const other = async (adapters?: (string | { path: string; scale: number })[]) => {
    await using loaded = await MixtralModel.load(path, { threads: 1, ...(adapters && { adapters }) })
    await loaded.restore(file)
  }
  const refused = (message: RegExp) => ({ code: 'SESSION', message: expect.stringMatching(message) })
  await expect(other()).rejects.toMatchObject(refused(/it was saved with adapters, expected none/))
  for (const adapters of [[b], [{ path: a, scale: 2 }], [a, b]])
    await expect(other(adapters)).rejects.toMatchObject(refused(/it was saved with other adapters or other scales of loading/))
  await using plain = await MixtralModel.load(path, { threads: 1 })
  await plain.session({ ids }).save(file)
  await expect(model.restore(file)).rejects.toMatchObject(refused(/it was saved without adapters, expected those that the model has/))
})

test('the memory is that of the factors, and counts in what ram limits', async () => {
  await using plain = await MixtralModel.load(path, { threads: 1 })
  await using model = await MixtralModel.load(path, { threads: 1, adapters: [c] })
  const factors = matricesOf('c', [4, 4]).filter(({ name }) => /attn_[qv]/.test(name)).length * 2
  const more = model.memory.totalBytes - plain.memory.totalBytes
  expect(more).toBeGreaterThan(0)
  expect(more).toBeLessThan(factors * (4 * (dim + heads * headDim) * 2 + 64))
})

test('too little memory is told with that of the adapters, before they are read; what is said to be enough is', async () => {
  const load = (ram: number) => MixtralModel.load(path, { threads: 1, contextLength: 64, adapters: [b], ram })
  const refusal: Error = await load(1_600_000).then(
    () => expect.fail('loaded'),
    (error) => error,
  )
  expect(refusal).toMatchObject({
    code: 'MEMORY',
    message: expect.stringMatching(/^1\.6 MB of memory, expected at least .*, the adapters \d/),
  })
  const [, bytes] = /\((\d+) bytes\)/.exec(refusal.message)!
  await expect(load(Number(bytes) - 1)).rejects.toMatchObject({ code: 'MEMORY' })
  await using model = await load(Number(bytes))
  expect(model.memory.totalBytes).toBe(Number(bytes))
  await expect(load(1000)).rejects.toMatchObject({
    code: 'MEMORY',
    message: expect.stringMatching(/b\.gguf: .* of factors, of 1\.0 kB of memory/),
  })
})

test('an abort ends the reading of an adapter', async () => {
  const base = MixtralConfig.fromGgufMetadata((await openGguf(path)).metadata)
  const folder = join(a, '..', 'peft')
  await writePeftFolder(folder, modulePair('0.self_attn.q_proj', plainPair('q', heads * headDim, dim, 4)))
  for (const choice of [b, folder]) {
    const opened = AdapterSet.open([{ path: choice, scale: 1 }], base, { signal: AbortSignal.abort() })
    await expect(opened).rejects.toMatchObject({ code: 'ABORTED' })
  }
})

test('a session is not saved over a file of the model or of an adapter', async () => {
  const folder = join(a, '..', 'kept')
  await writePeftFolder(folder, modulePair('0.self_attn.q_proj', plainPair('q', heads * headDim, dim, 4)))
  await using model = await MixtralModel.load(path, { threads: 1, adapters: [c, folder] })
  const session = model.session({ ids: tokens })
  for (const file of [path, c, join(folder, 'adapter_config.json'), join(folder, 'adapter_model.safetensors')]) {
    const before = readFileSync(file)
    await expect(session.save(file)).rejects.toMatchObject({ code: 'OPTION', message: expect.stringContaining('is an input') })
    expect(readFileSync(file).equals(before)).toBe(true)
  }
})

test('a merged file computes what the model does at run time, within rounding', async () => {
  const merged = join(folder, 'merged.gguf')
  await quantizeModel(path, merged, 'copy', { adapters: [a, b] })
  await using model = await MixtralModel.load(merged, { threads: 1 })
  expect(divergence(await model.logits(tokens), await logitsOf([a, b]), vocab).meanKL).toBeLessThan(1e-9)
})

test('a choice that is none is refused at the call', async () => {
  await using model = await MixtralModel.load(path, { threads: 1, adapters: [a] })
  const refused = (message: string) => ({ code: 'OPTION', message: expect.stringContaining(message) })
  const call = (adapters: unknown) => model.logits(tokens, { adapters: adapters as number[] })
  await expect(call([1, 1])).rejects.toMatchObject(refused('adapters has 2 numbers, expected at most 1, one for each adapter'))
  await expect(call(['1'])).rejects.toMatchObject(refused('adapters has "1" in place 0, expected a number'))
  await expect(call([Number.POSITIVE_INFINITY])).rejects.toMatchObject(refused('expected a number'))
  for (const scale of [1e39, -1e7, 1e-60]) {
    const expected = scale === 1e-60 ? 'expected 0, or a number that float32 can hold' : 'expected a number from -1000000 to 1000000'
    await expect(call([scale])).rejects.toMatchObject(refused(`in place 0, ${expected}`))
    const loading = MixtralModel.load(path, { adapters: [{ path: a, scale }] })
    await expect(loading).rejects.toMatchObject(refused(expected))
  }
  for (const scale of [1e6, -1e6, 1e-30]) await call([scale])
  await expect(call('a')).rejects.toMatchObject(refused('adapters is "a", expected a list of numbers'))
  await expect(model.generate('t260', { adapters: [1, 2] })).rejects.toMatchObject(refused('adapters has 2 numbers'))
  await expect(MixtralModel.load(path, { adapters: [join(folder, 'none.gguf')] })).rejects.toMatchObject({ code: 'IO' })
  await expect(MixtralModel.load(path, { adapters: [path] })).rejects.toMatchObject({ code: 'MODEL' })
})
