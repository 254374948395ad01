// Routing: which experts, in which order, and their weights.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { expectClose } from './bits.js'
import { RandomValues } from './randomValues.js'
import { describeBuilds, TestBank, testBothBuilds } from './testBank.js'

function route(bank: TestBank, logits: Float32Array, used: number): { ids: number[]; weights: Float32Array } {
  const from = bank.clear().place(logits)
  const [ids, weights] = [bank.reserve(used * 4), bank.reserve(used * 4)]
  bank.call([ids, weights], (kernels) => kernels.route(from.ptr, logits.length, used, ids.ptr, weights.ptr))
  return { ids: Array.from(new Int32Array(bank.bytes(ids).buffer)), weights: bank.floats(weights) }
}

/** Best first; of equal ones the lower; NaN after everything. */
function best(logits: Float32Array, used: number): number[] {
  const rank = (expert: number) => (Number.isNaN(logits[expert]) ? Number.NEGATIVE_INFINITY : logits[expert]!)
  const isNaNs = (expert: number) => Number(Number.isNaN(logits[expert]))
  return [...logits.keys()].sort((a, b) => isNaNs(a) - isNaNs(b) || (rank(a) === rank(b) ? a - b : rank(b) - rank(a))).slice(0, used)
}

/** Logits of few different values, so that ties are frequent. */
const tiedLogits = fc.array(fc.constantFrom(-2, -0.5, 0, 1, 1.5, 7, Number.NaN), { minLength: 1, maxLength: 16 })
const anyLogits = fc.array(fc.float({ min: -60, max: 60, noNaN: true }), { minLength: 1, maxLength: 64 })

describeBuilds((build) => {
  const bank = new TestBank(build)

  test.each([
    ['with many ties and NaNs', tiedLogits],
    ['of any value', anyLogits],
  ])('the best experts come first, of equal ones the lower: logits %s', (_, logits) => {
    fc.assert(
      fc.property(logits, fc.nat(), (values, seed) => {
        const used = 1 + (seed % values.length)
        expect(route(bank, Float32Array.from(values), used).ids).toEqual(best(Float32Array.from(values), used))
      }),
      { numRuns: 300, seed: 1 },
    )
  })

  test('the weights are a softmax over the chosen logits alone', () => {
    fc.assert(
      fc.property(anyLogits, fc.nat(), (values, seed) => {
        const used = 1 + (seed % values.length)
        const logits = Float32Array.from(values)
        const { ids, weights } = route(bank, logits, used)
        const powers = ids.map((id) => Math.exp(logits[id]! - logits[ids[0]!]!))
        const sum = powers.reduce((total, power) => total + power, 0)
        // exp of 2 ulp above and below the line and the rounding of its argument (up to 2^6), the sum's roundings, and
        // the quotient's. Below -87 exp is held.
        const relative = (2 * (4 + 64) + used + 1) * 2 ** -24
        expectClose(
          weights,
          powers.map((power) => power / sum),
          (i) => relative * (powers[i]! / sum) + 2 ** -125,
          'weights',
        )
      }),
      { numRuns: 300, seed: 2 },
    )
  })

  test('one expert of one has the weight 1', () => {
    expect(route(bank, Float32Array.of(-3), 1)).toEqual({ ids: [0], weights: Float32Array.of(1) })
  })

  test('equal logits share equally', () => {
    expect(route(bank, new Float32Array(8).fill(2.5), 2)).toEqual({ ids: [0, 1], weights: Float32Array.of(0.5, 0.5) })
  })

  test('if all logits are NaN, so are the weights, and no expert is named twice', () => {
    const { ids, weights } = route(bank, new Float32Array(4).fill(Number.NaN), 2)
    expect(ids).toEqual([0, 1])
    expect(weights.every(Number.isNaN)).toBe(true)
  })
})

testBothBuilds('routing weights', (bank) => {
  const random = new RandomValues(3)
  return Array.from({ length: 200 }, () => route(bank, random.floats(8, 20), 4)).flatMap(({ ids, weights }) => [...ids, ...weights])
})
