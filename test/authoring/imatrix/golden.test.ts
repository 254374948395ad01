// The importance matrix of the F16 demo model beside the float64 truth and llama.cpp's, and both forms of a file.

import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { collectImatrix, type Imatrix, MixtralModel, readImatrix, writeImatrix } from '../../../dist/index.js'
import { demoF16, Folder } from '../quantize/quantizedFile.js'

const golden = (name: string) => fileURLToPath(new URL(`../../golden/imatrix/${name}`, import.meta.url))
const text = readFileSync(new URL('../../golden/demo/eval.txt', import.meta.url), 'utf8')
const { llamaCpp } = JSON.parse(readFileSync(golden('imatrix.json'), 'utf8')) as {
  llamaCpp: Record<string, { worstExpert: number; worstValue: number }>
}
const folder = new Folder()

/** The largest relative differences of mean squares: of a matrix's vector, and of one value. */
function distance(a: Imatrix, b: Imatrix, name: string): { worstExpert: number; worstValue: number } {
  const [x, y] = [a.entries.get(name)!, b.entries.get(name)!]
  let [worstExpert, worstValue] = [0, 0]
  for (let m = 0; m < y.counts.length; m++) {
    let [squares, all] = [0, 0]
    for (let i = m * y.columns; i < (m + 1) * y.columns; i++) {
      const expected = y.sums[i]! / y.counts[m]!
      const difference = x.sums[i]! / x.counts[m]! - expected
      squares += difference ** 2
      all += expected ** 2
      worstValue = Math.max(worstValue, Math.abs(difference) / expected)
    }
    worstExpert = Math.max(worstExpert, Math.sqrt(squares / all))
  }
  return { worstExpert, worstValue }
}

// Ten seconds: the truth is that of the whole text.
test('is no further from the truth than that of llama.cpp, matrix by matrix', { timeout: 120_000 }, async () => {
  const truth = await readImatrix(golden('tiny-mixtral.truth.imatrix.gguf'))
  await using model = await MixtralModel.load(demoF16, { contextLength: 256, kvFormat: 'f32' })
  const ours = await collectImatrix(model, text, { contextLength: 256, dataset: 'eval.txt' })
  expect(ours).toMatchObject({ windows: 61, contextLength: 256, datasets: ['eval.txt'] })
  expect([...ours.entries.keys()].toSorted()).toEqual(Object.keys(llamaCpp).toSorted())
  for (const [name, theirs] of Object.entries(llamaCpp)) {
    const { worstExpert, worstValue } = distance(ours, truth, name)
    expect(worstExpert, name).toBeLessThan(theirs.worstExpert)
    expect(worstValue, name).toBeLessThan(theirs.worstValue)
    const counts = ours.entries.get(name)!.counts
    for (const [expert, count] of truth.entries.get(name)!.counts.entries()) expect(Math.abs(counts[expert]! - count), name).toBeLessThan(3)
  }
})

test.each(['dat', 'gguf'])('the file of llama.cpp, read and written, is the same, bit for bit: %s', async (form) => {
  const path = golden(`tiny-mixtral.imatrix.${form}`)
  const copy = folder.file(`copy.${form}`)
  await writeImatrix(copy, await readImatrix(path))
  expect(readFileSync(copy).equals(readFileSync(path))).toBe(true)
})

test.each([
  ['dat', 'gguf'],
  ['gguf', 'dat'],
])('from .%s to .%s, mean squares stay', async (from, to) => {
  const original = await readImatrix(golden(`tiny-mixtral.imatrix.${from}`))
  const path = folder.file(`turned.${to}`)
  await writeImatrix(path, original)
  const turned = await readImatrix(path)
  expect(turned).toMatchObject({ windows: 61, datasets: ['eval.txt'] })
  expect([...turned.entries.keys()].toSorted()).toEqual([...original.entries.keys()].toSorted())
  for (const [name, { sums, counts, columns }] of original.entries) {
    const other = turned.entries.get(name)!
    const columnsThere = other.sums.length / other.counts.length
    for (let i = 0; i < sums.length; i += 7) {
      const mean = sums[i]! / counts[Math.floor(i / columns)]!
      expect(Math.abs(other.sums[i]! / other.counts[Math.floor(i / columnsThere)]! / mean - 1)).toBeLessThan(1e-6)
    }
  }
})
