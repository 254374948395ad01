// The map of pairs: what is stored is found, and pairs that are chosen to collide do not collide for others.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { hashPair, PairMap, randomSeed } from '../../../dist/text/tokenizer/pairMap.js'

test('what was stored last is found, and nothing else', () => {
  const number = fc.integer({ min: 0, max: 40 })
  fc.assert(
    fc.property(fc.array(fc.tuple(number, number, fc.nat()), { maxLength: 400 }), (entries) => {
      const pairs = new PairMap()
      const expected = new Map<string, number>()
      for (const [left, right, value] of entries) {
        pairs.set(left, right, value)
        expected.set(`${left} ${right}`, value)
      }
      for (let left = 0; left <= 40; left++) {
        for (let right = 0; right <= 40; right++) expect(pairs.get(left, right)).toBe(expected.get(`${left} ${right}`) ?? -1)
      }
    }),
    { numRuns: 30 },
  )
})

test('pairs whose slots are alike for one seed are spread by others', () => {
  const chosen = randomSeed()
  const alike: [number, number][] = []
  for (let left = 0; alike.length < 512; left++) {
    for (let right = 0; right < 32_000; right++) if ((hashPair(left, right, chosen) & 0xffff) < 8) alike.push([left, right])
  }
  for (let run = 0; run < 20; run++) {
    const seed = randomSeed()
    const slots = new Set(alike.map(([left, right]) => hashPair(left, right, seed) & 0xffff))
    expect(slots.size).toBeGreaterThan(alike.length * 0.9)
  }
})

test.each([
  ['one left', (i: number) => [0, i] as const],
  ['one right', (i: number) => [i, 7] as const],
  ['steps of 2^16', (i: number) => [(i % 16) << 16, i << 4] as const],
  ['equal sides', (i: number) => [i, i] as const],
])('pairs in a row are spread: %s', (_, pair) => {
  for (let run = 0; run < 20; run++) {
    const seed = randomSeed()
    const slots = new Set(Array.from({ length: 1024 }, (_, i) => hashPair(...pair(i), seed) & 0xffff))
    expect(slots.size).toBeGreaterThan(950)
  }
})
