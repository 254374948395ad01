// The comparison of a tensor with what is expected of it: nothing that is not finite passes, on either side.

import { expect, test } from 'vitest'
import { expectNothing, note } from '../../../dist/evaluation/verify/expected.js'
import { worstOf } from '../../../dist/evaluation/verify/worstOf.js'

const { NaN: nan, POSITIVE_INFINITY: infinity } = Number

test.each([
  [1, 1, 0],
  [1, 1.5, 0.5],
  [0, -0, 0],
])('%d for %d within %d is right', (found, value, allowed) => {
  expect(worstOf([found], { values: Float64Array.of(value), allowed: Float64Array.of(allowed) }, { column: 1 })).toBeUndefined()
})

test.each([
  [1, 2, 0.5],
  [nan, nan, nan],
  [nan, nan, 0],
  [nan, 1, 0.5],
  [1, nan, nan],
  [1, nan, 0.5],
  [infinity, infinity, nan],
  [infinity, infinity, 0],
  [1, 1, nan],
])('%d for %d within %d is off', (found, value, allowed) => {
  const expected = { values: Float64Array.of(1, value), allowed: Float64Array.of(0, allowed) }
  expect(worstOf([1, found], expected, { column: 2 })).toMatch(/^1 of 2 values are off, the worst at token 0, column 1: found /)
})

test('what is not checked is not counted', () => {
  const expected = expectNothing(3)
  note(expected, 1, [5, 0])
  expect(worstOf([nan, 5, 7], expected, { column: 3 })).toBeUndefined()
  expect(worstOf([nan, 6, 7], expected, { column: 3 })).toMatch(/^1 of 1 values are off/)
})
