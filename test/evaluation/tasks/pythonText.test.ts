// What Python does with texts, as far as prompts depend on it. Expected values: Python 3.11.

import { expect, test } from 'vitest'
import { capitalize, characters, strip, trailingSpaces } from '../../../dist/evaluation/tasks/pythonText.js'

test.each([
  ['', ''],
  ['she', 'She'],
  ['HE SAID', 'He said'],
  ['the Old MAN', 'The old man'],
  ['éCOLE', 'École'],
  ['ßx', 'Ssx'],
  ['ǆABC', 'ǅabc'],
  ['İX', 'İx'],
  ['ΑΣ', 'Ας'],
  ['ﬁN', 'Fin'],
  ['აბ', 'აბ'],
  ['ŉA', 'ʼNa'],
  ['𐐨𐐀', '𐐀𐐨'],
  ['9TH', '9th'],
])('%j.capitalize() is %j', (text, capital) => {
  expect(capitalize(text)).toBe(capital)
})

test.each([
  [' a b \n', 'a b', 2],
  ['\x1c\x85a\u3000', 'a', 1],
  ['\ufeffa\ufeff', '\ufeffa\ufeff', 0],
  [' \t ', '', 3],
  ['\u200ba', '\u200ba', 0],
])('%j.strip() is %j, with %i spaces behind', (text, stripped, behind) => {
  expect(strip(text)).toBe(stripped)
  expect(trailingSpaces(text)).toBe(behind)
})

test('a length counts code points: neither UTF-16 units nor bytes nor what looks like one', () => {
  expect(['', 'abc', 'é', 'e\u0301', '🎵🎵', '日本', '👩‍🚀'].map(characters)).toEqual([0, 3, 1, 2, 2, 2, 3])
})
