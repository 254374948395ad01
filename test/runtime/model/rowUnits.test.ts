// How rows are cut into units: every row is in one, units begin where kernels can, and threads end together.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { cutRows, mostGroups, RowUnits } from '../../../dist/runtime/model/rowUnits.js'

const triples = (cut: Int32Array) => Array.from({ length: cut.length / 3 }, (_, i) => [...cut.subarray(3 * i, 3 * i + 3)])

describe('cutRows', () => {
  test('covers every group of every matrix once, in order, from even groups on', () => {
    const shapes = fc.array(fc.integer({ min: 1, max: 4000 }), { minLength: 1, maxLength: 8 })
    fc.assert(
      fc.property(shapes, fc.constantFrom(16, 32, 64), fc.integer({ min: 1, max: 64 }), (groups, most, seats) => {
        const next = groups.map(() => 0)
        for (const [matrix, first, count] of triples(cutRows(groups, most, seats)) as [number, number, number][]) {
          expect(first).toBe(next[matrix])
          expect(first % 4).toBe(0)
          expect(count).toBeGreaterThan(0)
          expect(count).toBeLessThanOrEqual(most)
          next[matrix]! += count
        }
        expect(next).toEqual(groups)
      }),
      { seed: 1 },
    )
  })

  test('one thread gets the largest units there are', () => {
    expect(triples(cutRows([128], 64, 1)).map(([, , count]) => count)).toEqual([64, 64])
  })

  test('the last units are small, so that threads end together', () => {
    const sizes = triples(cutRows([1024], 64, 2)).map(([, , count]) => count!)
    expect(sizes[0]).toBe(64)
    expect(sizes.at(-1)).toBe(8)
    expect(sizes).toEqual(sizes.toSorted((a, b) => b - a))
  })
})

test('few tokens get larger units, but long rows do not', () => {
  expect([mostGroups(1, 14336), mostGroups(4, 4096), mostGroups(4, 14336), mostGroups(8, 4096)]).toEqual([64, 32, 16, 16])
})

test('a cut is made once for each shape', () => {
  const units = new RowUnits(2)
  const matrices = [{ groups: 96 }, { groups: 32 }]
  expect(units.of(matrices, 64)).toBe(units.of([{ groups: 96 }, { groups: 32 }], 64))
  expect(units.of(matrices, 64)).not.toBe(units.of(matrices, 32))
  expect(units.of([{ groups: 96 }], 64)).not.toBe(units.of(matrices, 64))
})
