// Attention against float64, and that a token's result depends on nothing but what it may see.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { expectClose, expectSameBits } from './bits.js'
import {
  attend,
  type Cache,
  expectedAttention,
  type Inputs,
  placeCache,
  positionsOf,
  qFloats,
  randomInputs,
  type Shape,
} from './kvCache.js'
import { RandomValues } from './randomValues.js'
import { describeBuilds, TestBank, testBothBuilds } from './testBank.js'

type Format = 'f16' | 'q8'

const headDims = [4, 24, 32, 44, 64, 80, 96, 128, 256]

/**
 * [position, tokens, window]: in the first block, at its edges, over several; windows shorter and longer than a block.
 */
const spans = [
  [0, 1, 0],
  [31, 1, 0],
  [32, 1, 0],
  [0, 5, 0],
  [30, 5, 0],
  [63, 34, 0],
  [130, 3, 0],
  [100, 1, 16],
  [60, 40, 17],
  [10, 3, 64],
  [90, 10, 1],
  [127, 2, 32],
  [31, 40, 33],
] as const

const shapes: readonly Shape[] = headDims.flatMap((headDim, i) =>
  spans.map(([position, tokens, window], j) => ({ headDim, heads: 1 + ((i + j) % 8), position, tokens, window })),
)

const anyShape = fc.record({
  heads: fc.integer({ min: 1, max: 8 }),
  headDim: fc.constantFrom(...headDims.slice(0, 6)),
  position: fc.nat(100),
  tokens: fc.integer({ min: 1, max: 40 }),
  window: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 80 })),
})

/** All positions from 0 up to below `end`. */
const upTo = (end: number) => Array.from({ length: end }, (_, position) => position)

/** Attention of a shape with inputs of its own, in a fresh bank. */
function run(bank: TestBank, shape: Shape, seed: number, format: Format): Float32Array {
  const inputs = randomInputs(shape, new RandomValues(seed))
  return attend(bank, shape, inputs.q, filled(bank, shape, inputs, format))
}

/** A cache of all positions, or of some. */
function filled(bank: TestBank, shape: Shape, inputs: Inputs, format: Format, positions = upTo(positionsOf(shape)), garbage = 0xff): Cache {
  return placeCache(bank.clear(), inputs, shape.headDim, positions, garbage, undefined, format)
}

describeBuilds((build) =>
  describe.each(['f16', 'q8'] as const)('a cache of %s', (format) => {
    const bank = new TestBank(build)

    test.each(shapes)(
      'is float64, except for roundings: head size $headDim, $heads heads, $tokens tokens at $position, window $window',
      (shape) => {
        const expected = expectedAttention(shape, randomInputs(shape, new RandomValues(1)), format)
        expectClose(run(bank, shape, 1, format), expected.values, (i) => expected.tolerances[i]!, 'attention')
      },
    )

    test.each([-19, -14, 15])(
      'is float64, except for roundings: cached numbers up to 2^%i, next to the smallest and the largest',
      (power) => {
        const shape = { heads: 2, headDim: 64, position: 70, tokens: 3, window: 0 }
        const inputs = randomInputs(shape, new RandomValues(6), power)
        const expected = expectedAttention(shape, inputs, format)
        const found = attend(bank, shape, inputs.q, filled(bank, shape, inputs, format))
        expectClose(found, expected.values, (i) => expected.tolerances[i]!, 'attention')
      },
    )

    test('one call for many tokens gives the bits of one call for each', () => {
      fc.assert(
        fc.property(anyShape, fc.nat(), (shape, seed) => {
          const inputs = randomInputs(shape, new RandomValues(seed))
          const together = run(bank, shape, seed, format)
          const cache = filled(bank, shape, inputs, format)
          const alone = upTo(shape.tokens).flatMap((t) => {
            const q = inputs.q.subarray(t * qFloats(shape), (t + 1) * qFloats(shape))
            return Array.from(attend(bank, { ...shape, position: shape.position + t, tokens: 1 }, q, cache))
          })
          expectSameBits(together, alone, 'together')
        }),
        { numRuns: 40, seed: 2 },
      )
    })

    test('tiles for wide vectors give the same bits', () => {
      fc.assert(
        fc.property(anyShape, fc.nat(), (shape, seed) => {
          const inputs = randomInputs(shape, new RandomValues(seed))
          const cache = filled(bank, shape, inputs, format)
          expectSameBits(attend(bank, shape, inputs.q, cache, 64, 1), attend(bank, shape, inputs.q, cache, 64, 0), 'wide')
        }),
        { numRuns: 40, seed: 4 },
      )
    })

    test.each([0x00, 0x7e, 0x7c, 0xff])('what the cache holds outside of what a token sees does not matter: bytes %i', (garbage) => {
      fc.assert(
        fc.property(anyShape, fc.nat(), (shape, seed) => {
          const inputs = randomInputs(shape, new RandomValues(seed))
          const first = shape.window === 0 ? 0 : Math.max(0, shape.position + 1 - shape.window)
          const seen = upTo(positionsOf(shape)).slice(first)
          const found = attend(bank, shape, inputs.q, filled(bank, shape, inputs, format, seen, garbage))
          expectSameBits(found, run(bank, shape, seed, format), 'with garbage')
        }),
        { numRuns: 20, seed: 3 },
      )
    })

    test('a context of one range is float64, except for roundings', () => {
      for (const shape of shapes) {
        const inputs = randomInputs(shape, new RandomValues(8))
        const expected = expectedAttention(shape, inputs, format)
        const found = attend(bank, shape, inputs.q, filled(bank, shape, inputs, format), 1024)
        expectClose(found, expected.values, (i) => expected.tolerances[i]!, JSON.stringify(shape))
      }
    })

    test('scores far apart: the largest takes all, whichever block it is in', () => {
      for (const winner of [0, 31, 32, 50, 99]) {
        const shape = { heads: 1, headDim: 4, position: 99, tokens: 1, window: 0 }
        const inputs = randomInputs(shape, new RandomValues(4))
        inputs.q.fill(50)
        inputs.keys.fill(-50)
        inputs.keys.fill(50, winner * 4, winner * 4 + 4)
        inputs.values.fill(127)
        inputs.values.fill(-127, winner * 4, winner * 4 + 4)
        const found = attend(bank, shape, inputs.q, filled(bank, shape, inputs, format))
        expect(found, `position ${winner}`).toEqual(new Float32Array(4).fill(-127))
      }
    })

    test('a NaN in one head of q makes that head NaN and leaves the others', () => {
      const shape = { heads: 3, headDim: 32, position: 40, tokens: 1, window: 0 }
      const inputs = randomInputs(shape, new RandomValues(5))
      const whole = run(bank, shape, 5, format)
      inputs.q[40] = Number.NaN
      const found = attend(bank, shape, inputs.q, filled(bank, shape, inputs, format))
      expectSameBits(
        found,
        whole.map((value, i) => (i >> 5 === 1 ? Number.NaN : value)),
        'heads',
      )
    })
  }),
)

for (const format of ['f16', 'q8'] as const)
  testBothBuilds(`attention, ${format}`, (bank) => shapes.flatMap((shape, seed) => Array.from(run(bank, shape, seed, format))))
