// Regular expressions as constraints, against JavaScript's own.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { accepts, compileLanguage } from '../../../dist/text/constraint/language.js'

const atom = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom('a', 'b', 'c', 'é', '日', '😀', '-', '/') },
  {
    weight: 3,
    arbitrary: fc.constantFrom(...'. [ab] [^a] [a-cé] \\d \\w \\s \\S [\\d-] \\. \\n \\x61 \\u0062 \\u{1F600} [^]'.split(' ')),
  },
)
const { pattern } = fc.letrec<{ pattern: string; sequence: string; item: string }>((tie) => ({
  pattern: fc.oneof(
    { weight: 4, arbitrary: tie('sequence') },
    { weight: 1, arbitrary: fc.tuple(tie('sequence'), tie('sequence')).map(([a, b]) => `${a}|${b}`) },
  ),
  sequence: fc.array(tie('item'), { maxLength: 4 }).map((items) => items.join('')),
  item: fc.oneof(
    { depthSize: 'small' },
    atom,
    fc.tuple(atom, fc.constantFrom('*', '+', '?', '{2}', '{1,}', '{0,2}', '*?')).map(([a, b]) => a + b),
    fc.tuple(tie('pattern'), fc.constantFrom('', '*', '+', '?', '{1,3}')).map(([inner, count]) => `(?:${inner})${count}`),
    fc.constantFrom('^', '$'),
  ),
}))
const text = fc.string({
  unit: fc.constantFrom('a', 'b', 'c', 'é', '日', '😀', '-', '/', '.', '1', ' ', '\n', '"', '\\', '\u2028'),
  maxLength: 6,
})

/** `(?:...)*` with an anchor within is refused, as is a repeated anchor. */
function compiled(spec: Parameters<typeof compileLanguage>[0]): ReturnType<typeof compileLanguage> | undefined {
  try {
    return compileLanguage(spec)
  } catch {
    return undefined
  }
}

test('a regex matches whole texts as JavaScript does', () => {
  let compared = 0
  fc.assert(
    fc.property(pattern, fc.array(text, { minLength: 8, maxLength: 8 }), (source, texts) => {
      const language = compiled({ regex: source })
      const expected = new RegExp(`^(?:${source})$`, 'u')
      if (language === undefined) return
      compared++
      for (const sample of texts) expect(accepts(language, sample), `${source} on ${JSON.stringify(sample)}`).toBe(expected.test(sample))
    }),
    { numRuns: 1000 },
  )
  expect(compared).toBeGreaterThan(700)
})

test('a pattern of a JSON Schema matches parts of texts as JavaScript does, and its strings are escaped', () => {
  let compared = 0
  fc.assert(
    fc.property(pattern, fc.nat({ max: 3 }), fc.array(text, { minLength: 8, maxLength: 8 }), (source, minLength, texts) => {
      const language = compiled({ jsonSchema: { type: 'string', pattern: source, minLength, maxLength: 5 } })
      if (language === undefined) return
      compared++
      for (const sample of texts) {
        const { length } = [...sample]
        const expected = length >= minLength && length <= 5 && new RegExp(source, 'u').test(sample)
        expect(accepts(language, JSON.stringify(sample)), `${source} on ${JSON.stringify(sample)}`).toBe(expected)
      }
    }),
    { numRuns: 500 },
  )
  expect(compared).toBeGreaterThan(300)
})

test.each([
  ['a(?=b)', 'UNSUPPORTED', 'look-around at character 4'],
  ['(?<!a)b', 'UNSUPPORTED', 'look-around'],
  ['(a)\\1', 'UNSUPPORTED', 'a back-reference'],
  ['\\bword', 'UNSUPPORTED', 'a word boundary'],
  ['\\p{L}+', 'UNSUPPORTED', 'a Unicode property'],
  ['(^a|b)*', 'UNSUPPORTED', 'an anchor inside a repeat'],
  ['a{2000000}', 'UNSUPPORTED', 'a repeat of more than 1000000'],
  [`${'('.repeat(101)}a${')'.repeat(101)}`, 'UNSUPPORTED', 'more than 100 groups'],
  ['a'.repeat(20001), 'UNSUPPORTED', 'a pattern of more than 20000 characters'],
  ['a**', 'OPTION', 'a repeat of a repeat'],
  ['*a', 'OPTION', 'nothing to repeat before *'],
  ['(a', 'OPTION', 'expected )'],
  ['a)', 'OPTION', 'found )'],
  ['[b-a]', 'OPTION', 'a range of characters whose end is before its start'],
  ['[a', 'OPTION', 'expected ] to close the class'],
  ['a{3,2}', 'OPTION', 'a repeat from 3 to 2'],
  ['\\q', 'OPTION', 'unknown escape \\q'],
  ['\\u12', 'OPTION', 'expected 4 hex digits'],
  ['[^\\s\\S]', 'OPTION', 'matches no text'],
  ['a$b', 'OPTION', 'matches no text'],
])('the regex %s is refused: %s, %s', (regex, code, message) => {
  expect(() => compileLanguage({ regex })).toThrow(expect.objectContaining({ code, message: expect.stringContaining(message) }))
})

test('counts up to a million cost no more than small ones', () => {
  const language = compileLanguage({ regex: '[a-z]{3,1000000}' })
  expect(['ab', 'abc', 'a'.repeat(5000), 'abC'].map((sample) => accepts(language, sample))).toEqual([false, true, true, false])
})
