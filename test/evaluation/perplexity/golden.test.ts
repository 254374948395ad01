// The demo model on the golden texts, beside what llama-perplexity printed for the same files.

import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { LogitsFile, MixtralModel, measureDivergence, measurePerplexity } from '../../../dist/index.js'
import { demoModel, golden } from './measured.js'

const printed = JSON.parse(readFileSync(golden('demo/perplexity.json'), 'utf8')) as {
  context: number
  results: Record<string, { ppl: number; error: number; chunks: number }>
}

/** All formats take a minute; without this, two stand for them here, and the others run over the shorter text below. */
const everyFormat = process.env.MIXTRAL_TEST_PERPLEXITY === 'all'

test.for([
  ['F16', 0.001],
  ['Q4_K_M', 0.005],
  ...(everyFormat ? (['Q8_0', 'Q6_K', 'Q5_K_M', 'Q4_K_S', 'Q4_0', 'Q3_K_M', 'Q2_K'] as const).map((type) => [type, 0.005] as const) : []),
] as const)('the perplexity of %s is that of llama.cpp', { timeout: 120_000 }, async ([type, within]) => {
  const model = await MixtralModel.load(demoModel(type), { contextLength: printed.context })
  const text = readFileSync(golden('demo/eval.txt'), 'utf8').trimEnd()
  const { perplexity, ...extent } = await measurePerplexity(model, text, { contextLength: printed.context })
  await model.close()
  const { ppl, error, chunks } = printed.results[type]!
  expect(extent).toEqual({ contextLength: 256, windows: chunks, predictions: chunks * 127 })
  expect(Math.abs(perplexity.value / ppl - 1)).toBeLessThan(within)
  expect(Math.abs(perplexity.error / error - 1)).toBeLessThan(0.02)
})

async function againstF16(type: string) {
  const base = await LogitsFile.open(golden('kl/base-F16.kld'))
  const model = await MixtralModel.load(demoModel(type), { contextLength: base.windows.contextLength })
  const result = await measureDivergence(model, base)
  await model.close()
  await base.close()
  return result
}

/** What llama-perplexity printed under a name: the value, and the standard error if there is one. */
function printedAs(type: string, name: string): [value: number, error: number] {
  const line = readFileSync(golden(`kl/${type}.txt`), 'utf8')
    .split('\n')
    .find((text) => text.replace(/\s+/g, ' ').trim().startsWith(name))!
  const [value, error] = line.slice(line.lastIndexOf(':') + 1).match(/-?[\d.]+/g)!
  return [Number(value), Number(error)]
}

test.each(['Q4_K_M', 'Q2_K'])('%s is as far from the stored F16 logits as in llama.cpp', async (type) => {
  const result = await againstF16(type)
  const { basePerplexity, divergence, sameTop, correlation } = result
  expect([basePerplexity.value.toFixed(6), basePerplexity.error.toFixed(6)]).toEqual(
    printedAs(type, 'Mean PPL(base)').map((value) => value.toFixed(6)),
  )
  const [median] = printedAs(type, 'Median KLD')
  expect(Math.abs(divergence.percentiles['50'] / median - 1)).toBeLessThan(0.25)
  const [samePercent, sameError] = printedAs(type, 'Same top p')
  expect(Math.abs(100 * sameTop.value - samePercent)).toBeLessThan(1)
  expect(100 * sameTop.error).toBeCloseTo(sameError, 1)
  expect(100 * correlation).toBeCloseTo(printedAs(type, 'Cor(')[0], 0)
  // Routing flips make the others wander; their size must be right.
  for (const [name, found] of [
    ['Mean PPL(Q)-PPL(base)', result.difference.error],
    ['Mean ln(PPL(Q)/PPL(base))', result.lnRatio.error],
    ['Mean PPL(Q)/PPL(base)', result.ratio.error],
    ['Mean KLD', divergence.mean.error],
    ['RMS Δp', 100 * result.rmsChange.error],
    ['Mean Δp', 100 * result.change.mean.error],
  ] as const) {
    expect(Math.abs(found / printedAs(type, name)[1] - 1), name).toBeLessThan(0.1)
  }
})

test('F16 is where llama.cpp stored it', async () => {
  const { divergence, sameTop } = await againstF16('F16')
  expect(Math.abs(divergence.percentiles['50'])).toBeLessThan(1e-6)
  expect(divergence.maximum).toBeLessThan(1e-3)
  expect(sameTop.value).toBe(1)
})

// About twice what was measured.
test.each([
  ['Q8_0', 2e-6],
  ['Q6_K', 5e-6],
  ['Q5_K_M', 8e-6],
  ['Q4_K_S', 2e-5],
])('%s is near the stored F16 logits', async (type, median) => {
  const { divergence, sameTop } = await againstF16(type)
  expect(divergence.percentiles['50']).toBeLessThan(median)
  expect(sameTop.value).toBeGreaterThan(0.96)
})
