import { expect, test } from 'vitest'
import { nearNames } from '../../dist/base/nearNames.js'
import { wellKnownNames } from '../../dist/registry/names/nearNames.js'

test.each([
  ['mixtrall:8x7b', 'mixtral:8x7b'],
  ['mixtral:8x7', 'mixtral:8x7b'],
  ['Mixtral:8x22B', 'mixtral:8x22b'],
  ['mixtral:8x7b-instruct-v0.1-q4_k_m', 'mixtral:8x7b-instruct-v0.1-q4_K_M'],
  ['mixtral:8x7b-instruct-v0.1-q4km', 'mixtral:8x7b-instruct-v0.1-q4_K_M'],
  ['dolphin-mixtral:8x7', 'dolphin-mixtral:8x7b'],
])('near %s is %s', (name, near) => {
  expect(nearNames(name, wellKnownNames)).toContain(near)
})

test('nothing is suggested for what is like nothing', () => {
  expect(nearNames('gpt-oss:120b', wellKnownNames)).toEqual([])
})

test('at most three are suggested, and never the name itself', () => {
  const near = nearNames('mixtral:8x7b', wellKnownNames)
  expect(near.length).toBeLessThanOrEqual(3)
  expect(near).not.toContain('mixtral:8x7b')
})
