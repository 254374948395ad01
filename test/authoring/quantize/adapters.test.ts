// Adapters merged into a file: the sums of a test's own, in every layout and type, and what is said to be lost.

import fs from 'node:fs/promises'
import { expect, test } from 'vitest'
import { MixtralModel, type QuantizeType, quantizeModel } from '../../../dist/index.js'
import { divergence } from '../../golden/divergence.js'
import { added, modulePair, type NamedPairs, plainPair, writeGgufAdapter, writePeftFolder } from '../../runtime/adapters/adapterFiles.js'
import { Folder, ModelFile, writeSmallModel } from './quantizedFile.js'

const folder = new Folder()
const small = folder.file('small.gguf')
const shape = await writeSmallModel(small)
const { dim, heads, kvHeads, headDim, ffn, experts, vocab, tokens } = shape

const one = (name: string, rows: number, columns: number, rank = 4): NamedPairs => ({
  name: `blk.${name}.weight`,
  pairs: [plainPair(name, rows, columns, rank, 0.125)],
})
const all = (name: string, rows: number, columns: number): NamedPairs => ({
  name: `blk.${name}_exps.weight`,
  pairs: Array.from({ length: experts }, (_, e) => plainPair(`${name} ${e}`, rows, columns, 3, 0.125)),
})
const matrices = [
  one('0.attn_q', heads * headDim, dim),
  one('1.attn_k', kvHeads * headDim, dim, 7),
  one('1.ffn_gate_inp', experts, dim),
  all('0.ffn_gate', ffn, dim),
  all('1.ffn_down', dim, ffn),
]
const adapter = folder.file('adapter.gguf')
await writeGgufAdapter(adapter, 6, matrices, 'F16')

/** The exact weights of a tensor, (experts, rows, columns): what a file has, plus scale * alpha / rank * B A. */
function exactly(values: Float32Array, name: string, scale = 1): Float64Array {
  const pairs = matrices.find((matrix) => matrix.name === name)?.pairs
  if (!pairs) return Float64Array.from(values)
  const { rows, columns, rank } = pairs[0]!
  return Float64Array.from(values, (value, i) => {
    const pair = pairs[Math.floor(i / (rows * columns))]!
    return value + added(pair, (scale * 6) / rank, Math.floor(i / columns) % rows, i % columns)
  })
}

function rms(values: ArrayLike<number>, others: ArrayLike<number>): number {
  let sum = 0
  for (let i = 0; i < values.length; i++) sum += (values[i]! - others[i]!) ** 2
  return Math.sqrt(sum / values.length)
}

test('a copy has the exact sums, rounded once, and nothing else has changed', async () => {
  const target = folder.file('copy.gguf')
  const { merged } = await quantizeModel(small, target, 'copy', { adapters: [{ path: adapter, scale: 0.5 }] })
  const [before, after] = [await ModelFile.open(small), await ModelFile.open(target)]
  expect([...after.gguf.tensors.keys()]).toEqual([...before.gguf.tensors.keys()])
  expect(after.gguf.metadata).toEqual(before.gguf.metadata)
  for (const name of before.gguf.tensors.keys()) {
    const exact = exactly(before.values(name), name, 0.5)
    if (!matrices.some((matrix) => matrix.name === name)) expect(after.bytes(name).equals(before.bytes(name)), name).toBe(true)
    // two orders of adding float64 differ by far less than the rounding to float32
    for (const [i, value] of after.values(name).entries()) {
      if (Math.abs(value - exact[i]!) > Math.abs(exact[i]!) * 2 ** -24 + 1e-15) expect.fail(`${name}[${i}]: ${value}, expected ${exact[i]}`)
    }
  }
  expect(merged.map(({ name }) => name).sort()).toEqual(matrices.map(({ name }) => name).sort())
  for (const { name, weights, change, loss } of merged) {
    const plain = before.values(name)
    expect(weights).toBe(plain.length)
    expect(change / rms(exactly(plain, name, 0.5), plain)).toBeCloseTo(1, 10)
    expect(loss).toBeLessThan(change * 1e-6)
  }
})

test.each<[QuantizeType, number]>([
  ['F16', 1e-3],
  ['Q8_0', 0.01],
  ['Q4_K_M', 0.15],
  ['Q2_K', 0.4],
])('merged while it becomes %s, the loss is what a test measures', async (type, within) => {
  const target = folder.file(`${type}.gguf`)
  const { merged, types } = await quantizeModel(small, target, type, { adapters: [adapter] })
  const plain = folder.file(`plain-${type}.gguf`)
  expect((await quantizeModel(small, plain, type)).types).toEqual(types)
  const [before, after] = [await ModelFile.open(small), await ModelFile.open(target)]
  for (const { name, loss } of merged) {
    const exact = exactly(before.values(name), name)
    const measured = rms(exact, after.values(name))
    if (name.includes('gate_inp')) continue // the router is not quantized
    expect(loss / measured, name).toBeCloseTo(1, 6)
    expect(loss / rms(exact, new Float64Array(exact.length)), name).toBeLessThan(within)
    expect(loss).toBeGreaterThan(0)
  }
  const untouched = await ModelFile.open(plain)
  expect(after.bytes('blk.1.attn_q.weight').equals(untouched.bytes('blk.1.attn_q.weight'))).toBe(true)
})

test.each<QuantizeType>(['Q4_K_M', 'Q8_0', 'Q5_K_S'])(
  'into a file of %s, its tensors are rounded again, to their own types',
  async (type) => {
    const quantized = folder.file(`own-${type}.gguf`)
    await quantizeModel(small, quantized, type)
    const target = folder.file(`merged-${type}.gguf`)
    const { merged } = await quantizeModel(quantized, target, 'copy', { adapters: [adapter] })
    const [before, after] = [await ModelFile.open(quantized), await ModelFile.open(target)]
    expect(after.types).toEqual(before.types)
    for (const { name, loss } of merged) {
      if (!name.includes('gate_inp')) expect(loss / rms(exactly(before.values(name), name), after.values(name)), name).toBeCloseTo(1, 6)
    }
    const again = folder.file('again.gguf')
    await quantizeModel(quantized, again, type, { adapters: [adapter] })
    expect(Buffer.compare(await fs.readFile(again), await fs.readFile(target))).toBe(0)
  },
)

test('the bytes do not depend on threads, layouts, or the form of the adapter', async () => {
  const [a, b, c, d] = ['a', 'b', 'c', 'd'].map((name) => folder.file(`${name}.gguf`)) as [string, string, string, string]
  const one = await quantizeModel(small, a, 'Q4_K_M', { adapters: [adapter], threads: 1 })
  const three = await quantizeModel(small, b, 'Q4_K_M', { adapters: [adapter], threads: 3 })
  expect(three.merged).toEqual(one.merged)
  const apart = folder.file('apart.gguf')
  await quantizeModel(small, apart, 'copy', { layout: 'per-expert' })
  await quantizeModel(apart, c, 'Q4_K_M', { adapters: [adapter] })
  const single = matrices.flatMap(({ name, pairs }) =>
    pairs.length === 1 ? [{ name, pairs }] : pairs.map((pair, e) => ({ name: name.replace('_exps', `.${e}`), pairs: [pair] })),
  )
  const singleAdapter = folder.file('single.gguf')
  await writeGgufAdapter(singleAdapter, 6, single)
  const split = folder.file('split.gguf')
  await quantizeModel(small, split, 'Q4_K_M', { adapters: [singleAdapter], layout: 'per-expert' })
  await quantizeModel(split, d, 'copy')
  const bytes = await fs.readFile(a)
  for (const file of [b, c, d]) expect(Buffer.compare(await fs.readFile(file), bytes), file).toBe(0)
})

test('several adapters and a PEFT folder are merged in one go', async () => {
  const pair = plainPair('peft', kvHeads * headDim, dim, 4)
  await writePeftFolder(folder.file('peft'), modulePair('0.self_attn.v_proj', pair))
  const target = folder.file('several.gguf')
  const { merged } = await quantizeModel(small, target, 'F16', { adapters: [adapter, { path: folder.file('peft'), scale: 2 }, adapter] })
  expect(merged).toHaveLength(matrices.length + 1)
  const [before, after] = [await ModelFile.open(small), await ModelFile.open(target)]
  const q = before.values('blk.0.attn_q.weight')
  expect(rms(after.values('blk.0.attn_q.weight'), exactly(q, 'blk.0.attn_q.weight', 2))).toBeLessThan(1e-3)
  const v = before.values('blk.0.attn_v.weight')
  const exact = v.map((value, i) => value + added(pair, (2 * 8) / 4, Math.floor(i / dim), i % dim))
  expect(rms(after.values('blk.0.attn_v.weight'), exact)).toBeLessThan(1e-3)
})

test('a merged file computes what its weights say', async () => {
  const logitsOf = async (path: string) => {
    await using model = await MixtralModel.load(path, { threads: 1 })
    return await model.logits(tokens)
  }
  const target = folder.file('runs.gguf')
  await quantizeModel(small, target, 'copy', { adapters: [adapter] })
  const [plain, merged] = [await logitsOf(small), await logitsOf(target)]
  expect(divergence(plain, merged, vocab).meanKL).toBeGreaterThan(1e-3)
})

test('what cannot be merged leaves no file', async () => {
  const never = folder.file('never.gguf')
  const refuse = async (work: Promise<unknown>, error: object) => {
    await expect(work).rejects.toMatchObject(error)
    expect(folder.names()).not.toContain('never.gguf')
  }
  await refuse(quantizeModel('test/golden/models/tiny-mixtral.IQ1_M.gguf', never, 'copy', { adapters: [adapter] }), { code: 'MODEL' })
  const large = folder.file('large.gguf')
  await writeGgufAdapter(large, 1e9, matrices.slice(0, 1))
  await refuse(quantizeModel(small, never, 'Q8_0', { adapters: [large] }), {
    code: 'MODEL',
    message: expect.stringMatching(
      /tensor "blk\.0\.attn_q\.weight", weights 0 to \d+: with the adapters \d+ are not finite or beyond 65504/,
    ),
  })
  await refuse(quantizeModel(small, never, 'Q8_0', { adapters: [folder.file('nowhere')] }), { code: 'IO' })
  await refuse(quantizeModel(small, never, 'Q8_0', { adapters: [5] as unknown as string[] }), { code: 'OPTION' })
  const bytes = await fs.readFile(adapter)
  await refuse(quantizeModel(small, adapter, 'Q8_0', { adapters: [adapter] }), {
    code: 'OPTION',
    message: expect.stringContaining('is an input'),
  })
  expect((await fs.readFile(adapter)).equals(bytes)).toBe(true)
})

test('types that are not written here are refused by name', async () => {
  const demo = 'test/golden/models/tiny-mixtral.IQ1_M.gguf'
  const demoAdapter = folder.file('demo-adapter.gguf')
  await writeGgufAdapter(demoAdapter, 4, [one('0.attn_q', 256, 256), all('3.ffn_up', 256, 256)].map(eight))
  await expect(quantizeModel(demo, folder.file('never.gguf'), 'copy', { adapters: [demoAdapter] })).rejects.toMatchObject({
    code: 'OPTION',
    message: expect.stringMatching(
      /tensor "blk\.\d\.\w+\.weight" is IQ\d_\w+, which is not written here: adapters are merged when it becomes another type/,
    ),
  })
})

/** The demo model has eight experts. */
function eight({ name, pairs }: NamedPairs): NamedPairs {
  return { name, pairs: pairs.length === 1 ? pairs : Array.from({ length: 8 }, (_, e) => pairs[e % pairs.length]!) }
}
