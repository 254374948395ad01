import fc from 'fast-check'
import mistral from 'mistral-tokenizer-js'
import { expect, test } from 'vitest'
import { Tokenizer } from '../../../dist/text/tokenizer/tokenizer.js'
import { texts } from './randomTexts.js'
import { mistralMetadata } from './vocabularies.js'

const tokenizer = Tokenizer.fromGgufMetadata(mistralMetadata())

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
