import { expect, test } from 'vitest'
import { camelCase, meantOption, nearNames } from '../../dist/base/nearNames.js'
import { wellKnownNames } from '../../dist/registry/names/modelName.js'

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

test('a list of a million names takes no more steps than one of thousands', () => {
  const many = Array.from({ length: 200_000 }, (_, n) => `a-very-long-name-of-a-model-number-${n}`)
  const began = process.cpuUsage()
  expect(nearNames('a-very-long-name-of-a-model-number', ['a-very-long-name-of-a-model-numbe', ...many])).toHaveLength(3)
  const { user, system } = process.cpuUsage(began)
  expect((user + system) / 1e6).toBeLessThan(2) // seconds of the processor; without the bound some ten
})

test('a name of nothing but lines is looked at once', () => {
  const began = process.cpuUsage()
  expect(meantOption('_'.repeat(500_000), ['seed'])).toBeUndefined()
  const { user, system } = process.cpuUsage(began)
  expect((user + system) / 1e6).toBeLessThan(1) // from each of the lines on, it took minutes
  expect(['max_tokens', 'a__b', '_a', 'a_', 'a_1', '__'].map(camelCase)).toEqual(['maxTokens', 'aB', 'A', 'a_', 'a_1', '__'])
})

test('at most three are suggested, and never the name itself', () => {
  const near = nearNames('mixtral:8x7b', wellKnownNames)
  expect(near.length).toBeLessThanOrEqual(3)
  expect(near).not.toContain('mixtral:8x7b')
})
