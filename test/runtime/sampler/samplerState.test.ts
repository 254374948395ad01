// The main thread's side: what moves on with a token and what does not, what a constraint and withheld tokens do, and
// which options there are.

import { describe, expect, test } from 'vitest'
import { choose } from '../../../dist/runtime/sampler/choose.js'
import { type Constraint, Sampler, type SamplerRules } from '../../../dist/runtime/sampler/sampler.js'
import type { SamplerOptions } from '../../../dist/runtime/sampler/samplerOptions.js'
import { stepNames } from '../../../dist/runtime/sampler/steps.js'

const rows = Array.from({ length: 5 }, (_, row) => Float32Array.from({ length: 200 }, (_, id) => ((id * 7919 + row * 104729) % 200) / 40))
const maskOf = (ids: readonly number[], size = 200) => {
  const mask = new Uint32Array(Math.ceil(size / 32))
  for (const id of ids) mask[id >> 5]! |= 1 << (id & 31)
  return mask
}
const constraintOf = (...allowed: readonly number[][]) => {
  const accepted: number[] = []
  const constraint: Constraint = { mask: () => maskOf(allowed[accepted.length % allowed.length]!), accept: (id) => void accepted.push(id) }
  return { constraint, accepted }
}

/** Every step does something. */
const every: SamplerOptions = {
  temperature: 0.9,
  dynatempRange: 0.3,
  topK: 150,
  topP: 0.97,
  minP: 0.01,
  typicalP: 0.98,
  topNSigma: 3,
  xtcProbability: 0.5,
  xtcThreshold: 0.01,
  repetitionPenalty: 1.1,
  frequencyPenalty: 0.1,
  presencePenalty: 0.1,
  dryMultiplier: 0.8,
  dryAllowedLength: 1,
  seed: 11,
}

describe.each<[name: string, SamplerOptions, SamplerRules]>([
  ['every step', every, {}],
  ['every step and adaptive-p', { ...every, adaptiveTarget: 0.05 }, {}],
  ['mirostat 1', { mirostat: 1, mirostatTau: 3, seed: 11 }, {}],
  ['mirostat 2', { mirostat: 2, mirostatTau: 3, seed: 11 }, {}],
  ['a constraint', { ...every }, { constraint: constraintOf([1, 2, 3, 50, 51, 120], [7, 70, 140, 199]).constraint }],
])('with %s', (_, options, rules) => {
  test('nothing moves on until a choice is taken, and the draws are those of an undisturbed text', () => {
    const run = (disturbed: boolean) => {
      const sampler = new Sampler(options, { ...rules, ...(rules.constraint && constraintOf([1, 2, 3, 50, 51, 120], [7, 70, 140, 199])) })
      sampler.read([5, 6, 7])
      return Array.from({ length: 30 }, (_, i) => {
        const row = rows[i % rows.length]!
        if (disturbed) {
          const first = sampler.job()
          choose(rows[(i + 1) % rows.length]!, first) // a step that failed, or was wrong
          expect(sampler.job()).toBe(first)
        }
        return sampler.take(choose(row, structuredClone(sampler.job())))
      })
    }
    expect(run(true)).toEqual(run(false))
    expect(new Set(run(false)).size).toBeGreaterThan(3)
  })
})

test('XTC draws from numbers of its own: the others stay where they are', () => {
  const numbers = (options: SamplerOptions) => {
    const sampler = new Sampler({ ...options, seed: 3 })
    return Array.from({ length: 5 }, () => {
      const { u, xtc } = sampler.job()
      sampler.sample(rows[0]!)
      return { u, xtc }
    })
  }
  const [without, with_] = [numbers({}), numbers({ xtcProbability: 0.5 })]
  expect(with_.map(({ u }) => u)).toEqual(without.map(({ u }) => u))
  expect(new Set(with_.map(({ xtc }) => xtc)).size).toBe(5)
  for (const { u, xtc } of with_) expect(xtc).not.toBe(u)
})

describe('temperature 0', () => {
  test('uses up no random number, and skips what could not matter', () => {
    const { chain, u } = new Sampler({ temperature: 0, seed: 1 }).job()
    expect({ steps: Array.from(chain, (place) => stepNames[place]), u }).toEqual({ steps: ['temperature'], u: 0 })
  })

  test('takes the best of what typical and XTC leave', () => {
    const row = Float32Array.from([0.4, 0.2, 0.2, 0.2], Math.log)
    expect(new Sampler({ temperature: 0, typicalP: 0.5 }).sample(row).id).toBe(1)
    expect(new Sampler({ temperature: 0, xtcProbability: 1, xtcThreshold: 0.3 }).sample(row).id).toBe(0)
    expect(new Sampler({ temperature: 0, xtcProbability: 1, xtcThreshold: 0.1 }).sample(row).id).toBe(3)
  })

  test('with a step before it that changes logits, filters before that step still count', () => {
    const row = Float32Array.of(3, 2.9, 0)
    const options = { temperature: 0, topK: 1, repetitionPenalty: 2 }
    const id = (samplers: string[]) => {
      const sampler = new Sampler({ ...options, samplers })
      sampler.read([0])
      return sampler.sample(row).id
    }
    expect(id(['penalties', 'topK', 'temperature'])).toBe(1)
    expect(id(['topK', 'penalties', 'temperature'])).toBe(0)
  })
})

describe('a constraint', () => {
  test('lets only its tokens come, and hears of each', () => {
    const { constraint, accepted } = constraintOf([3, 4, 5], [100])
    const sampler = new Sampler({ ...every }, { constraint })
    const ids = Array.from({ length: 20 }, (_, i) => sampler.sample(rows[i % 5]!).id)
    expect(accepted).toEqual(ids)
    expect(ids.every((id, i) => (i % 2 ? id === 100 : id >= 3 && id <= 5))).toBe(true)
  })

  test('leaves the law of its tokens what it is: each as often as its share of their probability', () => {
    const row = Float32Array.from([0.3, 0.4, 0.1, 0.2], Math.log)
    const sampler = new Sampler(
      { temperature: 1, topK: 0, topP: 1, minP: 0, seed: 5 },
      { constraint: { mask: () => maskOf([0, 2], 4), accept() {} } },
    )
    let first = 0
    for (let i = 0; i < 20_000; i++) if (sampler.sample(row).id === 0) first++
    expect(Math.abs(first / 20_000 - 0.75)).toBeLessThan(0.015)
  })

  test('that allows everything changes nothing', () => {
    const ids = (rules: SamplerRules) => {
      const sampler = new Sampler(every, rules)
      return rows.map((row) => sampler.sample(row).id)
    }
    const all = Array.from({ length: 200 }, (_, id) => id)
    expect(ids({ constraint: { mask: () => undefined, accept() {} } })).toEqual(ids({}))
    expect(ids({ constraint: { mask: () => maskOf(all), accept() {} } })).toEqual(ids({}))
  })

  test('that leaves nothing, with what is forbidden, is an error', () => {
    const sampler = new Sampler({}, { constraint: constraintOf([7]).constraint, forbidden: () => [7] })
    expect(() => sampler.sample(rows[0]!)).toThrow(
      expect.objectContaining({ code: 'OPTION', message: expect.stringContaining('no token may') }),
    )
  })
})

describe('withheld tokens', () => {
  const row = Float32Array.of(1, 2, 3)

  test('do not come before the number of tokens that they wait for', () => {
    const sampler = new Sampler({ temperature: 0 }, { withheld: [{ ids: [2], until: 3 }] })
    expect(Array.from({ length: 5 }, () => sampler.sample(row).id)).toEqual([1, 1, 1, 2, 2])
  })

  test('come where a constraint allows nothing else', () => {
    const sampler = new Sampler(
      { temperature: 0 },
      { withheld: [{ ids: [2], until: Infinity }], constraint: constraintOf([0, 2], [2]).constraint },
    )
    expect(Array.from({ length: 4 }, () => sampler.sample(row).id)).toEqual([0, 2, 0, 2])
  })
})

describe('samplers', () => {
  test('are done in their order, and the others not at all', () => {
    const left = (samplers: readonly string[]) => {
      const { chain } = new Sampler({ ...every, samplers }).job()
      return Array.from(chain, (place) => stepNames[place])
    }
    expect(left(stepNames)).toEqual(stepNames.filter((name) => name !== 'adaptiveP'))
    expect(left(['minP', 'topK'])).toEqual(['minP', 'topK'])
    expect(left(['typ_p', 'top_n_sigma', 'temp'])).toEqual(['typical', 'topNSigma', 'temperature']) // llama.cpp's names
    expect(left([])).toEqual([])
  })

  test('with mirostat are only the temperature', () => {
    const { chain, draw } = new Sampler({ ...every, mirostat: 2 }).job()
    expect([Array.from(chain, (place) => stepNames[place]), draw]).toEqual([['temperature'], 2])
  })
})

test.each<[object, RegExp]>([
  [{ samplers: ['topK', 'infill'] }, /samplers has "infill", expected some of penalties, dry, topNSigma/],
  [{ samplers: ['topK', 'top_k'] }, /samplers has topK twice/],
  [{ samplers: ['adaptiveP', 'topK'] }, /adaptiveP before other steps, expected it at the end/],
  [{ samplers: 'topK' }, /samplers is "topK", expected a list of samplers/],
  [{ mirostat: 3 }, /mirostat is 3, expected a whole number from 0 to 2/],
  [{ penaltyLastN: -2 }, /penaltyLastN is -2, expected a whole number from -1/],
  [{ dryBase: 0.5 }, /dryBase is 0.5, expected a number from 1 to 100/],
  [{ drySequenceBreakers: ['\n', ''] }, /drySequenceBreakers has "", expected strings of at least one character/],
  [{ topNSigma: Infinity }, /topNSigma is Infinity, expected a number/],
  [{ adaptiveDecay: 1 }, /adaptiveDecay is 1, expected a number from 0 to 0.99/],
  [{ tfsZ: 1 }, /unknown option tfsZ/],
])('%j is refused by name', (options, message) => {
  expect(() => new Sampler(options as SamplerOptions)).toThrow(
    expect.objectContaining({ code: 'OPTION', message: expect.stringMatching(message) }),
  )
})
