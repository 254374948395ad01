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
