// What an adapter adds to each weight, beside PEFT's own arithmetic in numpy, and the order of rows that llama.cpp's
// converter gives them: of a PEFT folder, and of the GGUF file that it becomes.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, expect, test } from 'vitest'
import { openGguf } from '../../../dist/format/gguf/openGguf.js'
import { convertAdapter } from '../../../dist/index.js'
import type { Adapter } from '../../../dist/runtime/adapters/adapter.js'
import { loadGgufAdapter } from '../../../dist/runtime/adapters/ggufAdapter.js'
import { type LowRank, valuesOf } from '../../../dist/runtime/adapters/lowRank.js'
import { loadPeftAdapter } from '../../../dist/runtime/adapters/peftAdapter.js'
import { expertTensorName, tensorName } from '../../../dist/runtime/weights/roles.js'
import { configOf, smallModel, writeJson } from '../../authoring/convert/sourceModel.js'
import { fusedPair, modulePair, type PlainPair, plainPair, transposed, writePeftFolder } from './adapterFiles.js'

const golden = fileURLToPath(new URL('../../golden/adapters', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'mixtral-deltas-'))
afterAll(() => rmSync(folder, { recursive: true }))

const { layers, hidden, intermediate, heads, kvHeads, headDim, experts } = smallModel
const base = { layers, hiddenSize: hidden, intermediateSize: intermediate, heads, kvHeads, headDim, experts, vocabSize: 2048 }
const listed = JSON.parse(readFileSync(join(golden, 'deltas.json'), 'utf8')) as { name: string; shape: [number, number] }[]
const all = new Float32Array(new Uint8Array(readFileSync(join(golden, 'deltas.f32'))).buffer)
let at = 0
const truth = new Map(
  listed.map(({ name, shape: [rows, columns] }) => {
    at += rows * columns
    return [name, all.subarray(at - rows * columns, at)] as const
  }),
)

/** scale * B A, in float64. */
function deltaOf({ rank, scale, a, b }: LowRank): Float64Array {
  const [inner, outer] = [valuesOf(a), valuesOf(b)]
  return Float64Array.from({ length: b.rows * a.columns }, (_, i) => {
    const [row, column] = [Math.floor(i / a.columns), i % a.columns]
    let sum = 0
    for (let k = 0; k < rank; k++) sum += outer[row * rank + k]! * inner[k * a.columns + column]!
    return scale * sum
  })
}

/** The largest error of any weight, beside the largest change of its matrix; and the matrices that change. */
function compare({ changes }: Adapter): { worst: number; names: string[] } {
  let worst = 0
  const names: string[] = []
  for (const { role, layer, expert, lowRank } of changes) {
    const delta = deltaOf(lowRank)
    const name = expert === undefined ? tensorName(role, layer) : expertTensorName(role as 'ffnUp', layer, expert)
    const expected = truth.get(name)
    if (!expected && delta.every((value) => value === 0)) continue // zeros stand for experts without a change
    names.push(name)
    const largest = expected!.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
    for (const [i, value] of delta.entries()) worst = Math.max(worst, Math.abs(value - expected![i]!) / largest)
  }
  return { worst, names: names.sort() }
}
const names = listed.map(({ name }) => name).sort()

test('a PEFT folder adds what PEFT adds: patterns, experts apart and in two parameters', async () => {
  expect(compare(await loadPeftAdapter(golden, base))).toEqual({ worst: expect.toSatisfy((worst) => worst < 1e-7), names })
})

test('so does the GGUF file that it becomes', async () => {
  const file = join(folder, 'adapter.gguf')
  await writeJson(folder, 'config.json', configOf(smallModel))
  await convertAdapter(golden, file, { base: folder })
  expect(compare(await loadGgufAdapter(await openGguf(file), base))).toEqual({ worst: expect.toSatisfy((worst) => worst < 3e-7), names })
})

/** Gate and up as one matrix: A under A, and B beside zeros, as PEFT joins them. */
function joined(gate: PlainPair, up: PlainPair): PlainPair {
  const [rank, rows] = [gate.rank + up.rank, gate.rows + up.rows]
  const b = new Float32Array(rows * rank)
  for (const [{ rows: own, rank: width, b: from }, row, column] of [[gate, 0, 0] as const, [up, gate.rows, gate.rank] as const])
    for (let i = 0; i < own; i++) b.set(from.subarray(i * width, (i + 1) * width), (row + i) * rank + column)
  return { rank, rows, columns: gate.columns, a: Float32Array.of(...gate.a, ...up.a), b }
}

test.each([
  ['of PEFT 0.18', transposed],
  ['of PEFT 0.19', (pair: PlainPair) => pair],
])('an adapter to transformers 4 that PEFT has made one to transformers 5 is the same: patterns and orders, %s', async (_, order) => {
  const parts = Array.from({ length: experts }, (_, e) => ({
    w1: plainPair(`w1 ${e}`, intermediate, hidden, 4),
    w2: plainPair(`w2 ${e}`, hidden, intermediate, 4),
    w3: plainPair(`w3 ${e}`, intermediate, hidden, 4),
  }))
  const apart = parts.flatMap((pairs, e) =>
    (['w1', 'w2', 'w3'] as const).flatMap((name) => modulePair(`1.block_sparse_moe.experts.${e}.${name}`, pairs[name])),
  )
  const fused = [
    ...fusedPair(
      '1.mlp.experts.base_layer',
      parts.map(({ w1, w3 }) => order(joined(w1, w3))),
    ),
    ...fusedPair(
      '1.mlp.experts',
      parts.map(({ w2 }) => order(w2)),
    ),
  ]
  const pattern = '.*\\.gate_up_proj' // as re.escape leaves it
  const [before, after] = [join(folder, 'before'), join(folder, `after ${_}`)]
  await writePeftFolder(before, apart)
  await writePeftFolder(after, fused, { rank_pattern: { [pattern]: 8 }, alpha_pattern: { [pattern]: 16 } })
  expect(await deltasOf(after)).toEqual(await deltasOf(before))

  // Unsloth's own order of the columns of B, an expert after the other, where it says so
  const grouped = fused.map(({ name, shape, values }) => {
    const width = shape[1]!
    const rank = width / experts
    const from = (i: number) => i - (i % width) + ((i % width) % rank) * experts + Math.floor((i % width) / rank)
    return { name, shape, values: name.endsWith('lora_B.weight') ? values.map((_, i) => values[from(i)]!) : values }
  })
  const patterns = { rank_pattern: { [pattern]: 8 }, alpha_pattern: { [pattern]: 16 } }
  await writePeftFolder(after, grouped, { ...patterns, lora_B_layout: 'grouped_by_expert' })
  expect(await deltasOf(after)).toEqual(await deltasOf(before))
  await writePeftFolder(after, fused, { ...patterns, lora_B_layout: 'rank_major', auto_mapping: { unsloth_fixed: true } })
  expect(await deltasOf(after)).toEqual(await deltasOf(before))
})

/** What each matrix gets. */
async function deltasOf(path: string): Promise<(readonly [matrix: string, delta: readonly number[]])[]> {
  const { changes } = await loadPeftAdapter(path, base)
  const deltas = changes.map(({ role, layer, expert, lowRank }) => [`${role} ${layer} ${expert}`, [...deltaOf(lowRank)]] as const)
  return deltas.sort(([a], [b]) => (a < b ? -1 : 1))
}
