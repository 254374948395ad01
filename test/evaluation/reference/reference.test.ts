// The reference against the golden logits, routing and traces. It judges the fast path, so it must be right to many
// more places.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, expect, test } from 'vitest'
import { Reference } from '../../../dist/evaluation/reference/reference.js'
import { divergence } from '../../golden/divergence.js'
import { goldenLogits, type Shape, type ShapeFileOptions, shapes, writeShapeModel } from '../../golden/shapeModel.js'

const folder = mkdtempSync(join(tmpdir(), 'mixtral-reference-'))
afterAll(() => rmSync(folder, { recursive: true }))

async function openShape(shape: Shape, options: ShapeFileOptions = {}): Promise<Reference> {
  const path = join(folder, `${shape.name}${JSON.stringify(options).replaceAll(/\W/g, '-')}.gguf`)
  await writeShapeModel(shape, path, options)
  return Reference.open(path)
}

/** Everything the tap is shown, under its name; a name shown twice gets `'` the second time. */
function collect(reference: Reference, tokens: readonly number[]) {
  const shown = new Map<string, { values: Float64Array; shape: readonly number[] }>()
  const logits = reference.logits(tokens, (name, values, shape) => shown.set(shown.has(name) ? `${name}'` : name, { values, shape }))
  return { logits, shown }
}

const goldenFile = (file: string) => readFileSync(new URL(`../../golden/${file}`, import.meta.url))
const base = shapes.find(({ name }) => name === 'base')!

for (const shape of shapes) {
  test(`${shape.name}: logits and routing are the golden ones, in both layouts of experts`, async () => {
    for (const split of [false, true]) {
      const { logits, shown } = collect(await openShape(shape, { split }), shape.tokens)
      const { meanKL, top1 } = divergence(goldenLogits(shape), logits, shape.vocab)
      expect(meanKL).toBeLessThan(1e-12)
      expect(top1).toBe(1)
      const routing = Array.from({ length: shape.layers }, (_, layer) => Array.from(shown.get(`ffn_moe_topk-${layer}`)!.values))
      expect(routing).toEqual(shape.routing)
    }
  })
}

test('the intermediate results are those of llama.cpp, under its names', async () => {
  const traces = goldenFile('traces/base.jsonl')
    .toString()
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  const { shown } = collect(await openShape(base), base.tokens.slice(0, 4))
  const compared = new Set<string>()
  for (const { name, ne, data } of traces) {
    // llama.cpp's three-dimensional Qcur and Kcur are the rotated ones.
    const key = /^[QK]cur-\d$/.test(name) && ne[2] > 1 ? `${name}'` : name
    const found = shown.get(key)
    if (found === undefined) continue
    compared.add(key)
    expect(found.values.length, key).toBe(data.length)
    const scale = Math.max(...data.map(Math.abs))
    for (const [i, value] of data.entries()) {
      if (Math.abs(found.values[i]! - value) > 1e-4 * scale) expect.fail(`${key}[${i}]: ${found.values[i]}, expected ${value}`)
    }
  }
  // llama.cpp has that one too, but it is not among the golden ones.
  expect([...shown.keys()].filter((name) => !compared.has(name) && !name.startsWith('kqv_merged_cont'))).toEqual([])
})

test('a sliding window hides what is further back, and nothing else', async () => {
  // With one layer, the last logits must be those of the window's tokens alone: rotary embedding only sees distances.
  const shape = shapes.find(({ name }) => name === 'wide-heads')!
  const windowed = (await openShape(shape, { slidingWindow: 5 })).logits(shape.tokens)
  const alone = (await openShape(shape)).logits(shape.tokens.slice(-5))
  const { meanKL } = divergence(alone.slice(-shape.vocab), windowed.slice(-shape.vocab), shape.vocab)
  expect(meanKL).toBeLessThan(1e-14)
  expect((await openShape(shape, { slidingWindow: 512 })).logits(shape.tokens)).toEqual((await openShape(shape)).logits(shape.tokens))
})

test('a layer can be stepped alone', async () => {
  const reference = await openShape(base)
  const { shown } = collect(reference, base.tokens)
  const second = reference.layer(1, shown.get('l_out-0')!.values)
  expect(second).toEqual(shown.get('l_out-1')!.values)
  expect(reference.output(second)).toEqual(shown.get('result_output')!.values)
})

test('a token outside the vocabulary is refused by its place and id', async () => {
  const reference = await openShape(base)
  expect(() => reference.logits([1, 320])).toThrow('token 1 has id 320, expected an integer from 0 to 319')
  expect(() => reference.logits([-1])).toThrow('id -1')
})

const demo = JSON.parse(goldenFile('demo/logits.json').toString())

test.each([
  ['Q4_K_M', '../../../models', 160],
  ['F16', '../../golden/models', 40],
  ['Q8_0', '../../golden/models', 40],
  ['Q6_K', '../../golden/models', 40],
  ['Q5_K_M', '../../golden/models', 40],
  ['Q4_K_S', '../../golden/models', 40],
  ['MXFP4_MOE', '../../golden/models', 40],
  ['IQ3_XXS', '../../golden/models', 40],
  ['IQ2_M', '../../golden/models', 40],
  ['IQ1_M', '../../golden/models', 40],
  ['TQ2_0', '../../golden/models', 40],
])('the demo model as %s has the golden logits', async (type, directory, tokens) => {
  const file = `tiny-mixtral.${type}.gguf`
  const reference = await Reference.open(fileURLToPath(new URL(`${directory}/${file}`, import.meta.url)))
  const truth = new Float32Array(new Uint8Array(goldenFile(`demo/${file}.logits.f32`)).buffer)
  const { meanKL, top1 } = divergence(truth, reference.logits(demo.tokens.slice(0, tokens)), demo.vocab)
  expect(meanKL).toBeLessThan(1e-12)
  expect(top1).toBe(1)
})
