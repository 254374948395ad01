// Numbers that each step gives: those of llama.cpp's tests/test-sampling.cpp (b10256), to its tolerance, and for what
// has none there numbers that were reckoned from the formulas in docs/sampling.md by another program.

import { describe, expect, test } from 'vitest'
import { choose } from '../../../dist/runtime/sampler/choose.js'
import { dryAmounts } from '../../../dist/runtime/sampler/dry.js'
import { noValues } from '../../../dist/runtime/sampler/job.js'
import { countTokens } from '../../../dist/runtime/sampler/penalties.js'
import type { Settings } from '../../../dist/runtime/sampler/samplerOptions.js'
import { jobOf, leftBy, neutral, tokenValues } from './jobs.js'

const TOLERANCE = 1e-5
const A = [0.1, 0.2, 0.3, 0.4]
const rowOf = (probabilities: readonly number[]) => Float32Array.from(probabilities, Math.log)
const even = (count: number) => new Array<number>(count).fill(1 / count)
const share = (weights: readonly number[]) => weights.map((weight) => weight / weights.reduce((a, b) => a + b))

/** Best first. */
function expectLeft(left: readonly (readonly [number, number])[], expected: readonly number[]): void {
  expect(left.map(([, p]) => p).toSorted((a, b) => b - a)).toHaveLength(expected.length)
  for (const [rank, [, p]] of left.entries()) expect(Math.abs(p - expected[rank]!)).toBeLessThan(TOLERANCE)
}

/** By id; tokens that are not left have 0. */
function expectById(left: readonly (readonly [number, number])[], expected: readonly number[]): void {
  const found = new Map(left)
  for (const [id, p] of expected.entries()) expect(Math.abs((found.get(id) ?? 0) - p)).toBeLessThan(TOLERANCE)
}

describe.each<[step: string, Partial<Settings>, expected: readonly number[]]>([
  ['temperature', { temperature: 1 }, [0.4, 0.3, 0.2, 0.1]],
  ['temperature', { temperature: 0 }, [1]],
  ['temperature', { temperature: 1, dynatempRange: 0, dynatempExponent: 1 }, [0.4, 0.3, 0.2, 0.1]],
  ['temperature', { temperature: 0, dynatempRange: 0, dynatempExponent: 1 }, [1]],
  ['topK', { topK: 1 }, [1]],
  ['topK', { topK: 3 }, [0.44444, 0.33333, 0.22222]],
  ['topK', { topK: 4 }, [0.4, 0.3, 0.2, 0.1]],
  ['topK', { topK: 0 }, [0.4, 0.3, 0.2, 0.1]],
  ['topP', { topP: 0 }, [1]],
  ['topP', { topP: 0.7 }, [0.571429, 0.428571]],
  ['topP', { topP: 0.8 }, [0.44444, 0.33333, 0.22222]],
  ['topP', { topP: 1 }, [0.4, 0.3, 0.2, 0.1]],
  ['minP', { minP: 0 }, [0.4, 0.3, 0.2, 0.1]],
  ['minP', { minP: 0.24 }, [0.4, 0.3, 0.2, 0.1]],
  ['minP', { minP: 0.26 }, share([0.4, 0.3, 0.2])],
  ['minP', { minP: 0.49 }, share([0.4, 0.3, 0.2])],
  ['minP', { minP: 0.51 }, share([0.4, 0.3])],
  ['minP', { minP: 0.74 }, share([0.4, 0.3])],
  ['minP', { minP: 0.76 }, [1]],
  ['minP', { minP: 1 }, [1]],
  ['minP', { minP: 1.05 }, [1]],
  ['xtc', { xtcProbability: 0.99, xtcThreshold: 0.09 }, share([0.1])],
  ['xtc', { xtcProbability: 0.99, xtcThreshold: 0.19 }, share([0.2, 0.1])],
  ['xtc', { xtcProbability: 0.99, xtcThreshold: 0.29 }, share([0.3, 0.2, 0.1])],
  ['xtc', { xtcProbability: 0.99, xtcThreshold: 0.39 }, [0.4, 0.3, 0.2, 0.1]],
  ['topNSigma', { topNSigma: 1 }, [0.571429, 0.428571]],
  ['topNSigma', { topNSigma: 0 }, [0.4, 0.3, 0.2, 0.1]],
  ['topNSigma', { topNSigma: 3 }, [0.4, 0.3, 0.2, 0.1]],
  // our own: T = 1.42322, 1.57378 by the entropy
  ['temperature', { temperature: 1, dynatempRange: 0.5 }, [0.3560006, 0.2908471, 0.2187446, 0.1344077]],
  ['temperature', { temperature: 1, dynatempRange: 1, dynatempExponent: 3 }, [0.3458869, 0.2881022, 0.2226672, 0.1433436]],
  // our own: what is left whatever the filters say
  ['topP', { topP: 0.1, minKeep: 2 }, [0.571429, 0.428571]],
  ['minP', { minP: 0.9, minKeep: 3 }, share([0.4, 0.3, 0.2])],
  ['typical', { typicalP: 0, minKeep: 4 }, [0.4, 0.3, 0.2, 0.1]],
  ['xtc', { xtcProbability: 0.99, xtcThreshold: 0.19, minKeep: 2 }, share([0.2, 0.1])],
  ['xtc', { xtcProbability: 0.99, xtcThreshold: 0.19, minKeep: 3 }, [0.4, 0.3, 0.2, 0.1]],
  ['xtc', { xtcProbability: 0.49, xtcThreshold: 0.19 }, [0.4, 0.3, 0.2, 0.1]], // the number was 0.5
  ['xtc', { xtcProbability: 0.99, xtcThreshold: 0.51 }, [0.4, 0.3, 0.2, 0.1]],
])('of 0.4, 0.3, 0.2, 0.1, %s with %o', (step, settings, expected) => {
  test('leaves what it should', () => expectLeft(leftBy(jobOf([step], settings), rowOf(A)), expected))
})

test('typical keeps what is nearest to the expected surprise', () => {
  const typical = (probabilities: readonly number[]) => leftBy(jobOf(['typical'], { typicalP: 0.5 }), rowOf(probabilities))
  expectLeft(typical([0.97, 0.01, 0.01, 0.01]), [1])
  expectById(typical([0.4, 0.2, 0.2, 0.2]), [0, 1 / 3, 1 / 3, 1 / 3])
})

describe.each<[Partial<Settings>, history: readonly number[], expected: readonly number[]]>([
  [{ repetitionPenalty: 50 }, [0], [0, 0.25, 0.25, 0.25, 0.25]],
  [{ repetitionPenalty: 50 }, [0, 1, 2], [0, 0, 0, 0.5, 0.5]],
  [{ repetitionPenalty: 50 }, [0, 1, 2, 0, 0], [0, 0, 0, 0.5, 0.5]],
  [{ frequencyPenalty: 5, presencePenalty: 5 }, [0], [0.000011, 0.249997, 0.249997, 0.249997, 0.249997]],
  [{ frequencyPenalty: 5, presencePenalty: 5 }, [0, 1, 2], [0.000023, 0.000023, 0.000023, 0.499966, 0.499966]],
  [{ frequencyPenalty: 5, presencePenalty: 5 }, [0, 1, 2, 0, 0], [0, 0.000023, 0.000023, 0.499977, 0.499977]],
  // our own: a window, and negative penalties, which invite a token
  [{ frequencyPenalty: 5, presencePenalty: 5, penaltyLastN: 2 }, [0, 1, 2, 0, 0], [0.0000001, 0.25, 0.25, 0.25, 0.25]],
  [{ presencePenalty: -Math.LN2 }, [0], share([2, 1, 1, 1, 1])],
])('penalties of %o after %j', (settings, history, expected) => {
  test('change five equal tokens as they should', () => {
    const all = { ...neutral, ...settings }
    expectById(leftBy(jobOf(['penalties'], all, { counts: countTokens(history, all.penaltyLastN) }), rowOf(even(5))), expected)
  })
})

describe.each<[tokens: number, values: [number, number, number, number], history: number[], breakers: number[][], expected: number[]]>([
  [4, [1, 1.1, 2, 4], [0, 1], [], even(4)],
  [4, [1, 1.1, 2, 5], [0, 1, 2, 0, 1], [], [0.296923, 0.296923, 0.109232, 0.296923]],
  [5, [1, 1.1, 2, 6], [0, 1, 3, 4, 0, 1], [[3]], even(5)],
  [5, [2, 1.1, 2, 5], [0, 1, 2, 0, 1], [], [0.241818, 0.241818, 0.032727, 0.241818, 0.241818]],
  [5, [1, 1.1, 4, 7], [0, 1, 2, 3, 4, 0, 1], [], even(5)],
  // our own: a breaker of two tokens counts where both stand, and shortens what repeats behind it
  [5, [2, 1.1, 2, 8], [3, 4, 0, 1, 2, 4, 3, 0, 1], [[3, 4]], [0.241818, 0.241818, 0.032727, 0.241818, 0.241818]],
  [5, [2, 1.1, 2, 8], [3, 4, 0, 1, 2, 3, 4, 0], [[3, 4]], even(5)],
])(
  'DRY for %i equal tokens, %j after %j with breakers %j',
  (tokens, [dryMultiplier, dryBase, dryAllowedLength, dryPenaltyLastN], ...rest) => {
    const [history, breakers, expected] = rest
    test('subtracts what it should', () => {
      const settings = { ...neutral, dryMultiplier, dryBase, dryAllowedLength, dryPenaltyLastN }
      const dry = dryAmounts(history, settings, new Map(breakers.map(([first, ...more]) => [first!, [more]])))
      expectById(leftBy(jobOf(['dry'], settings, { dry }), rowOf(even(tokens))), expected)
    })
  },
)

test('DRY reckons the longest repetition for each token, and bounds its power', () => {
  const [a, b, c, y] = [0, 1, 2, 3]
  const settings = { ...neutral, dryMultiplier: 1, dryBase: 2, dryAllowedLength: 1 }
  const amounts = ({ ids, values }: typeof noValues) => Object.fromEntries(Array.from(ids, (id, i) => [id, values[i]]))
  expect(amounts(dryAmounts([a, b, c, c, b, c, y, a, b, c], settings, new Map()))).toEqual({ [c]: 4, [b]: 1, [y]: 2 })
  const endless = new Array<number>(1000).fill(a)
  expect(amounts(dryAmounts(endless, settings, new Map()))).toEqual({ [a]: 2 ** 127 }) // floor(88.7228391 / ln 2)
  expect(dryAmounts(endless, settings, new Map([[a, [[]]]]))).toEqual(noValues)
})

test('a bias is added before everything else, and minus infinity forbids', () => {
  const bias = tokenValues([
    [0, 1],
    [2, -2],
  ])
  expectById(leftBy(jobOf([], {}, { bias }), rowOf(A)), [0.2979172, 0.2191952, 0.0444973, 0.4383904])
  const banned = tokenValues([[3, -Infinity]])
  expectById(leftBy(jobOf(['topK'], { topK: 1 }, { bias: banned }), rowOf(A)), [0, 0, 1, 0])
})

describe('mirostat', () => {
  const target = { mirostatTau: 1.5, mirostatEta: 0.1 }
  const row = rowOf([0.15, 0.5, 0.1, 0.25])

  test.each([
    [1, 0.5, 1, 1, 0.65],
    [1, 1, 1, 1, 1.15],
    [1, 1.5, 2, 3, 1.4915037],
    [1, 2, 2, 3, 1.9915037],
    [1, 3, 4, 0, 2.8763034],
    [2, 0.5, 1, 1, 0.65],
    [2, 2, 2, 3, 1.9915037],
    [2, 2.9, 3, 3, 2.8652003],
    [2, 3.5, 4, 0, 3.3763034],
  ])('%i with mu %f keeps %i tokens, draws %i and goes on with mu %f', (mirostat, mu, kept, id, after) => {
    const job = jobOf(['temperature'], { ...target, mirostat }, { draw: mirostat, u: 0.8, state: Float64Array.of(mu, 0) })
    const choice = choose(row, job)
    expect(choice.id).toBe(id)
    expect(Math.abs(choice.state[0]! - after)).toBeLessThan(TOLERANCE)
    expectLeft(leftBy(job, row), share([0.5, 0.25, 0.15, 0.1].slice(0, kept)))
  })
})

describe('adaptive-p', () => {
  test.each([
    [0.3, 0.9, [3, 10], 0.5, [0.0358406, 0.2241722, 0.5158149, 0.2241722], 2, [3, 10]],
    [0.1, 0.5, [1.2, 3], 0.9, [0.8499691, 0.1358928, 0.0131778, 0.0009603], 1, [0.8, 2.5]],
    [0.9, 0.9, [0.5, 10], 0, [0.0000993, 0.0022172, 0.047316, 0.9503675], 3, [0.85, 10]],
  ])('to %f, forgetting by %f, from %j', (adaptiveTarget, adaptiveDecay, state, u, expected, id, after) => {
    const job = jobOf([], { adaptiveTarget, adaptiveDecay }, { draw: 3, u, state: Float64Array.from(state) })
    const choice = choose(rowOf(A), job)
    expect(choice.id).toBe(id)
    expectById(leftBy(job, rowOf(A)), expected)
    for (const [i, value] of after.entries()) expect(Math.abs(choice.state[i]! - value)).toBeLessThan(TOLERANCE)
  })
})

test('top-k, top-p and min-p in every order leave as many of 10,000 tokens as they should', () => {
  const size = 10_000
  const row = Float32Array.from({ length: size }, (_, id) => Math.log(id + 1))
  const weights = Float64Array.from({ length: size }, (_, rank) => size - rank) // by rank: the best has the highest id
  for (const topK of [1, 3, 100, 9999, size]) {
    for (const topP of [0, 0.8, 0.9999, 1]) {
      for (const minP of [0, 0.10005, 0.90005, 1]) {
        for (const order of ['kpm', 'kmp', 'pkm', 'pmk', 'mkp', 'mpk']) {
          let kept = size
          for (const step of order) {
            if (step === 'k') kept = Math.min(kept, topK)
            else if (step === 'm') kept = Math.min(kept, minP > 0 ? size - Math.ceil(minP * size) + 1 : size)
            else if (topP < 1) {
              const wanted = topP * weights.subarray(0, kept).reduce((a, b) => a + b, 0)
              let sum = 0
              let count = 0
              while (count === 0 || sum < wanted - 1e-3) sum += weights[count++]!
              kept = Math.min(kept, count)
            }
          }
          const steps = [...order].map((step) => ({ k: 'topK', p: 'topP', m: 'minP' })[step]!)
          const left = leftBy(jobOf(steps, { topK, topP, minP }), row)
          expect([left.length, left.at(-1)![0]], `${order} ${topK} ${topP} ${minP}`).toEqual([kept, size - kept])
        }
      }
    }
  }
})
