// Which choice is taken, accuracies and standard errors, by hand: lm-eval's definitions.

import { expect, test } from 'vitest'
import { subjectAccuracies } from '../../../dist/evaluation/tasks/mmluGroups.js'
import { AnswerCount, largest, pooled, taken } from '../../../dist/evaluation/tasks/taskScores.js'

const counted = (...answers: readonly boolean[]) => {
  const count = new AnswerCount()
  for (const answer of answers) count.add(answer)
  return count
}

test.each([
  [[-1, -1, -1], 0],
  [[-2, -1, -1], 1],
  [[-3, -2, -1], 2],
  [[Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY], 0],
  [[Number.NEGATIVE_INFINITY, -9], 1],
  [[-1, Number.NaN, 5, Number.NaN], 1],
])('the largest of %j is at %i: the first of equals, and NaN is above all, as in numpy', (values, place) => {
  expect(largest(values)).toBe(place)
})

test('acc takes the likeliest choice, acc_norm the likeliest per character', () => {
  // -6 / 12 = -0.5, -4 / 4 = -1, -9 / 20 = -0.45
  expect(taken([-6, -4, -9], [12, 4, 20])).toEqual({ byScore: 1, byCharacter: 2 })
  // per byte, the second would win: 12 bytes in 4 characters
  expect(taken([-2, -4], [4, 4])).toEqual({ byScore: 0, byCharacter: 0 })
})

test('an empty choice has a score of minus infinity per character, and is never taken', () => {
  expect(taken([-0.5, -9], [0, 3])).toEqual({ byScore: 0, byCharacter: 1 })
  expect(taken([-0.5, -0.1], [0, 0])).toEqual({ byScore: 1, byCharacter: 0 })
})

test('the standard error is the deviation of the sample over the root of its size', () => {
  // 3 of 4: mean 3/4, squares 3 * 1/16 + 9/16 = 3/4, deviation sqrt(1/4), over sqrt(4): 1/4
  expect(counted(true, false, true, true).accuracy).toEqual({ value: 0.75, stderr: 0.25 })
  expect(counted(true, true).accuracy).toEqual({ value: 1, stderr: 0 })
  // 1 of 3: squares 4/9 + 2 * 1/9 = 2/3, deviation sqrt(1/3), over sqrt(3): 1/3
  expect(counted(false, true, false).accuracy.stderr).toBeCloseTo(1 / 3, 15)
})

test('one item has no standard error', () => {
  expect(counted(true).accuracy).toEqual({ value: 1, stderr: undefined })
})

test('a group weighs its subjects by size, and pools their variances', () => {
  const parts = [
    { items: 4, acc: counted(true, false, true, true).accuracy }, // 3/4 +- 1/4
    { items: 3, acc: counted(false, true, false).accuracy }, // 1/3 +- 1/3
  ]
  // (3 * 1/16 * 4 + 2 * 1/9 * 3) / (7 - 2) = (3/4 + 2/3) / 5 = 17/60; over 7, the root
  const { value, stderr } = pooled(parts)
  expect(value).toBeCloseTo(4 / 7, 15)
  expect(stderr).toBeCloseTo(Math.sqrt(17 / 60 / 7), 15)
})

test('a single subject is its group, and a subject of one item leaves the group without a standard error', () => {
  const [first, one] = [counted(true, false, true, true), counted(true)]
  expect(pooled([{ items: 4, acc: first.accuracy }])).toEqual({ value: 0.75, stderr: 0.25 })
  expect(pooled([first, one].map(({ items, accuracy }) => ({ items, acc: accuracy })))).toEqual({ value: 0.8, stderr: undefined })
})

test('subjects come by name, groups as in lm-eval, and a subject that it does not know counts for all', () => {
  const { subjects, groups, acc } = subjectAccuracies(
    new Map([
      ['virology', counted(true, false)],
      ['anatomy', counted(true, true)],
      ['astronomy', counted(false, false)],
      ['homemade', counted(true, false)],
    ]),
  )
  expect(subjects.map(({ name }) => name)).toEqual(['anatomy', 'astronomy', 'homemade', 'virology'])
  expect(groups.map(({ name, items, acc }) => [name, items, acc.value])).toEqual([
    ['stem', 4, 0.5],
    ['other', 2, 0.5],
  ])
  expect(acc.value).toBe(0.5)
})
