// Collecting: what is summed, on how many threads, and what is refused.

import { expect, test } from 'vitest'
import { collectImatrix, type Imatrix, type LoadOptions, MixtralModel } from '../../../dist/index.js'
import { demoPath } from '../../runtime/model/demoFiles.js'
import { Folder, writeSmallModel } from '../quantize/quantizedFile.js'

const folder = new Folder()
const text = 'Once upon a time there was a little dragon who was afraid of the dark. '.repeat(20)

async function collected(options: LoadOptions, path = demoPath()): Promise<Imatrix> {
  await using model = await MixtralModel.load(path, { contextLength: 64, ...options })
  return await collectImatrix(model, text, { contextLength: 48, windows: 3 })
}

test('is the same on any number of threads, in steps of any size, and with experts read when needed', async () => {
  const one = await collected({ threads: 1 })
  expect(await collected({ threads: 3, batchSize: 20 })).toEqual(one)
  expect(await collected({ ram: 9e6 })).toEqual(one)
})

test('counts every token once, and for each of its experts', async () => {
  const { entries } = await collected({})
  expect(entries.get('blk.0.attn_q.weight')!.counts).toEqual(Float64Array.of(144))
  const { counts, columns, sums } = entries.get('blk.5.ffn_down_exps.weight')!
  expect(counts.reduce((a, b) => a + b)).toBe(2 * 144)
  expect([counts.length, columns, sums.length]).toEqual([8, 256, 2048])
})

test('sums the squares that a trace shows', async () => {
  const path = folder.file('small.gguf')
  await writeSmallModel(path)
  await using model = await MixtralModel.load(path)
  const words = 'abc def ghi'
  const ids = model.tokenizer.encode(words)
  const { entries } = await collectImatrix(model, words, { contextLength: ids.length })
  const [normed] = await model.trace(ids, { tensors: ['attn_norm-1'] })
  const [chosen] = await model.trace(ids, { tensors: ['ffn_moe_topk-1'] })
  const [inputs] = await model.trace(ids, { tensors: ['ffn_moe_gate_par-1'] })
  const column = (values: ArrayLike<number>, width: number, c: number, of: (row: number) => boolean) => {
    let sum = 0
    for (let row = 0; row * width < values.length; row++) if (of(row)) sum += values[row * width + c]! ** 2
    return sum
  }
  const all = entries.get('blk.1.attn_k.weight')!
  expect(all.sums[7]).toBe(column(normed!.values, 256, 7, () => true))
  const down = entries.get('blk.1.ffn_down_exps.weight')!
  for (const expert of [0, 1, 2])
    expect(down.sums[expert * 512 + 300]).toBe(column(inputs!.values, 512, 300, (pair) => chosen!.values[pair] === expert))
})

test.each([
  [{ contextLength: 0 }, 'OPTION', /contextLength is 0/],
  [{ windows: 1.5 }, 'OPTION', /windows is 1.5/],
  [{ dataset: 3 }, 'OPTION', /dataset/],
  [{ chunks: 3 }, 'OPTION', /chunks/],
  [{ contextLength: 100 }, 'CONTEXT', /windows of 100 tokens, the context has room for 64/],
] as const)('refuses %j', async (options, code, message) => {
  await using model = await MixtralModel.load(demoPath(), { contextLength: 64 })
  await expect(collectImatrix(model, text, options as never)).rejects.toMatchObject({ code, message: expect.stringMatching(message) })
})

test('refuses a text of less than a window, and what is no model', async () => {
  await using model = await MixtralModel.load(demoPath(), { contextLength: 64 })
  await expect(collectImatrix(model, 'Too short.')).rejects.toMatchObject({
    code: 'OPTION',
    message: expect.stringMatching(/expected at least the 64/),
  })
  await expect(collectImatrix({} as never, text)).rejects.toMatchObject({ code: 'OPTION' })
})

test('ends when it is told to', async () => {
  await using model = await MixtralModel.load(demoPath(), { contextLength: 64 })
  const stop = new AbortController()
  const call = collectImatrix(model, text, { contextLength: 16, signal: stop.signal, onProgress: () => stop.abort() })
  await expect(call).rejects.toMatchObject({ code: 'ABORTED' })
})
