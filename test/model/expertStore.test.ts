// Fewer slots than experts: whatever comes and goes, the bits stay.

import { expect, test } from 'vitest'
import { MixtralError } from '../../dist/errors.js'
import { type LoadOptions, MixtralModel } from '../../dist/index.js'
import { hashOf } from './hash.js'

const tokens = Array.from({ length: 90 }, (_, i) => (i * 37 + 1) % 2048)

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

const resident = hashes({ threads: 1 })

test.each<[string, LoadOptions]>([
  ['all but a few experts', { ram: 7_000_000 }],
  ['half of them', { ram: 4_500_000, threads: 2 }],
  ['two: one token evicts in every layer', { ram: 2_010_000, threads: 2 }],
  ['two, one token at a time', { ram: 2_010_000, chunk: 1 }],
  ['three, in banks of their own, on three threads', { ram: 2_200_000, bankBytes: 1_000_000, threads: 3 }],
])('logits are the resident ones with room for %s', async (_, options) => {
  expect(await hashes(options)).toEqual(await resident)
})

test("a budget without room for one token's experts is refused with the numbers", async () => {
  const refused = MixtralModel.load('demo', { ram: 1_000_000 })
  await expect(refused).rejects.toThrow(MixtralError)
  await expect(refused).rejects.toThrow(/1000000 bytes for weights, expected at least 2006016/)
})

test('an aborted step leaves the experts usable', async () => {
  const model = await MixtralModel.load('demo', { ram: 2_010_000, threads: 2 })
  const abort = new AbortController()
  const call = model.logits(tokens, { signal: abort.signal, onProgress: () => abort.abort() })
  setTimeout(() => abort.abort(), 2)
  await expect(call).rejects.toMatchObject({ code: 'ABORTED' })
  expect(hashOf(await model.logits(tokens))).toBe((await resident)[0])
  await model.close()
})
