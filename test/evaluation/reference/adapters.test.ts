// The reference with adapters, beside the reference on weights to which a test has added them itself.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { ggmlTypeByName } from '../../../dist/format/gguf/ggmlType.js'
import { writeGguf } from '../../../dist/format/gguf/writer.js'
import { Reference } from '../../../dist/index.js'
import { ModelFile } from '../../authoring/quantize/quantizedFile.js'
import { divergence } from '../../golden/divergence.js'
import { shapes, writeShapeModel } from '../../golden/shapeModel.js'
import { added, type NamedPairs, plainPair, writeGgufAdapter } from '../../runtime/adapters/adapterFiles.js'

const folder = mkdtempSync(join(tmpdir(), 'mixtral-adapted-'))
afterAll(() => rmSync(folder, { recursive: true }))

const shape = shapes.find(({ name }) => name === 'base')!
const { dim, heads, kvHeads, headDim, ffn, experts, layers, tokens, vocab } = shape
const model = join(folder, 'model.gguf')
await writeShapeModel(shape, model)

const matrices = Array.from({ length: layers }, (_, layer): NamedPairs[] => {
  const one = (name: string, rows: number, columns: number) => ({
    name: `blk.${layer}.${name}.weight`,
    pairs: [plainPair(`${layer} ${name}`, rows, columns, 3)],
  })
  const all = (name: string, rows: number, columns: number) => ({
    name: `blk.${layer}.${name}_exps.weight`,
    pairs: Array.from({ length: experts }, (_, e) => plainPair(`${layer} ${name} ${e}`, rows, columns, 2)),
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

/** Writes the model with scale * B A added to its weights, and rounded to F32. */
async function writeChanged(target: string, changes: readonly { matrices: readonly NamedPairs[]; alpha: number; scale: number }[]) {
  const file = await ModelFile.open(model)
  const { metadata, metadataTypes, tensors } = file.gguf
  await writeGguf(target, {
    metadata: [...metadata].map(([key, value]) => [key, metadataTypes.get(key)!, value]),
    tensors: [...tensors.values()].map(({ name, shape: sizes }) => {
      const values = Float64Array.from(file.values(name))
      const [columns, rows = 1] = sizes as [number, number?]
      for (const { matrices, alpha, scale } of changes) {
        const pairs = matrices.find((matrix) => matrix.name === name)?.pairs
        for (let i = 0; pairs && i < values.length; i++) {
          const pair = pairs[Math.floor(i / (rows * columns))]!
          values[i]! += added(pair, (scale * alpha) / pair.rank, Math.floor(i / columns) % rows, i % columns)
        }
      }
      return { name, type: ggmlTypeByName('F32')!, shape: sizes, pieces: () => [new Uint8Array(Float32Array.from(values).buffer)] }
    }),
  })
}

test.each([
  ['attention', matrices.filter(({ name }) => name.includes('attn'))],
  ['the router', matrices.filter(({ name }) => name.includes('gate_inp'))],
  ['the experts', matrices.filter(({ name }) => name.includes('exps'))],
  ['all of them', matrices],
])('an adapter of %s gives the logits of the changed weights', async (name, chosen) => {
  const adapter = join(folder, `${name}.gguf`)
  const changed = join(folder, `${name} changed.gguf`)
  await writeGgufAdapter(adapter, 2, chosen)
  await writeChanged(changed, [{ matrices: chosen, alpha: 2, scale: 1 }])
  const truth = (await Reference.open(changed)).logits(tokens)
  const found = (await Reference.open(model, { adapters: [adapter] })).logits(tokens)
  expect(divergence(truth, found, vocab).meanKL).toBeLessThan(1e-9)
  expect(divergence(truth, (await Reference.open(model)).logits(tokens), vocab).meanKL).toBeGreaterThan(1e-3)
})

test('several adapters add up, each by its scale; a scale of 0 is none', async () => {
  const [first, second] = [matrices.slice(0, 5), matrices.slice(3)]
  const [one, two] = [join(folder, 'one.gguf'), join(folder, 'two.gguf')]
  await writeGgufAdapter(one, 2, first)
  await writeGgufAdapter(two, 1, second, 'BF16')
  const changed = join(folder, 'both.gguf')
  await writeChanged(changed, [
    { matrices: first, alpha: 2, scale: 0.5 },
    { matrices: second, alpha: 1, scale: -1.5 },
  ])
  const adapters = [
    { path: one, scale: 0.5 },
    { path: two, scale: -1.5 },
  ]
  const truth = (await Reference.open(changed)).logits(tokens)
  expect(divergence(truth, (await Reference.open(model, { adapters })).logits(tokens), vocab).meanKL).toBeLessThan(1e-9)
  const off = await Reference.open(model, { adapters: [{ path: one, scale: 0 }] })
  expect(off.logits(tokens)).toEqual((await Reference.open(model)).logits(tokens))
})
