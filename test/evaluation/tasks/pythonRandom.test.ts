// Draws of Python's generator. Expected values: Python 3.11, random.Random(1234), the calls in this order.

import { expect, test } from 'vitest'
import { PythonRandom } from '../../../dist/evaluation/tasks/pythonRandom.js'

test('sample draws what Python draws, from lists and from sets, call after call', () => {
  const random = new PythonRandom(1234)
  expect([random.sample(40, 5), random.sample(40, 5), random.sample(40, 5)]).toEqual([
    [28, 7, 0, 5, 37],
    [2, 5, 6, 22, 15],
    [1, 22, 39, 30, 29],
  ])
  expect(random.sample(1000, 6)).toEqual([152, 93, 187, 730, 117, 865])
  expect(random.sample(7, 7)).toEqual([0, 4, 3, 1, 6, 5, 2])
  expect(random.sample(40000, 25).slice(0, 8)).toEqual([39417, 5828, 33753, 37945, 3012, 17667, 36466, 4133])
})

test('up to 21, or 85 for six, those that are left are in a list', () => {
  const random = new PythonRandom(1234)
  expect(random.sample(85, 5)).toEqual([56, 14, 0, 11, 74])
  expect(random.sample(86, 6)).toEqual([4, 85, 10, 12, 45, 30])
  expect(random.sample(21, 5)).toEqual([0, 20, 19, 11, 15])
  expect(random.sample(22, 5)).toEqual([19, 14, 4, 2, 5])
})

test('the state is renewed as often as needed', () => {
  const random = new PythonRandom(1234)
  const all = Array.from({ length: 400 }, () => random.sample(10_042, 3))
  expect(all.at(-1)).toEqual([3966, 4060, 7310])
})
