// Every step and every draw against a second sampler of plain definitions, on random logits, options, orders and
// histories.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { choose } from '../../../dist/runtime/sampler/choose.js'
import { type Breakers, dryAmounts } from '../../../dist/runtime/sampler/dry.js'
import { type Job, NOT_FINITE, NOTHING_LEFT } from '../../../dist/runtime/sampler/job.js'
import { countTokens } from '../../../dist/runtime/sampler/penalties.js'
import type { Settings } from '../../../dist/runtime/sampler/samplerOptions.js'
import { stepNames } from '../../../dist/runtime/sampler/steps.js'
import { jobOf, leftBy, neutral, tokenValues } from './jobs.js'
import { choosePlainly, type PlainJob } from './plainSampler.js'

const VOCABULARY = 60
const double = (min: number, max: number) => fc.double({ min, max, noNaN: true })

/** Some of the settings, the others neutral. */
const settingsArbitrary: fc.Arbitrary<Settings> = fc
  .record(
    {
      temperature: fc.oneof(fc.constant(0), double(0.1, 4)),
      topK: fc.nat(VOCABULARY + 5),
      topP: double(0, 1),
      minP: double(0, 1),
      repetitionPenalty: double(0.5, 2),
      frequencyPenalty: double(-2, 2),
      presencePenalty: double(-2, 2),
      penaltyLastN: fc.integer({ min: -1, max: 12 }),
      dryMultiplier: double(0, 3),
      dryBase: double(1, 3),
      dryAllowedLength: fc.integer({ min: 1, max: 4 }),
      dryPenaltyLastN: fc.integer({ min: -1, max: 12 }),
      topNSigma: double(-1, 3),
      typicalP: double(0, 1),
      xtcProbability: double(0, 1),
      xtcThreshold: double(0, 0.6),
      dynatempRange: double(0.05, 2),
      dynatempExponent: double(0, 3),
      mirostat: fc.constantFrom(0, 0, 0, 1, 2),
      mirostatTau: double(0, 8),
      mirostatEta: double(0, 1),
      adaptiveTarget: double(-1, 1),
      adaptiveDecay: double(0, 0.99),
      minKeep: fc.nat(4),
    },
    { requiredKeys: [] },
  )
  .map((some) => ({ ...neutral, ...some }))

/** Steps in any order, some left out; adaptive-p at the end. */
const stepsArbitrary = fc
  .shuffledSubarray(stepNames.filter((name) => name !== 'adaptiveP'))
  .chain((steps) => fc.boolean().map((adaptive) => (adaptive ? [...steps, 'adaptiveP'] : steps)))

const plainJobArbitrary: fc.Arbitrary<PlainJob> = fc.record({
  settings: settingsArbitrary,
  steps: stepsArbitrary,
  history: fc.array(fc.nat(7), { maxLength: 30 }), // few ids, so that much repeats
  breakers: fc.array(fc.array(fc.nat(7), { minLength: 1, maxLength: 3 }), { maxLength: 2 }),
  bias: fc.uniqueArray(fc.tuple(fc.nat(VOCABULARY - 1), fc.oneof(double(-5, 5), fc.constant(-Infinity))), {
    maxLength: 5,
    selector: ([id]) => id,
  }),
  allowed: fc.oneof(
    fc.constant(new Set(Array.from({ length: VOCABULARY }, (_, id) => id))),
    fc.uniqueArray(fc.nat(VOCABULARY - 1), { minLength: 1 }).map((ids) => new Set(ids)),
  ),
  u: double(0, 0.999999),
  xtc: double(0, 0.999999),
  state: fc.tuple(double(0.5, 12), double(1, 20)),
})

/** The job that does the same. */
function jobFor({ settings, steps, history, breakers, bias, allowed, u, xtc, state }: PlainJob): Job {
  const mask = new Uint32Array(Math.ceil(VOCABULARY / 32))
  for (const id of allowed) mask[id >> 5]! |= 1 << (id & 31)
  const byFirst: Breakers = new Map(
    breakers.map(([first]) => [first!, breakers.filter((ids) => ids[0] === first).map((ids) => ids.slice(1))]),
  )
  return jobOf(settings.mirostat > 0 ? ['temperature'] : steps, settings, {
    draw: settings.mirostat > 0 ? settings.mirostat : steps.includes('adaptiveP') && settings.adaptiveTarget >= 0 ? 3 : 0,
    u,
    xtc,
    state: Float64Array.from(state),
    mask: allowed.size === VOCABULARY ? undefined : mask,
    bias: tokenValues(bias),
    counts: countTokens(history, settings.penaltyLastN),
    dry: dryAmounts(history, settings, byFirst),
  })
}

const logitsArbitrary = fc.float32Array({ min: -12, max: 12, noNaN: true, minLength: VOCABULARY, maxLength: VOCABULARY })

test('every chain leaves, draws and remembers what its plain definition says', () => {
  fc.assert(
    fc.property(logitsArbitrary, plainJobArbitrary, (logits, plainJob) => {
      const plain = choosePlainly(logits, plainJob)
      const job = jobFor(plainJob)
      const { id, state } = choose(logits, job)
      if (!plain) {
        expect(id).toBe(NOTHING_LEFT)
        return
      }
      fc.pre(plain.margin > 1e-9)
      const left = new Map(leftBy(job, logits))
      expect([...left.keys()].toSorted()).toEqual(plain.left.map((token) => token.id).toSorted())
      for (const token of plain.left) expect(left.get(token.id)).toBeCloseTo(token.p, 9)
      expect(id).toBe(plain.id)
      for (const [i, value] of plain.state.entries()) {
        expect(Math.abs(state[i]! - value)).toBeLessThan(1e-9 * Math.max(1, Math.abs(value)))
      }
    }),
    { numRuns: 4000 },
  )
})

describe('a choice', () => {
  const everything: Settings = { ...neutral, temperature: 0.9, topK: 30, topP: 0.9, minP: 0.01, repetitionPenalty: 1.2, typicalP: 0.95 }

  test('depends on the row and the job alone, and changes neither', () => {
    fc.assert(
      fc.property(logitsArbitrary, plainJobArbitrary, (logits, plainJob) => {
        const job = jobFor(plainJob)
        const [copy, jobCopy] = [logits.slice(), structuredClone(job)]
        const first = choose(logits, job)
        choose(
          Float32Array.from({ length: 7 }, (_, id) => id),
          jobOf(stepNames.slice(0, 9), everything),
        )
        expect(choose(copy, jobCopy)).toEqual(first)
        expect([logits, job]).toEqual([copy, jobCopy])
      }),
      { numRuns: 300 },
    )
  })

  test.each([Number.NaN, Infinity, -Infinity])('from a row with a logit of %s is marked, also where it is not allowed', (bad) => {
    for (const mask of [undefined, Uint32Array.of(1)]) {
      const { id, logprob, top } = choose(Float32Array.of(1, 2, bad), jobOf([], {}, { mask }))
      expect([id, logprob, top.ids[0]]).toEqual([NOT_FINITE, bad, 2])
    }
  })

  test('from nothing is marked', () => {
    const row = Float32Array.of(1, 2)
    expect(choose(row, jobOf([], {}, { mask: Uint32Array.of(0) })).id).toBe(NOTHING_LEFT)
    expect(choose(row, jobOf([], {}, { mask: Uint32Array.of(2), bias: tokenValues([[1, -Infinity]]) })).id).toBe(NOTHING_LEFT)
  })

  test('takes equal logits by id, however many', () => {
    const row = new Float32Array(5000)
    expect(leftBy(jobOf(['topK'], { topK: 3 }), row).map(([id]) => id)).toEqual([0, 1, 2])
    expect(leftBy(jobOf(['topK'], { topK: 300 }), row).map(([id]) => id)).toEqual(Array.from({ length: 300 }, (_, id) => id))
    expect(choose(row, jobOf([], {}, { u: 0.99991 })).id).toBe(4999)
  })

  test('ignores bias, penalties and masks of ids that the vocabulary does not have', () => {
    const strange = tokenValues([[99, -Infinity]])
    const job = jobOf(['penalties', 'dry'], { repetitionPenalty: 2 }, { bias: strange, counts: strange, dry: strange })
    expect(leftBy({ ...job, mask: Uint32Array.of(0xffffffff, 0xffffffff) }, Float32Array.of(2, 1)).map(([id]) => id)).toEqual([0, 1])
  })
})

test('ranks are right whatever the logits look like: far apart, in bunches, or next to equal', () => {
  const logit = fc.oneof(
    fc.float({ noNaN: true, noDefaultInfinity: true }),
    fc.constantFrom(0, 1, -1e30, 1e30),
    fc.float({ min: 0, max: Math.fround(1e-40), noNaN: true }),
  )
  fc.assert(
    fc.property(fc.array(logit, { minLength: 200, maxLength: 400 }), fc.integer({ min: 1, max: 400 }), (logits, topK) => {
      const row = Float32Array.from(logits)
      const ids = [...row.keys()].sort((a, b) => row[b]! - row[a]! || a - b)
      expect(leftBy(jobOf(['topK'], { topK }), row).map(([id]) => id)).toEqual(ids.slice(0, topK))
    }),
    { numRuns: 300 },
  )
})
