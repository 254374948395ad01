import { expect, test } from 'vitest'
import { accepts, compileLanguage } from '../../../dist/text/constraint/language.js'
import { textTerm } from '../../../dist/text/tools/textMachine.js'

/** All texts of up to a length over three characters. */
function textsUpTo(length: number): string[] {
  if (length === 0) return ['']
  const shorter = textsUpTo(length - 1)
  return ['', ...['a', 'b', 'c'].flatMap((character) => shorter.map((text) => character + text))]
}
const texts = [...new Set(textsUpTo(7))]

test.each(['a', 'ab', 'aa', 'aab', 'aba', 'abab', 'aabaa', 'abcab'])('texts without, up to, and not first: %s', (trigger) => {
  const languages = {
    without: (text: string) => !text.includes(trigger),
    upTo: (text: string) => text.indexOf(trigger) === text.length - trigger.length && text.length >= trigger.length,
    notFirst: (text: string) => !text.startsWith(trigger),
  }
  for (const [kind, isIn] of Object.entries(languages)) {
    const language = compileLanguage({ compose: (grammar) => grammar.lexeme(textTerm(grammar.terms, trigger, kind as 'without')) })
    const wrong = texts.filter((text) => accepts(language, text) !== isIn(text))
    expect(wrong, kind).toEqual([])
  }
})

test('a trigger that repeats itself for longer than a byte can count', () => {
  const trigger = `${'a'.repeat(300)}b`
  const language = compileLanguage({ compose: (grammar) => grammar.lexeme(textTerm(grammar.terms, trigger, 'without')) })
  expect(accepts(language, 'a'.repeat(400))).toBe(true)
  expect(accepts(language, `${'a'.repeat(310)}b`)).toBe(false)
  expect(accepts(language, `${'a'.repeat(299)}b`)).toBe(true)
})
