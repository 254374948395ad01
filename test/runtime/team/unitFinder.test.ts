// Units of several parts under one numbering.

import { expect, test } from 'vitest'
import { unitFinder } from '../../../dist/runtime/team/crew.js'

const placesOf = (counts: readonly number[], numbers: readonly number[]) => numbers.map(unitFinder(counts))

test('units are numbered part after part, and parts without units are passed over', () => {
  expect(placesOf([2, 0, 1], [0, 1, 2, 3])).toEqual([{ part: 0, unit: 0 }, { part: 0, unit: 1 }, { part: 2, unit: 0 }, undefined])
})

test('a thread finds its units where others have claimed those between', () => {
  expect(placesOf([3, 4, 5], [1, 1, 6, 11, 12, 13])).toEqual([
    { part: 0, unit: 1 },
    { part: 0, unit: 1 },
    { part: 1, unit: 3 },
    { part: 2, unit: 4 },
    undefined,
    undefined,
  ])
})

test('without parts there is no unit', () => {
  expect(placesOf([], [0])).toEqual([undefined])
  expect(placesOf([0, 0], [0])).toEqual([undefined])
})
