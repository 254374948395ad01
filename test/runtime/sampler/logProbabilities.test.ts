import fc from 'fast-check'
import { expect, test } from 'vitest'
import { choose } from '../../../dist/runtime/sampler/choose.js'
import { scoreRow } from '../../../dist/runtime/sampler/logProbabilities.js'
import { jobOf, tokenValues } from './jobs.js'

const rowArbitrary = fc
  .array(fc.oneof(fc.double({ min: -30, max: 30, noNaN: true }), fc.constantFrom(-1000, 500)), { minLength: 1, maxLength: 300 })
  .map((logits) => Float32Array.from(logits))

/** log-softmax as it is defined. */
function logSoftmax(row: Float32Array): number[] {
  const top = Math.max(...row)
  const sum = row.reduce((total, logit) => total + Math.exp(logit - top), 0)
  return Array.from(row, (logit) => logit - top - Math.log(sum))
}

test("a token's log-probability and the best are those of the log-softmax of the raw logits", () => {
  fc.assert(
    fc.property(rowArbitrary, fc.nat(299), fc.nat(20), (row, place, top) => {
      const id = place % row.length
      const expected = logSoftmax(row)
      const best = [...row.keys()].sort((a, b) => row[b]! - row[a]! || a - b).slice(0, top)
      const score = scoreRow(row, id, top)
      expect(Math.abs(score.logprob - expected[id]!)).toBeLessThan(1e-9)
      expect([...score.top.ids]).toEqual(best)
      for (const [i, other] of best.entries()) expect(Math.abs(score.top.values[i]! - expected[other]!)).toBeLessThan(1e-9)
    }),
  )
})

test('samplers do not change them, unless they are asked for after sampling', () => {
  const row = Float32Array.from([0.1, 0.2, 0.3, 0.4], Math.log)
  const changes = { bias: tokenValues([[3, -Infinity]]), mask: Uint32Array.of(0b1110), top: 3, u: 0 }
  const job = jobOf(['topK', 'temperature'], { topK: 2, temperature: 0.5 }, changes)
  const raw = choose(row, job)
  expect(raw.id).toBe(2)
  expect(Math.exp(raw.logprob)).toBeCloseTo(0.3, 6)
  expect([...raw.top.ids]).toEqual([3, 2, 1])
  expect([...raw.top.values].map(Math.exp)).toEqual([0.4, 0.3, 0.2].map((p) => expect.closeTo(p, 6)))
  const after = choose(row, { ...job, postSampling: 1 })
  expect(after.id).toBe(2)
  expect(Math.exp(after.logprob)).toBeCloseTo(0.09 / 0.13, 6)
  expect([...after.top.ids]).toEqual([2, 1]) // no others are left
})

test('the drawn token has the very number that it has among the best', () => {
  fc.assert(
    fc.property(
      rowArbitrary,
      fc.double({ min: 0, max: 0.999, noNaN: true }),
      fc.constantFrom(0 as const, 1 as const),
      (row, u, postSampling) => {
        const { id, logprob, top } = choose(row, jobOf(['topK'], { topK: 5 }, { u, postSampling, top: 20 }))
        const place = top.ids.indexOf(id)
        expect(top.values[place]).toBe(logprob)
      },
    ),
  )
})

test('are not reckoned unless asked for', () => {
  expect(choose(Float32Array.of(1, 2), jobOf([], {}))).toMatchObject({ logprob: Number.NaN, top: { ids: new Int32Array(0) } })
})
