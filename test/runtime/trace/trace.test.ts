// The taps: right, the same however the model is run, and without an effect on anything else.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type LoadOptions, MixtralModel, Reference, type TracedTensor } from '../../../dist/index.js'
import { shapes, writeShapeModel } from '../../golden/shapeModel.js'
import { demo, demoPath } from '../model/demoFiles.js'
import { hashOf } from '../model/hash.js'

const folder = mkdtempSync(join(tmpdir(), 'mixtral-trace-'))
afterAll(() => rmSync(folder, { recursive: true }))
const base = shapes.find(({ name }) => name === 'base')!
const basePath = join(folder, 'base.gguf')
beforeAll(() => writeShapeModel(base, basePath))

interface GoldenTensor {
  readonly name: string
  readonly ne: readonly [number, number, number, number]
  readonly data: readonly number[]
}

const golden: GoldenTensor[] = readFileSync(new URL('../../golden/traces/base.jsonl', import.meta.url), 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line))

/** Names of the tensors of a layer that both llama.cpp and this project trace. */
const names =
  `attn_norm Qcur Kcur Vcur kqv_out ffn_inp ffn_norm ffn_moe_logits ffn_moe_topk ffn_moe_weights ffn_moe_weights_norm ffn_moe_gate_par
  ffn_moe_down ffn_moe_out l_out`.split(/\s+/)

const keyOf = ({ name, shape }: Pick<TracedTensor, 'name' | 'shape'>) => `${name} (${shape})`
const tokens = demo.tokens.slice(0, 30)

describe.each(['kernels', 'reference'])('from the %s', (source) => {
  let found: TracedTensor[]
  beforeAll(async () => {
    const ids = base.tokens.slice(0, 4)
    if (source === 'reference') found = (await Reference.open(basePath)).trace(ids)
    else {
      await using model = await MixtralModel.load(basePath, { threads: 2, batchSize: 3 })
      found = await model.trace(ids)
    }
  })

  test('every tensor is llama.cpp’s, within 1e-4', () => {
    const expected = golden.filter(({ name }) => found.some((tensor) => tensor.name === name))
    for (const { name, ne, data } of expected) {
      // only the rotated of the two have heads
      const rotated = /^[QK]cur/.test(name) && ne[2] > 1
      const tensor = found.find((one) => one.name === name && (!/^[QK]cur/.test(name) || (one.shape.length === 3) === rotated))!
      expect(tensor.values.length, name).toBe(data.length)
      const largest = data.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
      const worst = data.reduce((most, value, i) => Math.max(most, Math.abs(tensor.values[i]! - value)), 0)
      expect(worst / largest, name).toBeLessThanOrEqual(1e-4)
    }
    const layers = Array.from({ length: base.layers }, (_, index) => names.map((name) => `${name}-${index}`))
    const all = ['inp_embd', ...layers.flat(), 'result_norm', 'result_output']
    expect([...new Set(expected.map(({ name }) => name))].toSorted()).toEqual(all.toSorted())
    expect(expected.filter(({ name }) => /^[QK]cur/.test(name)).length).toBe(4 * base.layers)
  })

  test('all come in the order in which they come about, tokens first', () => {
    const { dim, heads, kvHeads, headDim, ffn, experts, used, vocab } = base
    const layer = (index: number) => [
      [`attn_norm-${index}`, [4, dim]],
      [`Qcur-${index}`, [4, heads * headDim]],
      [`Kcur-${index}`, [4, kvHeads * headDim]],
      [`Vcur-${index}`, [4, kvHeads * headDim]],
      [`Qcur-${index}`, [4, heads, headDim]],
      [`Kcur-${index}`, [4, kvHeads, headDim]],
      [`kqv_merged_cont-${index}`, [4, heads * headDim]],
      [`kqv_out-${index}`, [4, dim]],
      [`ffn_inp-${index}`, [4, dim]],
      [`ffn_norm-${index}`, [4, dim]],
      [`ffn_moe_logits-${index}`, [4, experts]],
      [`ffn_moe_topk-${index}`, [4, used]],
      [`ffn_moe_weights-${index}`, [4, used]],
      [`ffn_moe_weights_norm-${index}`, [4, used]],
      [`ffn_moe_gate_par-${index}`, [4, used, ffn]],
      [`ffn_moe_down-${index}`, [4, used, dim]],
      [`ffn_moe_out-${index}`, [4, dim]],
      [`l_out-${index}`, [4, dim]],
    ]
    const expected = [['inp_embd', [4, dim]], ...[0, 1].flatMap(layer), ['result_norm', [4, dim]], ['result_output', [4, vocab]]]
    const order = (entries: unknown[][]) => entries.map(([name, shape]) => `${name} (${shape})`)
    const foundOrder = found.map(({ name, shape }) => [name, shape])
    // The reference computes a rotation right after the product.
    if (source === 'kernels') expect(order(foundOrder)).toEqual(order(expected))
    else expect(order(foundOrder).toSorted()).toEqual(order(expected).toSorted())
  })
})

describe('a trace', () => {
  const hashes = async (options: LoadOptions): Promise<Record<string, string>> => {
    await using model = await MixtralModel.load(demoPath(), options)
    const traced = await model.trace(tokens)
    return Object.fromEntries(traced.map((tensor) => [keyOf(tensor), hashOf(new Float32Array(tensor.values.buffer as ArrayBuffer))]))
  }
  let expected: Record<string, string>
  beforeAll(async () => {
    expected = await hashes({ threads: 1 })
  })

  test.each<LoadOptions>([
    { threads: 2, batchSize: 1 },
    { threads: 3, batchSize: 7, bankBytes: 1 },
    { threads: 2, batchSize: 13, ram: 6_400_000 },
    { threads: 5, ram: 70_000_000, bankBytes: 250_000 },
  ])('has the same bits with %o', async (options) => {
    expect(await hashes(options)).toEqual(expected)
  })

  test('of some tensors has those of all, and the logits are those of a pass without one', async () => {
    await using model = await MixtralModel.load(demoPath(), { threads: 2, batchSize: 11 })
    const logits = hashOf(await model.logits(tokens))
    for (const tensors of [
      ['l_out-3'],
      ['ffn_moe_topk-*', 'Kcur-5'],
      ['*_norm-2', 'result_norm'],
      ['inp_embd', 'result_output'],
      ['*-0'],
    ]) {
      const traced = await model.trace(tokens, { tensors })
      const hash = (tensor: TracedTensor) => hashOf(new Float32Array(tensor.values.buffer as ArrayBuffer))
      expect(Object.fromEntries(traced.map((tensor) => [keyOf(tensor), hash(tensor)]))).toEqual(
        Object.fromEntries(traced.map((tensor) => [keyOf(tensor), expected[keyOf(tensor)]])),
      )
      expect(traced.length).toBeGreaterThan(0)
      expect(hashOf((await model.evaluate(tokens)).slice())).toBe(hashOf((await model.logits(tokens)).slice(-demo.vocab)))
    }
    expect(expected[`result_output (${tokens.length},${demo.vocab})`]).toBe(logits)
    expect(hashOf(await model.logits(tokens))).toBe(logits)
  })

  test('gives the tensors that a pattern names, and those alone', async () => {
    await using model = await MixtralModel.load(demoPath(), { threads: 1 })
    const reference = await Reference.open(demoPath())
    for (const [tensors, wanted] of [
      [['l_out-3'], ['l_out-3']],
      [
        ['l_*t-*4', 'result_o*'],
        ['l_out-4', 'result_output'],
      ],
      [['*moe*w*s-1'], ['ffn_moe_weights-1']],
      [['Qcur-2'], ['Qcur-2', 'Qcur-2']],
    ] as const) {
      expect((await model.trace([1, 672], { tensors })).map(({ name }) => name)).toEqual(wanted)
      expect(reference.trace([1, 672], { tensors }).map(({ name }) => name)).toEqual(wanted)
    }
  })

  test('refuses what no tensor is named, and says which there are', async () => {
    await using model = await MixtralModel.load(demoPath(), { threads: 1 })
    const message = /^no tensor is named "l_out-6", expected one of inp_embd, attn_norm-0 to -5, .*, result_output; \* stands for anything$/
    const unknown = { code: 'OPTION', message: expect.stringMatching(message) }
    await expect(model.trace(tokens, { tensors: ['l_out-3', 'l_out-6'] })).rejects.toMatchObject(unknown)
    const reference = await Reference.open(demoPath())
    expect(() => reference.trace(tokens, { tensors: ['l_out-6'] })).toThrow(message)
    for (const tensors of [[], 'l_out-3', [3], null] as unknown as string[][])
      await expect(model.trace(tokens, { tensors })).rejects.toMatchObject({ code: 'OPTION' })
    await expect(model.trace(tokens, { tensors: [`${'*l'.repeat(5000)}*`] })).rejects.toMatchObject({ code: 'OPTION' })
    await expect(model.trace([5000], {})).rejects.toMatchObject({ code: 'TOKENIZER' })
    await expect(model.trace(tokens, { layers: 2 } as object)).rejects.toMatchObject({ code: 'OPTION' })
  })

  test('can be aborted, and leaves the model as it was', async () => {
    await using model = await MixtralModel.load(demoPath(), { threads: 2, batchSize: 4 })
    const before = hashOf(await model.evaluate(tokens))
    const controller = new AbortController()
    const progress: number[] = []
    const running = model.trace(tokens, {
      signal: controller.signal,
      onProgress: ({ loaded }) => {
        progress.push(loaded)
        if (loaded === 8) controller.abort()
      },
    })
    await expect(running).rejects.toMatchObject({ code: 'ABORTED' })
    expect(progress).toEqual([4, 8])
    expect(hashOf(await model.evaluate(tokens))).toBe(before)
  })
})
