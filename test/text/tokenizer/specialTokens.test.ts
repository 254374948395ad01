import fc from 'fast-check'
import { expect, test } from 'vitest'
import { SpecialTokens } from '../../../dist/text/tokenizer/specialTokens.js'

/** The definition: at each place from the left, the longest text. */
function splitPlainly(texts: readonly string[], text: string): (string | number)[] {
  const parts: (string | number)[] = []
  let plain = ''
  for (let at = 0; at < text.length; ) {
    const found = texts.filter((each) => text.startsWith(each, at)).sort((a, b) => b.length - a.length)[0]
    if (found === undefined) plain += text[at++]
    else {
      if (plain !== '') parts.push(plain)
      plain = ''
      parts.push(texts.indexOf(found))
      at += found.length
    }
  }
  return plain === '' ? parts : [...parts, plain]
}

function specialTokens(texts: readonly string[]): SpecialTokens {
  const special = new SpecialTokens()
  texts.forEach((text, id) => {
    special.add(text, id)
  })
  return special
}

test('a text splits at the left-most tokens, the longest of each place, in every vocabulary', () => {
  const word = fc.string({ unit: fc.constantFrom('a', 'b', '<', '\u{1f600}'), minLength: 1, maxLength: 6 })
  fc.assert(
    fc.property(
      fc.array(word, { maxLength: 12 }),
      fc.string({ unit: fc.constantFrom('a', 'b', '<', '\u{1f600}'), maxLength: 60 }),
      (texts, text) => {
        expect(specialTokens(texts).split(text)).toEqual(splitPlainly(texts, text))
      },
    ),
    { numRuns: 2000 },
  )
})

test('tokens of all lengths that almost begin everywhere cost no more than others', () => {
  const special = specialTokens(Array.from({ length: 255 }, (_, index) => `${'a'.repeat(index + 1)}b`))
  const text = 'a'.repeat(2 ** 20)
  const before = process.cpuUsage()
  expect(special.split(text)).toEqual([text])
  const { user, system } = process.cpuUsage(before)
  expect((user + system) / 1e6).toBeLessThan(3) // slices of each length at each place took half a minute
})

test('tokens that are too long together are refused', () => {
  const special = new SpecialTokens()
  const add = () => {
    for (let id = 0; id < 10_000; id++) special.add(`${id}${'x'.repeat(250)}${id}`, id)
  }
  expect(add).toThrow('characters of all control and user-defined tokens')
}, 30_000)
