// Jobs that are made before their tokens have come: they are those of an undisturbed text, random numbers included, and
// hold only if just their tokens come.

import { describe, expect, test, vi } from 'vitest'
import { choose } from '../../../dist/runtime/sampler/choose.js'
import { type Constraint, Sampler, type SamplerRules } from '../../../dist/runtime/sampler/sampler.js'
import type { SamplerOptions } from '../../../dist/runtime/sampler/samplerOptions.js'

vi.spyOn(performance, 'now').mockReturnValue(0) // no job is left out for want of time

const rows = Array.from({ length: 5 }, (_, row) => Float32Array.from({ length: 64 }, (_, id) => ((id * 7919 + row * 104729) % 64) / 12))

/** Even and odd tokens in turn. */
function alternating(accepted = 0): Constraint {
  return {
    mask: () => Uint32Array.of(...Array<number>(2).fill(accepted % 2 === 0 ? 0x55555555 : 0xaaaaaaaa)),
    accept: () => void accepted++,
  }
}

const every: SamplerOptions = {
  temperature: 0.9,
  xtcProbability: 0.5,
  xtcThreshold: 0.01,
  repetitionPenalty: 1.1,
  presencePenalty: 0.1,
  dryMultiplier: 0.8,
  dryAllowedLength: 1,
  seed: 11,
}

const cases: [name: string, SamplerOptions, () => SamplerRules][] = [
  ['every step', every, () => ({})],
  ['the most likely token', { temperature: 0, seed: 1 }, () => ({})],
  ['a constraint', every, () => ({ constraint: alternating() })],
  ['withheld tokens and a bias', every, () => ({ withheld: [{ ids: [3, 5], until: 9 }], bias: new Map([[7, 2]]), top: 3 })],
]

/** Draws tokens. guess: what it is told, before each draw, of the tokens that will come. */
function text(options: SamplerOptions, rules: SamplerRules, guess?: (sampler: Sampler, drawn: number) => void) {
  const sampler = new Sampler(options, rules)
  sampler.read([5, 6, 7])
  return Array.from({ length: 40 }, (_, i) => {
    const job = structuredClone(sampler.job())
    guess?.(sampler, i)
    expect(structuredClone(sampler.job())).toEqual(job)
    return sampler.take(choose(rows[i % rows.length]!, job))
  })
}

describe.each(cases)('with %s', (_, options, rules) => {
  const expected = text(options, rules())
  /** Tokens behind `from` drawn ones, each with the constraint behind it. */
  const pathOf = (ids: readonly number[], from: number) =>
    ids.map((id, i) => ({ id, draws: true, ...(rules().constraint && { constraint: alternating(from + i + 1) }) }))
  const path = (from: number, count: number) => pathOf(expected.slice(from, from + count), from)

  test('tokens that come find the very jobs', () => {
    let ahead: readonly unknown[] = []
    let made = 0
    const found = text(options, rules(), (sampler, drawn) => {
      if (drawn % 6 > 0) expect(sampler.job()).toBe(ahead[(drawn % 6) - 1])
      else ahead = sampler.jobsAhead(path(drawn, 5))
      made += drawn % 6 > 0 ? 1 : 0
    })
    expect(found).toEqual(expected)
    expect(made).toBeGreaterThan(30)
  })

  test.each([1, 2, 3])('tokens that do not come from the %ith on change nothing', (right) => {
    const found = text(options, rules(), (sampler, drawn) => {
      if (drawn % 4 > 0) return
      const wrong = (expected[drawn + right - 1]! + 2) % 64
      sampler.jobsAhead(pathOf([...expected.slice(drawn, drawn + right - 1), wrong, (wrong + 1) % 64], drawn))
    })
    expect(found).toEqual(expected)
  })

  test('tokens that follow without being drawn have no jobs, and use no numbers', () => {
    const sampler = new Sampler(options, rules())
    const plain = new Sampler(options, rules())
    sampler.job()
    const [id, next, third] = [2, 3, 4]
    const ahead = sampler.jobsAhead(pathOf([id!, next!, third!], 0).map((token, i) => ({ ...token, draws: i === 2 })))
    expect(ahead.map((job) => job !== undefined)).toEqual([false, false, true])
    for (const one of [sampler, plain]) {
      one.job()
      one.take({ id: id!, state: new Float64Array(2), logprob: 0, top: { ids: new Int32Array(0), values: new Float64Array(0) } })
      one.follow([next!, third!])
    }
    expect(sampler.job()).toBe(ahead[2])
    expect({ ...sampler.job(), state: 0 }).toEqual({ ...plain.job(), state: 0 })
  })
})

test.each<[string, SamplerOptions, SamplerRules]>([
  ['mirostat, whose jobs depend on what is drawn', { mirostat: 2 }, {}],
  ['rules that follow the text', {}, { forbidden: () => [3] }],
  ['a constraint that nobody looks ahead', {}, { constraint: { mask: () => undefined, accept: () => {} } }],
])('there are none with %s', (_, options, rules) => {
  const sampler = new Sampler(options, rules)
  sampler.job()
  expect(sampler.jobsAhead([{ id: 1, draws: true }])).toEqual([])
})

const free: Constraint = { mask: () => undefined, accept: () => {} }
const refuses = {
  mask: () => {
    throw new RangeError('too much work')
  },
}

test('a mask that is too much work ends them there, and nothing else', () => {
  const sampler = new Sampler({ temperature: 0 }, { constraint: free })
  sampler.job()
  const path = [1, 9, 2].map((id) => ({ id, draws: true, constraint: id === 9 ? refuses : free }))
  expect(sampler.jobsAhead(path)).toHaveLength(1)
  expect(() => sampler.job()).not.toThrow()
})

describe('the constraint is asked in its turn, whatever was known ahead:', () => {
  const drawn = { id: 1, state: new Float64Array(2), logprob: 0, top: { ids: new Int32Array(0), values: new Float64Array(0) } }
  const ahead = (masks: readonly (Uint32Array | undefined)[], known: Uint32Array | undefined) => {
    let turn = 0
    const mask = () => (turn < masks.length ? masks[turn++] : refuses.mask())
    const sampler = new Sampler({ temperature: 0 }, { constraint: { mask, accept: () => {} } })
    sampler.job()
    const [job] = sampler.jobsAhead([{ id: 1, draws: true, constraint: { mask: () => known } }])
    sampler.take(drawn)
    return { job, sampler }
  }
  const even = () => Uint32Array.of(0x55555555)

  test('the same mask finds the job', () => {
    const { job, sampler } = ahead([even(), even()], even())
    expect(sampler.job()).toBe(job)
  })

  test.each([undefined, Uint32Array.of(0x55555554), Uint32Array.of(0x55555555, 0)])('another one does not', (other) => {
    const { job, sampler } = ahead([even(), even()], other)
    expect(sampler.job()).not.toBe(job)
    expect(sampler.job()).toMatchObject({ mask: even() })
  })

  test('a refusal is one', () => {
    const { sampler } = ahead([even()], even())
    expect(() => sampler.job()).toThrow('too much work')
  })
})
