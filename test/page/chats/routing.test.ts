import { expect, test } from 'vitest'
import { balanceOf, Routing } from '../../../page/chats/routing.js'

/** Two layers of four experts, two at work: tokens "a", a half character, "é". */
function sample(start = 0): Routing {
  const routing = new Routing(2, 4, 2, start)
  const halves = [
    [0.75, 0.25],
    [0.5, 0.5],
  ]
  routing.add(
    [
      [0, 1],
      [2, 3],
    ],
    halves,
    start + 1,
  )
  routing.add(
    [
      [0, 2],
      [3, 2],
    ],
    halves,
    start + 1,
  )
  routing.add(
    [
      [3, 0],
      [2, 1],
    ],
    halves,
    start + 2,
  )
  return routing
}

test('tokens have their experts, weights and places in the text', () => {
  const routing = sample(5)
  expect(routing.at(2, 0).map(({ expert }) => expert)).toEqual([3, 0])
  expect(routing.at(2, 0).map(({ weight }) => Number(weight.toFixed(4)))).toEqual([0.75, 0.25])
  expect(routing.first(1, 1)).toBe(3)
  expect([0, 1, 2].map((token) => routing.span(token))).toEqual([
    [5, 6],
    [6, 6],
    [6, 7],
  ])
})

test('uses are counted by layer and expert, and the shares of a layer are 1 together', () => {
  const routing = sample()
  expect([...routing.counts]).toEqual([3, 1, 1, 1, 0, 1, 3, 2])
  expect(routing.shares(0)).toEqual([3 / 6, 1 / 6, 1 / 6, 1 / 6])
  expect(new Routing(1, 4, 2).shares(0)).toEqual([0, 0, 0, 0])
})

test('it grows beyond its first room, and is the same after it was stored', () => {
  const routing = new Routing(3, 8, 2)
  for (let token = 0; token < 1000; token++) {
    const ids = [0, 1, 2].map((layer) => [(token + layer) % 8, (token + layer + 3) % 8])
    routing.add(
      ids,
      [
        [0.6, 0.4],
        [0.7, 0.3],
        [1, 0],
      ],
      token + 1,
    )
  }
  const again = Routing.from(structuredClone(routing.stored()))
  expect(again.length).toBe(1000)
  expect(again.at(999, 2)).toEqual(routing.at(999, 2))
  expect(again.counts).toEqual(routing.counts)
  again.add(
    [
      [1, 2],
      [3, 4],
      [5, 6],
    ],
    [
      [1, 0],
      [1, 0],
      [1, 0],
    ],
    1001,
  )
  expect(again.first(1000, 2)).toBe(5)
})

test.each([
  ['arrays of other lengths', { ids: new Uint16Array(3) }],
  ['an expert that is none', { ids: new Uint16Array(12).fill(4) }],
  ['an end before the beginning', { ends: Uint32Array.of(3, 2, 4) }],
])('%s are refused', (_, wrong) => {
  expect(() => Routing.from({ ...sample().stored(), ...wrong })).toThrow(TypeError)
})

test.each([
  [[1, 0, 0, 0], 1, 4],
  [[0.25, 0.25, 0.25, 0.25], 4, 1],
  [[0.5, 0.5, 0, 0], 2, 2],
  [[0, 0, 0, 0], 0, 0],
])('shares of %j are as diverse as %d experts', (shares, effective, most) => {
  expect(balanceOf(shares).effective).toBeCloseTo(effective, 10)
  expect(balanceOf(shares).most).toBe(most)
})
