// Reading SentencePiece models: what is refused, and that no bytes do worse than that.

import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { readSentencePieceModel } from '../../../dist/authoring/convert/sentencePieceModel.js'
import { MixtralError } from '../../../dist/base/errors.js'
import { tokenizerModel } from './sourceModel.js'

const bytes = new Uint8Array(readFileSync(tokenizerModel))
const text = (value: string) => new TextEncoder().encode(value)

/**
 * A field of a message: a number as a varint, bytes or another message's fields behind their length. All lengths here
 * are below 128.
 */
function field(number: number, value: number | Uint8Array | readonly number[]): number[] {
  const key = number * 8 + (typeof value === 'number' ? 0 : 2)
  const keyBytes = key < 128 ? [key] : [(key & 127) | 128, key >> 7]
  return typeof value === 'number' ? [...keyBytes, value] : [...keyBytes, value.length, ...value]
}

const BPE = field(2, field(3, 2))
const PLAIN = field(3, [...field(3, 1), ...field(4, 0)])
const PIECE = field(1, field(1, text('a')))

const read = (...parts: readonly number[][]) => readSentencePieceModel(Uint8Array.from(parts.flat()), 'm')

test('a model of one piece is read, with the defaults of the format', () => {
  expect(read(PIECE, BPE, PLAIN)).toEqual({
    file: 'm',
    tokens: [{ piece: 'a', score: 0, type: 1 }],
    addSpacePrefix: true,
    special: { unknown: 0 },
  })
  expect(read(PIECE, BPE, field(3, [...field(3, 0), ...field(4, 0)])).addSpacePrefix).toBe(false)
})

const faults: Record<string, [parts: number[][], code: string, message: string]> = {
  'a unigram model': [[PIECE, PLAIN], 'UNSUPPORTED', 'm: a SentencePiece model of type 1, expected 2, BPE'],
  'a model whose type is a text': [
    [PIECE, field(2, field(3, text('x'.repeat(99)))), PLAIN],
    'UNSUPPORTED',
    'm: a SentencePiece model of type 99 bytes, expected 2, BPE',
  ],
  'a piece whose type is a text': [
    [field(1, [...field(1, text('a')), ...field(3, text('x'.repeat(99)))]), BPE, PLAIN],
    'CHECKPOINT',
    'm: type 99 bytes, expected 1 to 6 (piece 0)',
  ],
  'spaces behind words': [
    [PIECE, field(2, [...field(3, 2), ...field(24, 1)]), PLAIN],
    'UNSUPPORTED',
    'm: a SentencePiece model that puts spaces behind words, which tokenizers of GGUF files do not',
  ],
  'replaced characters': [
    [PIECE, BPE, field(3, [...field(2, [1, 2]), ...field(4, 0)])],
    'UNSUPPORTED',
    'm: a SentencePiece model that replaces characters, which tokenizers of GGUF files do not',
  ],
  'removed spaces': [
    [PIECE, BPE],
    'UNSUPPORTED',
    'm: a SentencePiece model that removes repeated spaces, which tokenizers of GGUF files do not',
  ],
  'spaces that stay': [
    [PIECE, BPE, field(3, [...field(4, 0), ...field(5, 0)])],
    'UNSUPPORTED',
    'm: a SentencePiece model that leaves spaces as they are, which tokenizers of GGUF files do not',
  ],
  'a piece without a text': [[field(1, []), BPE, PLAIN], 'CHECKPOINT', 'm: no text (piece 0)'],
  'a piece of type 7': [
    [field(1, [...field(1, text('a')), ...field(3, 7)]), BPE, PLAIN],
    'CHECKPOINT',
    'm: type 7, expected 1 to 6 (piece 0)',
  ],
  'a piece that is not UTF-8': [
    [field(1, field(1, [0xc3, 0x28])), BPE, PLAIN],
    'CHECKPOINT',
    'm: a text that is not valid UTF-8 (piece 0)',
  ],
  'a score that is not a number': [
    [field(1, [...field(1, text('a')), 0x15, 0, 0, 0xc0, 0x7f]), BPE, PLAIN],
    'CHECKPOINT',
    'm: a score that is not a number (piece 0)',
  ],
  'an end within a field': [
    [[0x0a, 100, 1]],
    'CHECKPOINT',
    'm: has a field of 100 bytes at byte 2, but ends after 1: not a SentencePiece model',
  ],
  'an end within a number': [[[0x80]], 'CHECKPOINT', 'm: ends within a number: not a SentencePiece model'],
  'a number without end': [
    [new Array(20).fill(0xff)],
    'CHECKPOINT',
    'm: has a number of more than ten bytes before byte 10: not a SentencePiece model',
  ],
}

test.each(Object.entries(faults))('%s is refused', (_, [parts, code, message]) => {
  const error = (() => {
    try {
      return read(...parts)
    } catch (caught) {
      return caught
    }
  })()
  expect(error).toBeInstanceOf(MixtralError)
  expect(error).toMatchObject({ code, message })
})

test('whatever bytes are changed or missing, the model is read or refused', () => {
  const at = fc.nat(bytes.length - 1)
  fc.assert(
    fc.property(fc.array(fc.tuple(at, fc.nat(255)), { maxLength: 5 }), at, (changes, cut) => {
      const changed = bytes.slice(0, Math.max(1, cut))
      for (const [place, value] of changes) if (place < changed.length) changed[place] = value
      try {
        expect(readSentencePieceModel(changed, 'm').tokens.length).toBeGreaterThan(0)
      } catch (error) {
        if (!(error instanceof MixtralError)) throw error
      }
    }),
    { numRuns: 500 },
  )
})

test('a pointer and a page in place of a model are named as such', () => {
  const found = (start: string) => () => readSentencePieceModel(text(start), 'm')
  expect(found('version https://git-lfs.github.com/spec/v1\n')).toThrow(/Git LFS pointer/)
  expect(found('<!DOCTYPE html>')).toThrow(/web page/)
})
