import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Sampler } from '../../../dist/runtime/sampler/sampler.js'
import type { SamplerOptions } from '../../../dist/runtime/sampler/samplerOptions.js'

const open: SamplerOptions = { temperature: 1, topK: 0, topP: 1, minP: 0, seed: 7 }
/** Logits whose softmax is 0.4, 0.3, 0.2, 0.1. */
const tenths = Float32Array.from([0.3, 0.4, 0.1, 0.2], Math.log)

/** How often each token came in `draws` draws, as fractions. */
function frequencies(options: SamplerOptions, logits: Float32Array, draws = 20_000): number[] {
  const sampler = new Sampler({ ...open, ...options })
  const counts = new Array<number>(logits.length).fill(0)
  for (let draw = 0; draw < draws; draw++) counts[sampler.sample(logits).id]!++
  return counts.map((count) => count / draws)
}

/** The token that comes after these. */
function next(options: SamplerOptions, logits: Float32Array, recent: readonly number[]): number {
  const sampler = new Sampler(options)
  sampler.read(recent)
  return sampler.sample(logits).id
}

/** The tokens that ever come. */
function reachable(options: SamplerOptions, logits: Float32Array): number[] {
  return frequencies(options, logits, 2000).flatMap((frequency, id) => (frequency > 0 ? [id] : []))
}

function expectClose(actual: readonly number[], expected: readonly number[]): void {
  for (const [index, value] of actual.entries()) {
    expect(Math.abs(value - expected[index]!), `${actual} against ${expected}`).toBeLessThan(0.015)
  }
}

test('without filters tokens come as often as their softmax says', () => {
  expectClose(frequencies({}, tenths), [0.3, 0.4, 0.1, 0.2])
})

test('temperature sharpens and flattens', () => {
  const squares = [0.09, 0.16, 0.01, 0.04].map((weight) => weight / 0.3)
  expectClose(frequencies({ temperature: 0.5 }, tenths), squares)
  expectClose(frequencies({ temperature: 1e6 }, tenths), [0.25, 0.25, 0.25, 0.25])
})

test('temperature 0 takes the highest logit, the lowest id of equals', () => {
  expect(next({ temperature: 0 }, Float32Array.of(1, 3, 3, 2), [])).toBe(1)
})

test('a temperature next to 0 takes the highest logit too', () => {
  expect(reachable({ temperature: 1e-300 }, tenths)).toEqual([1])
})

test('top-k keeps the k highest, the lowest ids of equals', () => {
  expect(reachable({ topK: 2 }, tenths)).toEqual([0, 1])
  expect(reachable({ topK: 2 }, Float32Array.of(1, 2, 1, 1))).toEqual([0, 1])
  expect(reachable({ topK: 99 }, tenths)).toEqual([0, 1, 2, 3])
})

test('top-p keeps the highest until their probabilities reach p', () => {
  expect(reachable({ topP: 0.39 }, tenths)).toEqual([1])
  expect(reachable({ topP: 0.5 }, tenths)).toEqual([0, 1])
  expect(reachable({ topP: 0.85 }, tenths)).toEqual([0, 1, 3])
  expect(reachable({ topP: 0 }, tenths)).toEqual([1])
})

test('top-p counts probabilities among what top-k left', () => {
  expect(reachable({ topK: 2, topP: 0.55 }, tenths)).toEqual([1])
  expect(reachable({ topK: 2, topP: 0.6 }, tenths)).toEqual([0, 1])
})

test('min-p keeps tokens likely enough beside the most likely', () => {
  expect(reachable({ minP: 0.6 }, tenths)).toEqual([0, 1])
  expect(reachable({ minP: 0.26 }, tenths)).toEqual([0, 1, 3])
  expect(reachable({ minP: 1 }, tenths)).toEqual([1])
})

test('filters look at probabilities before the temperature', () => {
  expect(reachable({ topP: 0.5, temperature: 100 }, tenths)).toEqual([0, 1])
  expect(reachable({ minP: 0.6, temperature: 100 }, tenths)).toEqual([0, 1])
})

test('the filtered tokens keep their proportions', () => {
  expectClose(frequencies({ topK: 2 }, tenths), [3 / 7, 4 / 7, 0, 0])
})

test('the repetition penalty divides positive logits and multiplies the others, once', () => {
  const logits = Float32Array.of(4, 3, -1, -1.5)
  const greedy = { temperature: 0, repetitionPenalty: 2 }
  expect(next(greedy, logits, [])).toBe(0)
  expect(next(greedy, logits, [0])).toBe(1)
  expect(next(greedy, logits, [0, 0, 0, 1, 1])).toBe(0)
  expect(next(greedy, Float32Array.of(-1, -1.5), [0])).toBe(1)
})

test('the repetition penalty sees the last 64 tokens', () => {
  const greedy = { temperature: 0, repetitionPenalty: 2 }
  const logits = Float32Array.of(4, 3, 0)
  expect(next(greedy, logits, [0, ...Array(63).fill(2)])).toBe(1)
  expect(next(greedy, logits, [0, ...Array(64).fill(2)])).toBe(0)
})

test('logits are left as they are', () => {
  const logits = Float32Array.of(1, 2, 3)
  next({ repetitionPenalty: 2, seed: 1 }, logits, [0, 1, 2])
  expect([...logits]).toEqual([1, 2, 3])
})

test('a seed repeats its sequence', () => {
  const run = (seed: number) => {
    const sampler = new Sampler({ ...open, seed })
    return Array.from({ length: 50 }, () => sampler.sample(tenths).id)
  }
  expect(run(1)).toEqual(run(1))
  expect(run(1)).not.toEqual(run(2))
  expect(run(1)).not.toEqual(run(1 + 2 ** 32))
})

test('a seed that was not given can be read back', () => {
  const first = new Sampler(open.seed === undefined ? open : { ...open, seed: new Sampler().seed })
  const second = new Sampler({ ...open, seed: first.seed })
  expect(Array.from({ length: 20 }, () => first.sample(tenths).id)).toEqual(Array.from({ length: 20 }, () => second.sample(tenths).id))
})

test('a seed gives the same tokens on every machine', () => {
  const logits = Float32Array.from({ length: 1000 }, (_, id) => ((id * 7919) % 1000) / 100)
  const run = (options: SamplerOptions) => {
    const sampler = new Sampler({ ...options, seed: 42 })
    const ids: number[] = []
    while (ids.length < 12) ids.push(sampler.sample(logits).id)
    return ids
  }
  expect(run({})).toMatchInlineSnapshot(`
    [
      605,
      321,
      99,
      346,
      420,
      210,
      272,
      210,
      494,
      383,
      951,
      494,
    ]
  `)
  expect(run({ temperature: 1.5, topK: 0, topP: 1, minP: 0 })).toMatchInlineSnapshot(`
    [
      346,
      963,
      915,
      595,
      88,
      371,
      164,
      655,
      643,
      76,
      65,
      643,
    ]
  `)
  expect(run({ topK: 0, topP: 0.5, repetitionPenalty: 1.3 })).toMatchInlineSnapshot(`
    [
      568,
      321,
      272,
      87,
      235,
      457,
      260,
      778,
      346,
      124,
      902,
      667,
    ]
  `)
})

/** The kept tokens by sorting everything, as the filters are defined: the control of the lazy ranking. */
function keptNaively(logits: Float32Array, { topK = 0, topP = 1, minP = 0 }: SamplerOptions): Set<number> {
  let ids = [...logits.keys()].sort((a, b) => logits[b]! - logits[a]! || a - b)
  if (topK > 0) ids = ids.slice(0, topK)
  const weights = ids.map((id) => Math.exp(logits[id]! - logits[ids[0]!]!))
  const wanted = topP * weights.reduce((sum, weight) => sum + weight, 0)
  let sum = 0
  const within = ids.filter((_, place) => {
    const before = sum
    sum += weights[place]!
    return topP >= 1 || before < wanted - 1e-9
  })
  return new Set(within.filter((_, place) => place === 0 || weights[place]! >= minP * (1 - 1e-9)))
}

test('nothing outside the filters ever comes', () => {
  const options = fc.record({
    topK: fc.nat(12),
    topP: fc.double({ min: 0.01, max: 1, noNaN: true }),
    minP: fc.double({ min: 0, max: 0.9, noNaN: true }),
    temperature: fc.double({ min: 0.1, max: 5, noNaN: true }),
    seed: fc.maxSafeNat(),
  })
  fc.assert(
    fc.property(fc.float32Array({ min: -9, max: 9, noNaN: true, minLength: 1, maxLength: 40 }), options, (logits, chosen) => {
      const kept = keptNaively(logits, chosen)
      const sampler = new Sampler(chosen)
      for (let draw = 0; draw < 20; draw++) expect(kept).toContain(sampler.sample(logits).id)
    }),
    { numRuns: 500 },
  )
})

describe.each([Number.NaN, Infinity, -Infinity])('a logit of %s', (bad) => {
  test('is an error that says where', () => {
    for (const temperature of [0, 1]) {
      const sampler = new Sampler({ temperature })
      expect(() => sampler.sample(Float32Array.of(1, bad, 2))).toThrow(
        expect.objectContaining({ code: 'MODEL', message: expect.stringMatching(`logit of token 1 is ${bad}`) }),
      )
    }
  })
})

describe.each([
  [{ temperature: -1 }, /temperature is -1, expected a number from 0/],
  [{ temperature: Number.NaN }, /temperature is NaN/],
  [{ temperature: Infinity }, /temperature is Infinity/],
  [{ topK: 1.5 }, /topK is 1.5, expected a whole number from 0/],
  [{ topK: -1 }, /topK is -1/],
  [{ topP: 1.1 }, /topP is 1.1, expected a number from 0 to 1/],
  [{ minP: -0.1 }, /minP is -0.1/],
  [{ repetitionPenalty: 0 }, /repetitionPenalty is 0, expected a number from 0.01 to 100/],
  [{ seed: 2 ** 53 }, /seed is 9007199254740992, expected a whole number from 0 to 2\^53 - 1/],
  [{ seed: -1 }, /seed is -1/],
  [{ topP: '0.9' }, /topP is "0.9", expected/],
  [{ top_p: 0.9 }, /unknown option top_p, expected temperature, topK/],
  [{ constructor: 1 }, /unknown option constructor/],
])('%j', (options, message) => {
  test('is refused by name', () => {
    expect(() => new Sampler(options as SamplerOptions)).toThrow(
      expect.objectContaining({ code: 'OPTION', message: expect.stringMatching(message) }),
    )
  })
})
