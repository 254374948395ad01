// Jobs that go through shared memory: the choice is the one that is made directly, bit for bit.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { NOT_FINITE } from '../../../dist/runtime/sampler/job.js'
import { doJob, JobMemory, type RowJob } from '../../../dist/runtime/sampler/jobMemory.js'
import { scoreRow } from '../../../dist/runtime/sampler/logProbabilities.js'
import { Sampler, type SamplerRules } from '../../../dist/runtime/sampler/sampler.js'
import type { SamplerOptions } from '../../../dist/runtime/sampler/samplerOptions.js'

const VOCABULARY = 70

const row = fc
  .array(fc.float({ min: -20, max: 20, noNaN: true }), { minLength: VOCABULARY, maxLength: VOCABULARY })
  .map((values) => Float32Array.from(values))

const options = fc.record<SamplerOptions>(
  {
    temperature: fc.constantFrom(0, 0.7, 1, 2),
    topK: fc.constantFrom(0, 5, 40),
    topP: fc.constantFrom(0.5, 1),
    repetitionPenalty: fc.constantFrom(1, 1.3),
    presencePenalty: fc.constantFrom(0, 0.4),
    dryMultiplier: fc.constantFrom(0, 0.8),
    xtcProbability: fc.constantFrom(0, 0.5),
    typicalP: fc.constantFrom(0.8, 1),
    mirostat: fc.constantFrom(0, 0, 1, 2),
    adaptiveTarget: fc.constantFrom(-1, 0.5),
    seed: fc.nat(100),
  },
  { requiredKeys: ['seed'] },
)

/** A constraint that allows these tokens, always. */
function allowing(ids: readonly number[]) {
  const mask = new Uint32Array(Math.ceil(VOCABULARY / 32))
  for (const id of ids) mask[id >> 5]! |= 1 << (id & 31)
  return { mask: () => mask, accept: () => {} }
}

const rules = fc.record<SamplerRules>(
  {
    bias: fc.array(fc.tuple(fc.nat(VOCABULARY - 1), fc.constantFrom(-3, 4, -Infinity)), { maxLength: 5 }).map((pairs) => new Map(pairs)),
    constraint: fc.uniqueArray(fc.nat(VOCABULARY - 1), { minLength: 8 }).map(allowing),
    top: fc.constantFrom(undefined, 0, 20),
    postSampling: fc.boolean(),
  },
  { requiredKeys: [] },
)

test('a text drawn through shared memory is the text drawn directly', () => {
  fc.assert(
    fc.property(options, rules, fc.array(row, { minLength: 3, maxLength: 6 }), (options, rules, rows) => {
      const memory = new JobMemory(3, JobMemory.create(3, 1))
      const [direct, shared] = [0, 1].map(() => new Sampler(options, rules))
      for (const each of [direct!, shared!]) each.read([1, 2, 3, 1, 2])
      for (const [i, logits] of rows.entries()) {
        const expected = direct!.sample(logits)
        const [none, place] = memory.write([undefined, shared!.job()])
        expect(none).toBe(0)
        memory.do(place!, logits, i % 3)
        const choice = memory.choice(i % 3)
        expect(choice).toEqual(expected)
        shared!.take(choice)
      }
    }),
    { numRuns: 300 },
  )
})

test('a score is that of scoreRow', () => {
  fc.assert(
    fc.property(row, fc.nat(VOCABULARY - 1), fc.nat(20), (logits, score, top) => {
      const memory = new JobMemory(1, JobMemory.create(1, 1))
      memory.do(memory.write([{ score, top }])[0]!, logits, 0)
      expect(memory.choice(0)).toMatchObject({ id: score, ...scoreRow(logits, score, top) })
    }),
  )
})

test('a score of logits that are not finite says so', () => {
  const logits = new Float32Array(8)
  logits[3] = Number.NaN
  expect(doJob(logits, { score: 1, top: 2 })).toMatchObject({ id: NOT_FINITE, logprob: Number.NaN, top: { ids: Int32Array.of(3) } })
})

describe('the memory', () => {
  const long = (): RowJob => new Sampler({}, { bias: new Map(Array.from({ length: 5000 }, (_, id) => [id, 1])) }).job()

  test('takes as many jobs as rows, and what is too long stays with main', () => {
    const memory = new JobMemory(8, JobMemory.create(8, 2))
    const scores = Array.from({ length: 8 }, (_, score): RowJob => ({ score, top: 20 }))
    expect(memory.write(scores).every((place) => place > 0)).toBe(true)
    const places = memory.write([long(), long(), long(), { score: 1, top: 0 }])
    expect(places.map((place) => place > 0)).toEqual([true, true, false, true])
  })
})
