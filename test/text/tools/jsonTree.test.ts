import fc from 'fast-check'
import { expect, test } from 'vitest'
import { JsonNumber, type JsonTree, jsonTree, treeLength } from '../../../dist/text/tools/jsonTree.js'
import { parseTree, plainTree, spacedJson } from '../../../dist/text/tools/plainJson.js'

/** The tree as JSON.parse has it, but for objects, which are lists of members. */
function plain(tree: JsonTree): unknown {
  if (tree instanceof JsonNumber) return Number(tree.text)
  if (tree instanceof Map) return [...tree].map(([key, value]) => [key, plain(value)])
  return Array.isArray(tree) ? tree.map(plain) : tree
}

function members(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(members)
  return typeof value === 'object' && value !== null ? Object.entries(value).map(([key, item]) => [key, members(item)]) : value
}

test('a tree has the values that JSON.parse has, whatever the white space', () => {
  const value = fc.jsonValue()
  fc.assert(
    fc.property(value, fc.constantFrom(undefined, 1, '\t', '\r\n '), (value, space) => {
      const text = JSON.stringify(value, undefined, space).replaceAll('\r', ' ')
      const tree = jsonTree(text)
      expect(plain(tree)).toEqual(members(JSON.parse(text.toWellFormed())))
      expect(3 * treeLength(tree) + 9).toBeGreaterThan(JSON.stringify(value).length / 6)
    }),
    { numRuns: 1000 },
  )
})

test('numbers keep their digits, and members their order', () => {
  const text = '{"10": 1.0, "9": 12345678901234567890123, "a": -0, "": [1e5, 1E-2, 1.50], "__proto__": {}}'
  expect(spacedJson(parseTree(text, 'it', 'TEMPLATE'))).toBe(text)
  const tree = jsonTree(text) as ReadonlyMap<string, JsonTree>
  expect([...tree.keys()]).toEqual(['10', '9', 'a', '', '__proto__'])
  expect([...tree.values()].slice(0, 3).map((each) => (each as JsonNumber).isWhole)).toEqual([false, true, true])
})

test('of two members of one name the last counts, at the place of the first', () => {
  expect(spacedJson(jsonTree('{"a":1,"b":2,"a":3}'))).toBe('{"a": 3, "b": 2}')
})

test('texts are well-formed', () => {
  expect(jsonTree('["\\ud83d", "\\ud83d\\ude00\\"\\\\"]')).toEqual(['\ufffd', '\u{1f600}"\\'])
})

test('what is no JSON, too long or too deep is refused', () => {
  for (const text of ['{"a":}', '[1 2]', '01', '"\\x"', '', '[1,]', 'NaN'])
    expect(() => parseTree(text, 'it', 'TEMPLATE'), text).toThrow('it is not JSON')
  expect(() => parseTree('['.repeat(61), 'it', 'TEMPLATE')).toThrow('nests more than 60')
  expect(() => parseTree(' '.repeat(1_000_001), 'it', 'TEMPLATE')).toThrow('expected at most')
  expect(() => plainTree({ a: 1n }, 'it', 'TEMPLATE')).toThrow('it is not plain JSON')
})

test('a long text takes time by its length', () => {
  const text = `{"a": ${JSON.stringify('\\"x'.repeat(120_000))}, "b": [${'1, '.repeat(60_000)}1]}`
  const before = process.cpuUsage()
  for (let i = 0; i < 5; i++) jsonTree(text)
  const { user, system } = process.cpuUsage(before)
  expect((user + system) / 1e6).toBeLessThan(3)
})
