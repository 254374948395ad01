// The recorded answers of the bench of drafts, without a model: those that quote have drafts that come, talk has none.

import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { Tokenizer, WeightLoader } from '../../dist/index.js'
import type { Json } from '../interfaces/server/served.js'

// Plain JavaScript without types, hence no static imports.
const load = (file: string): Promise<Json> => import(new URL(`../../bench/${file}.mjs`, import.meta.url).href)
const [{ quoting, talk }, { rowCost, simulated }] = await Promise.all(['draftCases', 'draftSimulation'].map(load))
const demo = fileURLToPath(new URL('../../models/tiny-mixtral.Q4_K_M.gguf', import.meta.url))

test('answers that quote are written faster with drafts, and talk as without', async () => {
  const tokenizer = await Tokenizer.load((await WeightLoader.fromGguf(demo)).metadata)
  const encoded = (cases: [string, string, string][]) =>
    cases.map(([, prompt, answer]) => ({
      ids: tokenizer.encode(prompt, { addBos: true, parseSpecial: true }),
      recorded: tokenizer.encode(answer, { addBos: false, continues: true }),
    }))
  expect(quoting).toHaveLength(20)
  const { gain, drafted, accepted } = simulated(encoded(quoting), rowCost('0.75'))
  expect(gain).toBeGreaterThan(1.3)
  expect(accepted / drafted).toBeGreaterThan(0.85)
  const without = simulated(encoded(talk), rowCost('0.75'))
  expect(without.gain).toBeGreaterThan(0.98)
})
