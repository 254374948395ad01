// Quantizing activations: the kernels against the oracles of src/format/quants/activations.ts, bit for bit.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { ActivationKind, ActivationQ80 } from '../../../dist/format/quants/activations.js'
import { quantizeQ8K, quantizeQ80, quantizeQ81 } from '../../../dist/format/quants/activations.js'
import { activationBlock } from '../../../dist/runtime/kernels/packing.js'
import { type Piece, placeActivation, readQ8K, readQ80, readQ81 } from './activationRow.js'
import { expectSameBits } from './bits.js'
import { RandomValues } from './randomValues.js'
import { describeBuilds, TestBank } from './testBank.js'

/** A scale that is not finite makes every product NaN, whichever of NaN and the infinities it is. */
const poisoned = (d: Float32Array) => d.map((scale) => (Number.isFinite(scale) ? scale : Number.NaN))

/** What every kind of block has: a scale, and a quant for each value. */
type Quants = Pick<ActivationQ80, 'd' | 'q'>

function expectSameQuants(found: Quants, expected: Quants): void {
  expectSameBits(poisoned(found.d), poisoned(expected.d), 'd')
  expectSameBits(found.q, expected.q, 'q')
}

/** Compares the kernel's row of `x` with the oracle's. */
type Check = (bank: TestBank, x: Float32Array) => void

const checkQ8K: Check = (bank, x) => {
  const found = readQ8K(bank, placeActivation(bank.clear(), 'q8_k', x), x.length)
  const expected = quantizeQ8K(x)
  expectSameQuants(found, expected)
  expectSameBits(found.sums, expected.sums, 'sums of 16')
  expectSameBits(
    found.sums32,
    found.sums32.map((_, i) => expected.sums[i * 2]! + expected.sums[i * 2 + 1]!),
    'sums of 32',
  )
  const halves = Int16Array.from(found.pairs, (_, i) => {
    const from = (i >> 1) * 16 + (i & 1) * 2
    const columns = [0, 1, 4, 5, 8, 9, 12, 13].map((column) => expected.q[from + column]!)
    return -32 * columns.reduce((sum, q) => sum + q, 0)
  })
  expectSameBits(found.pairs, halves, 'sums of the halves of quads')
}

const checkQ80: Check = (bank, x) => {
  expectSameQuants(readQ80(bank, placeActivation(bank.clear(), 'q8_0', x), x.length), quantizeQ80(x))
}

const checkQ81: Check = (bank, x) => {
  const found = readQ81(bank, placeActivation(bank.clear(), 'q8_1', x), x.length)
  const expected = quantizeQ81(x)
  expectSameQuants(found, expected)
  expectSameBits(found.sums, expected.sums, 'sums')
}

const kinds: readonly (readonly [Exclude<ActivationKind, 'f32'>, Check])[] = [
  ['q8_k', checkQ8K],
  ['q8_0', checkQ80],
  ['q8_1', checkQ81],
]

/** Powers of ten around which float32 has its edges: subnormals, reciprocals that overflow, squares that would. */
const magnitudes = [1e-44, 1e-40, 1e-38, 3e-37, 4e-37, 1e-36, 1e-20, 1e-3, 1, 1e3, 1e20, 3e38]

describeBuilds((build) => {
  const bank = new TestBank(build)

  describe.each(kinds)('quantize_%s', (kind, check) => {
    const block = activationBlock[kind]

    test.each([1, 2, 3, 4, 5, 16])('is the oracle for rows of %i blocks', (blocks) => {
      const random = new RandomValues(blocks)
      for (let i = 0; i < 20; i++) check(bank, random.floats(blocks * block, 10 ** (random.below(9) - 4)))
    })

    test('is the oracle at every magnitude', () => {
      const random = new RandomValues(1)
      for (const magnitude of magnitudes) for (let i = 0; i < 10; i++) check(bank, random.floats(2 * block, magnitude))
      for (let i = 0; i < 50; i++) check(bank, random.anyFloats(2 * block))
    })

    test('is the oracle for zeros of either sign, alone and beside others', () => {
      const random = new RandomValues(2)
      check(bank, new Float32Array(2 * block))
      check(bank, new Float32Array(2 * block).fill(-0))
      const x = random.floats(3 * block)
      check(bank, x.fill(0, block, 2 * block))
    })

    test('is the oracle where values lie half way between two quants', () => {
      const x = Float32Array.from({ length: 4 * block }, (_, i) => ((i * 37) % 255) / 2 - 63.5)
      for (const largest of [127, -127, 63.5, -254]) {
        for (let start = 0; start < x.length; start += block) x[start + 7] = largest
        check(bank, x)
      }
    })

    test('is the oracle whichever column is the largest, and of two equal ones of opposite sign', () => {
      const random = new RandomValues(3)
      for (let column = 0; column < block; column++) {
        const x = random.floats(block)
        x[column] = column % 2 ? 2 : -2
        x[random.below(block)] = -x[column]!
        check(bank, x)
      }
    })

    test.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])(
      '%d poisons its block in every column, and no other',
      (poison) => {
        const random = new RandomValues(4)
        for (let column = 0; column < block; column++) {
          const x = random.floats(3 * block)
          x[block + column] = poison
          check(bank, x)
        }
      },
    )

    test('is the oracle for any float32 there is', () => {
      const values = fc.float32Array({ minLength: block, maxLength: block })
      fc.assert(
        fc.property(values, (x) => check(bank, x)),
        { numRuns: 100, seed: 5 },
      )
    })

    test('in pieces, in any order, gives the bytes of the whole', () => {
      const blocks = 11
      const x = new RandomValues(6).floats(blocks * block)
      x.fill(0, 3 * block, 4 * block)
      x[6 * block] = Number.NaN
      const whole = bank.bytes(placeActivation(bank.clear(), kind, x))
      fc.assert(
        fc.property(piecesOf(blocks), (pieces) => {
          expect(Buffer.compare(bank.bytes(placeActivation(bank.clear(), kind, x, pieces)), whole)).toBe(0)
        }),
        { numRuns: 60, seed: 7 },
      )
    })
  })
})

/** A row of blocks cut anywhere, the pieces in any order. */
function piecesOf(blocks: number): fc.Arbitrary<Piece[]> {
  return fc.uniqueArray(fc.integer({ min: 1, max: blocks - 1 })).chain((cuts) => {
    const starts = [0, ...cuts.sort((a, b) => a - b)]
    const pieces = starts.map((first, i) => ({ first, count: (starts[i + 1] ?? blocks) - first }))
    return fc.shuffledSubarray(pieces, { minLength: pieces.length })
  })
}
