import { expect, test } from 'vitest'
import { joined, PastedText } from '../../../dist/interfaces/cli/pastedText.js'

const begin = '\x1b[200~'
const end = '\x1b[201~'

test('what is typed passes, keys with escapes too', () => {
  const pasted = new PastedText()
  for (const keys of ['a', '\r', '\x1b', '\x1b[A', 'b\nc']) expect(pasted.push(keys)).toBe(keys)
})

test('a marked paste is one line, and has its line ends again in the end', () => {
  const text = new PastedText().push(`x${begin}a\r\nb\rc\nd\n${end}\r`)
  for (const sign of ['\n', '\x1b']) expect(text).not.toContain(sign)
  expect(joined(text.slice(0, -1))).toBe('xa\nb\nc\nd')
})

test.each([2, 3, 4, 5, 6])('a mark may come in two parts, cut behind %i characters', (cut) => {
  const pasted = new PastedText()
  const sent = `a${begin}b\nc${end}d`
  const open = sent.indexOf(begin) + cut
  const close = sent.indexOf(end) + cut
  const read = [sent.slice(0, open), sent.slice(open, close), sent.slice(close)].map((part) => pasted.push(part)).join('')
  expect(joined(read)).toBe('ab\ncd')
})
