import fc from 'fast-check'
import mistral from 'mistral-tokenizer-js'
import { expect, test } from 'vitest'
import { Tokenizer } from '../../dist/tokenizer/tokenizer.js'
import { mistralMetadata } from './vocabularies.js'

const tokenizer = Tokenizer.fromGgufMetadata(mistralMetadata())

const fragments = fc.oneof(
  fc.constantFrom(
    'the',
    'ing',
    'Hello',
    ' world',
    'function',
    'return',
    ' = ',
    '===',
    '{',
    '}',
    '();',
    '//',
    '0',
    '12',
    '3.14',
    '_',
    '-',
    'naïve',
  ),
  fc.constantFrom(' ', '  ', '   ', '        ', '\n', '\n\n', '\r\n', '\t', '\t\t', '\u00a0', '\u200b', '▁', '\0', '\ufeff'),
  fc.constantFrom(
    '漢字',
    '日本語のテキスト',
    'Ελληνικά',
    'русский',
    'العربية',
    'עברית',
    'हिन्दी',
    '한국어',
    '🙂',
    '👩‍👩‍👧‍👦',
    '🇫🇷',
    '𝔘𝔫𝔦',
    '½',
    'ﬁ',
  ),
  fc.constantFrom('[INST]', '[/INST]', '<s>', '</s>', '<unk>', '<0x41>', '<|im_start|>'),
  fc.string({ unit: 'binary', maxLength: 4 }),
  fc.string({ maxLength: 12 }),
  fc.string({ unit: fc.constantFrom('a', 'b', 'e', 's', ' ', '▁'), maxLength: 20 }),
)
const texts = fc.array(fragments, { minLength: 1, maxLength: 24 }).map((parts) => parts.join(''))

test('the Mistral vocabulary encodes 3,000 random texts as mistral-tokenizer-js does', () => {
  fc.assert(
    fc.property(texts, (text) => {
      fc.pre(text !== '')
      expect(tokenizer.encode(text)).toEqual(mistral.encode(text))
    }),
    { numRuns: 3000, seed: 20240101 },
  )
})

test('the Mistral vocabulary encodes long runs of one character as mistral-tokenizer-js does', () => {
  for (const unit of [' ', '=', 'a', 'ab', '\n', '🙂', '-', 'ha', '0']) {
    for (const count of [2, 3, 5, 16, 17, 33, 100]) {
      expect(tokenizer.encode(unit.repeat(count)), `${JSON.stringify(unit)} x ${count}`).toEqual(mistral.encode(unit.repeat(count)))
    }
  }
})

test('a published text has its published ids', () => {
  expect(tokenizer.encode('Hello')).toEqual([1, 22557])
  expect(tokenizer.encode('           grabbed')).toEqual([1, 17422, 13300])
  expect(tokenizer.encode('🦙Ꙋ', { addBos: false })).toEqual([28705, 243, 162, 169, 156, 237, 156, 141])
})

test('a megabyte without a place to cut is encoded whole', () => {
  const ids = tokenizer.encode('='.repeat(1_000_000), { addBos: false })
  expect(tokenizer.decode(ids)).toBe('='.repeat(1_000_000))
})
