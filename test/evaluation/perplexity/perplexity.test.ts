// Which predictions count, and what is made of them.

import { expect, test } from 'vitest'
import { covarianceOfMeans, distributionOf, meanOf } from '../../../dist/evaluation/perplexity/statistics.js'
import { measurePerplexity, type PerplexityOptions } from '../../../dist/index.js'
import { toldModel } from './measured.js'

test('only predictions of the second half count, and BOS stands in for the first token of each window', async () => {
  const seen: number[][] = []
  // After position p the model gives token 0 the share 1/4, 1/2, 1/3, 1/5, 1/6 of the whole.
  const parts = [4, 2, 3, 5, 6]
  const logits = (ids: readonly number[]) => {
    seen.push([...ids])
    return Float32Array.from(ids.flatMap((_, p) => [0, Math.log(parts[p]! - 1)]))
  }
  const model = toldModel({ vocabulary: 2, tokens: Array(14).fill(0), logits })
  const result = await measurePerplexity(model, '', { contextLength: 5 })
  expect(seen).toEqual([
    [1, 0, 0, 0, 0],
    [1, 0, 0, 0, 0],
  ])
  expect(result).toMatchObject({ contextLength: 5, windows: 2, predictions: 4 })
  expect(result.perplexity.value).toBeCloseTo(Math.sqrt(3 * 5), 6)
  // The logarithms are ln 3 and ln 5, twice each: a deviation of ln(5/3) / 2, over the root of 4 - 1.
  expect(result.perplexity.error).toBeCloseTo((Math.sqrt(15) * Math.log(5 / 3)) / 2 / Math.sqrt(3), 6)
})

test('progress tells of each window and the value so far, and `windows` ends early', async () => {
  const model = toldModel({ vocabulary: 2, tokens: Array(30).fill(0), logits: (ids) => new Float32Array(2 * ids.length) })
  const progress: unknown[] = []
  await measurePerplexity(model, '', {
    contextLength: 5,
    windows: 2,
    onProgress: ({ loaded, total, perplexity }) => progress.push([loaded, total, perplexity.value.toFixed(3)]),
  })
  expect(progress).toEqual([
    [1, 2, '2.000'],
    [2, 2, '2.000'],
  ])
})

test.each<[string, PerplexityOptions, RegExp]>([
  ['a text of less than two windows', { contextLength: 16 }, /30 tokens, expected at least 32/],
  ['no windows', { contextLength: 5, windows: 0 }, /windows is 0/],
  ['a window in which nothing counts', { contextLength: 2 }, /contextLength is 2/],
  ['an unknown option', { stride: 5 } as PerplexityOptions, /unknown option stride/],
])('%s is refused', async (_, options, message) => {
  const model = toldModel({ vocabulary: 2, tokens: Array(30).fill(0), logits: (ids) => new Float32Array(2 * ids.length) })
  await expect(measurePerplexity(model, '', options)).rejects.toMatchObject({ code: 'OPTION', message: expect.stringMatching(message) })
})

test.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])('a logit that is %d is refused', async (logit) => {
  const logits = (ids: readonly number[]) => new Float32Array(ids.length * 5).fill(logit, ids.length * 5 - 7, ids.length * 5 - 6)
  const model = toldModel({ vocabulary: 5, tokens: Array.from({ length: 40 }, (_, i) => i % 5), logits })
  await expect(measurePerplexity(model, 'x', { contextLength: 8 })).rejects.toMatchObject({
    code: 'MODEL',
    message: expect.stringContaining(`the logit of token 3 is ${logit}, expected a finite number`),
  })
})

test('a window longer than the context is refused', async () => {
  const model = toldModel({ vocabulary: 2, tokens: Array(2000).fill(0), logits: () => new Float32Array(0) })
  await expect(measurePerplexity(model, '', { contextLength: 513 })).rejects.toMatchObject({ code: 'CONTEXT' })
})

test('means have the standard error of their sample, and samples vary with themselves alone', () => {
  expect(meanOf([1, 2, 3, 6])).toEqual({ value: 3, error: Math.sqrt(3.5 / 3) })
  expect(meanOf([5])).toEqual({ value: 5, error: 0 })
  expect(covarianceOfMeans([1, 2, 3], [2, 4, 6])).toBeCloseTo((2 / 3 / 2) * 2, 12)
  expect(covarianceOfMeans([1, 2, 3, 2], [1, 2, 1, 0])).toBe(0)
})

test('percentiles lie on the line between neighbors', () => {
  const { percentiles, minimum, maximum } = distributionOf([3, 0, 1, 2])
  expect([minimum, percentiles['25'], percentiles['50'], percentiles['90'], maximum]).toEqual([0, 0.75, 1.5, 0.9 * 3, 3])
  expect(distributionOf([7]).percentiles['99.9']).toBe(7)
})
