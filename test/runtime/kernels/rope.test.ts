// Rotary embedding against float64: pairs are neighbors, and what is beyond the rotated pairs stays as it is.

import { describe, expect, test } from 'vitest'
import { cos, sin } from '../../../dist/base/elementary.js'
import { expectClose } from './bits.js'
import { RandomValues } from './randomValues.js'
import { describeBuilds, TestBank, testBothBuilds } from './testBank.js'

/** cos and sin of a position for each pair, interleaved: (pairs, 2). */
const turnsOf = (angles: Float32Array) => Float32Array.from({ length: angles.length * 2 }, (_, i) => (i % 2 ? sin : cos)(angles[i >> 1]!))

function rotate(bank: TestBank, x: Float32Array, heads: number, turns: Float32Array): Float32Array {
  const [rows, table] = [bank.clear().place(x), bank.place(turns)]
  bank.call([rows], (kernels) => kernels.rope(rows.ptr, heads, x.length / heads, turns.length / 2, table.ptr))
  return bank.floats(rows)
}

const shapes = [
  { heads: 1, headDim: 2, pairs: 1 },
  { heads: 3, headDim: 32, pairs: 16 },
  { heads: 5, headDim: 80, pairs: 40 },
  { heads: 8, headDim: 128, pairs: 64 },
  { heads: 2, headDim: 96, pairs: 10 },
  { heads: 2, headDim: 64, pairs: 0 },
]

describeBuilds((build) => {
  const bank = new TestBank(build)

  describe.each(shapes)('$heads heads of $headDim, $pairs pairs', ({ heads, headDim, pairs }) => {
    const random = new RandomValues(headDim)
    const x = random.floats(heads * headDim, 8)
    const turns = turnsOf(random.floats(pairs, 4000))
    const found = () => rotate(bank, x, heads, turns)

    test('every pair is turned by its angle', () => {
      const expected = Float64Array.from(x)
      const largest = new Float64Array(x.length)
      for (let at = 0; at < x.length; at += headDim) {
        for (let i = 0; i < pairs; i++) {
          const [a, b] = [x[at + 2 * i]!, x[at + 2 * i + 1]!]
          const [c, s] = [turns[2 * i]!, turns[2 * i + 1]!]
          expected.set([a * c - b * s, a * s + b * c], at + 2 * i)
          largest.fill(Math.abs(a) + Math.abs(b), at + 2 * i, at + 2 * i + 2)
        }
      }
      // two products and their sum, each rounded once
      expectClose(found(), expected, (i) => 2 * 2 ** -24 * largest[i]!, 'rotated')
    })

    test('what is beyond the pairs of a head is not touched', () => {
      const beyond = (values: Float32Array) => values.filter((_, i) => i % headDim >= 2 * pairs)
      expect(beyond(found())).toEqual(beyond(x))
    })
  })
})

testBothBuilds('rope', (bank) => {
  const random = new RandomValues(1)
  return rotate(bank, random.floats(4 * 128, 10), 4, turnsOf(random.floats(64, 1e4)))
})
