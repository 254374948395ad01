import { expect, test } from 'vitest'
import { MixtralError, quoted } from '../../dist/base/errors.js'
import { limits } from '../../dist/base/limits.js'
import { PlainStream, plainJson, plainLine, plainText, quotedText, shortened } from '../../dist/base/terminalText.js'

const everyUnit = Array.from({ length: 0x10000 }, (_, unit) => String.fromCharCode(unit))
/** What a terminal may obey, by Unicode's own properties. */
const obeyed = /[\p{Cc}\p{Bidi_Control}\p{Zl}\p{Zp}]/u
const isObeyed = (c: string) => obeyed.test(c) && c !== '\t' && c !== '\n'

test('no character that a terminal may obey is left, and the others are', () => {
  const left = everyUnit.filter((c) => isObeyed(c) && obeyed.test(plainText(c)))
  expect(left).toEqual([])
  const kept = everyUnit.filter((c) => plainText(c) === c).length
  expect(kept).toBeGreaterThan(0x10000 - 0x800 - 120) // all but halves of pairs, and these
  expect(plainText('\tA tab,\nJosé, 東京, 👩‍👩‍👧, עברית\r\nend')).toBe('\tA tab,\nJosé, 東京, 👩‍👩‍👧, עברית\nend')
})

test('what must stay on its line does, and quoted text and JSON mean the same', () => {
  const all = everyUnit.join('').toWellFormed()
  for (const text of [plainLine(all), quotedText(all, 1e6), plainJson(JSON.stringify(all))]) expect(obeyed.test(text)).toBe(false)
  expect(JSON.parse(plainJson(JSON.stringify(all)))).toBe(all)
  expect(JSON.parse(quotedText(all, 1e6))).toBe(all)
})

test('pieces of a stream are escaped as the whole is', () => {
  const text = 'a\r\nb\rc\x1b[2J\r\n\u202ed\r'
  for (let size = 1; size <= text.length; size++) {
    const stream = new PlainStream()
    let out = ''
    for (let at = 0; at < text.length; at += size) out += stream.next(text.slice(at, at + size))
    expect(out).toBe('a\nb\\u000dc\\u001b[2J\n\\u202ed') // nobody needs the last return
  }
})

test('an error fits on a screen and cannot drive a terminal, whatever its message holds', () => {
  const error = new MixtralError('IO', `${'\u009b2J'.repeat(100_000)}, expected a name`)
  expect(error.message.length).toBe(limits.errorText.most)
  expect(error.message).toMatch(/^\\u009b2J.*\.\.\. .*, expected a name$/)
  expect(quoted('\u202ea\u007f')).toBe('"\\u202ea\\u007f"')
  expect(shortened('abc', 3)).toBe('abc')
})
