// What a step takes by its rows: estimates against costs that were measured, and what fits into a time that is given.

import { describe, expect, test } from 'vitest'
import { StepCost } from '../../../dist/runtime/engine/stepCost.js'

/** How many times as long as one row a step of so many takes. */
const curves = {
  'a Mixtral in memory': { 1: 1, 2: 1.68, 4: 2.9, 8: 4.76, 16: 7.4 },
  'all experts read for each step': { 1: 1, 2: 1.75, 4: 2.73, 8: 3.6, 16: 3.96 },
  'each row by itself': { 1: 1, 2: 2, 4: 4, 8: 8, 16: 16 },
  'rows for nothing': { 1: 1, 2: 1.1, 4: 1.2, 8: 1.35, 16: 1.5 },
}
const rowsOf = [1, 2, 4, 8, 16] as const

/** The cost after steps of these rows by turns, of which one of one row takes `ms`. */
function learned(curve: Record<number, number>, rows: readonly number[], ms = 150, steps = 200): StepCost {
  const cost = new StepCost(undefined)
  for (let i = 0; i < steps; i++) {
    const count = rows[i % rows.length]!
    cost.add(count, ms * curve[count]! * (1 + 0.1 * Math.sin(i * 2.4)), true)
  }
  return cost
}

describe('the growth of a step of few rows', () => {
  test('is that of a Mixtral in memory before anything is known, and where all steps have one row', () => {
    for (const cost of [new StepCost(undefined), learned(curves['a Mixtral in memory'], [1])]) {
      for (const rows of rowsOf) {
        expect(cost.growth(1, rows) / curves['a Mixtral in memory'][rows]).toBeGreaterThan(0.95)
        expect(cost.growth(1, rows) / curves['a Mixtral in memory'][rows]).toBeLessThan(1.09)
      }
    }
  })

  test.each([
    ['a Mixtral in memory', [1, 2, 4, 8, 16], 0.07],
    ['a Mixtral in memory', [1, 1, 1, 8], 0.1],
    ['a Mixtral in memory', [1, 2, 4], 0.1],
    ['all experts read for each step', [1, 2, 4, 8, 16], 0.12],
    ['each row by itself', [1, 4, 8], 0.07],
    ['rows for nothing', [1, 2, 16, 8], 0.12],
  ] as const)('is learned: %s, from steps of %j rows', (name, rows, tolerance) => {
    const curve: Record<number, number> = curves[name]
    const cost = learned(curve, rows)
    for (const count of rows) expect(Math.abs(cost.growth(1, count) / curve[count]! - 1)).toBeLessThan(tolerance)
    for (const count of rows) if (count > 1) expect(cost.growth(1, count)).toBeGreaterThan(cost.growth(1, count / 2))
  })

  test('of many rows is not taken from that of few: on a disk, the first ones cost a step each, and the last ones little', () => {
    const cost = learned({ 1: 1, 2: 1.95, 3: 2.9, 4: 3.9 }, [1, 1, 2, 3, 4])
    expect(cost.growth(1, 4)).toBeGreaterThan(3.7)
    expect(cost.growth(1, 16)).toBeLessThan(10)
  })

  test('is learned anew where it changes: what was long ago is forgotten', () => {
    const cost = learned(curves['rows for nothing'], [1, 8])
    expect(cost.growth(1, 8)).toBeLessThan(1.6)
    for (let i = 0; i < 150; i++) cost.add(i % 2 ? 8 : 1, 100 * (i % 2 ? 4.76 : 1), true)
    expect(cost.growth(1, 8)).toBeGreaterThan(4.3)
    for (let i = 0; i < 300; i++) cost.add(1, 100, true)
    expect(cost.growth(1, 8)).toBeCloseTo(8 ** 0.75, 0)
  })

  test('knows no steps of prompts, and none of many rows', () => {
    const cost = new StepCost(undefined)
    for (let i = 0; i < 50; i++) cost.add(i % 2 ? 8 : 1, 100)
    for (let i = 0; i < 50; i++) cost.add(i % 2 ? 64 : 32, 100, true)
    expect(cost.growth(1, 8)).toBeCloseTo(8 ** 0.75, 9)
    expect(cost.fewMs(1)).toBeUndefined()
  })
})

test('the time of a step of few rows is told', () => {
  const cost = learned(curves['a Mixtral in memory'], [1, 2, 4, 8, 16])
  for (const rows of rowsOf) expect(Math.abs(cost.fewMs(rows)! / (150 * curves['a Mixtral in memory'][rows]) - 1)).toBeLessThan(0.1)
})

describe('the rows of drafts', () => {
  test('are few in all where nobody has given a time', () => {
    const cost = new StepCost(undefined)
    for (let i = 0; i < 50; i++) cost.add(1, 5000, true)
    expect([1, 2, 15, 16, 17].map((decoding) => cost.draftRows(decoding))).toEqual([15, 14, 1, 0, 0])
  })

  test.each([
    [1000, 15],
    [300, 8],
    [100, 1],
    [50, 0],
    [10, 0],
  ])('are what fits into the %i ms that are given', (stepMs, most) => {
    const cost = new StepCost(stepMs)
    expect(cost.draftRows(1)).toBe(0) // not known yet
    for (let i = 0; i < 200; i++) cost.add(1 + (i % 8), 55 * (1 + (i % 8)) ** 0.75, true)
    expect(cost.draftRows(1)).toBe(most)
    if (most > 0) expect(cost.fewMs(1 + most)).toBeLessThanOrEqual(stepMs)
    if (most < 15) expect(cost.fewMs(2 + most)).toBeGreaterThan(stepMs)
  })
})
