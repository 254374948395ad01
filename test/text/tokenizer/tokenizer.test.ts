import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Tokenizer } from '../../../dist/text/tokenizer/tokenizer.js'
import { type Entry, metadataOf, mistralMetadata, normal } from './vocabularies.js'

const FIRST = 259 // id of the first entry after the byte tokens

/** Ids as pieces, for readable expectations. */
function piecesOf(tokenizer: Tokenizer, ids: readonly number[]): string[] {
  return ids.map((id) => tokenizer.token(id).piece)
}

function tokenizerOf(entries: readonly Entry[], extra: Parameters<typeof metadataOf>[1] = {}): Tokenizer {
  return Tokenizer.fromGgufMetadata(metadataOf(entries, { add_bos_token: false, ...extra }))
}

const letters = normal('▁', 'a', 'b', 'c')

test('the pair with the highest score merges first', () => {
  const tokenizer = tokenizerOf([...letters, ['ab', 1, -20], ['bc', 1, -10]])
  expect(piecesOf(tokenizer, tokenizer.encode('abc'))).toEqual(['▁', 'a', 'bc'])
})

test('of pairs with equal scores the left-most merges first', () => {
  const tokenizer = tokenizerOf([...letters, ['ab', 1, -10], ['bc', 1, -10], ['aa', 1, -10]])
  expect(piecesOf(tokenizer, tokenizer.encode('abc'))).toEqual(['▁', 'ab', 'c'])
  expect(piecesOf(tokenizer, tokenizer.encode('aaa'))).toEqual(['▁', 'aa', 'a'])
})

test('a piece is made from any cut whose parts exist', () => {
  const tokenizer = tokenizerOf([...letters, ['bc', 1, -10], ['abc', 1, -20]])
  expect(piecesOf(tokenizer, tokenizer.encode('abc'))).toEqual(['▁', 'abc'])
})

test('a character that has no token of its own still merges', () => {
  const tokenizer = tokenizerOf([...letters, ['xa', 1, -10]])
  expect(piecesOf(tokenizer, tokenizer.encode('xax'))).toEqual(['▁', 'xa', '<0x78>'])
})

test('pieces may reach over spaces', () => {
  const tokenizer = tokenizerOf([...letters, ['a▁', 1, -10], ['a▁b', 1, -11]])
  expect(piecesOf(tokenizer, tokenizer.encode('a b'))).toEqual(['▁', 'a▁b'])
})

test('an unknown character becomes its bytes', () => {
  const tokenizer = tokenizerOf(letters)
  expect(piecesOf(tokenizer, tokenizer.encode('é'))).toEqual(['▁', '<0xC3>', '<0xA9>'])
})

test('an unknown character becomes the unknown token when a byte is missing', () => {
  const metadata = metadataOf(letters, { add_bos_token: false })
  const types = metadata.get('tokenizer.ggml.token_type') as number[]
  types[3 + 0xa9] = 5
  const tokenizer = Tokenizer.fromGgufMetadata(metadata)
  expect(piecesOf(tokenizer, tokenizer.encode('é'))).toEqual(['▁', '<unk>'])
})

test('half a surrogate pair becomes U+FFFD', () => {
  const tokenizer = tokenizerOf(letters)
  expect(tokenizer.encode('a\ud800')).toEqual(tokenizer.encode('a\ufffd'))
})

test('the empty text has no tokens but BOS', () => {
  expect(tokenizerOf(letters).encode('')).toEqual([])
  expect(tokenizerOf(letters).encode('', { addBos: true })).toEqual([1])
})

test('no space is put first when the file says so', () => {
  const tokenizer = tokenizerOf(letters, { add_space_prefix: false })
  expect(piecesOf(tokenizer, tokenizer.encode('a b'))).toEqual(['a', '▁', 'b'])
  expect(tokenizer.decode(tokenizer.encode(' a'))).toBe(' a')
})

test('BOS is added as the file says, and the call decides', () => {
  expect(tokenizerOf(letters, { add_bos_token: true }).encode('a')[0]).toBe(1)
  expect(tokenizerOf(letters, { add_bos_token: undefined }).encode('a')[0]).toBe(1)
  expect(tokenizerOf(letters, { add_bos_token: true }).encode('a', { addBos: false })[0]).not.toBe(1)
})

test('control tokens are text unless special parsing is asked for', () => {
  const tokenizer = tokenizerOf(normal('▁', '<', '/', 's', '>'))
  expect(piecesOf(tokenizer, tokenizer.encode('</s>'))).toEqual(['▁', '<', '/', 's', '>'])
  expect(tokenizer.encode('</s>', { parseSpecial: true })).toEqual([2])
})

test('merges never make a control token', () => {
  const tokenizer = tokenizerOf(normal('▁', '<', 's', '>', '<s', 's>'))
  expect(piecesOf(tokenizer, tokenizer.encode('<s>'))).toEqual(['▁', '<s', '>'])
})

test('the text after a special token gets a space of its own', () => {
  const tokenizer = tokenizerOf(letters)
  expect(piecesOf(tokenizer, tokenizer.encode('<s>a</s> b', { parseSpecial: true }))).toEqual(['<s>', '▁', 'a', '</s>', '▁', '▁', 'b'])
})

test('the longest special token wins where several begin', () => {
  const tokenizer = tokenizerOf([...letters, ['<|a', 3, 0], ['<|a|>', 3, 0]])
  expect(piecesOf(tokenizer, tokenizer.encode('<|a|><|ab', { parseSpecial: true }))).toEqual(['<|a|>', '<|a', '▁', 'b'])
})

test('user-defined tokens always count', () => {
  const tokenizer = tokenizerOf([...letters, ['ab', 4, 0], ['b▁c', 4, 0]])
  expect(piecesOf(tokenizer, tokenizer.encode('aabc'))).toEqual(['▁', 'a', 'ab', '▁', 'c'])
  expect(piecesOf(tokenizer, tokenizer.encode('b c'))).toEqual(['b▁c'])
})

test('a raw prompt gets BOS only where it has none', () => {
  const tokenizer = tokenizerOf(letters, { add_bos_token: true })
  expect(tokenizer.encodePrompt('a')).toEqual([1, FIRST, FIRST + 1])
  expect(tokenizer.encodePrompt('<s>a')).toEqual([1, FIRST, FIRST + 1])
  expect(tokenizer.encodePrompt('a</s>')).toEqual([1, FIRST, FIRST + 1, 2])
  expect(tokenizer.encodePrompt('')).toEqual([1])
})

test('a raw prompt gets no BOS when the file wants none', () => {
  expect(tokenizerOf(letters).encodePrompt('a')).toEqual([FIRST, FIRST + 1])
})

test('parts stand for themselves: texts are plain', () => {
  const tokenizer = tokenizerOf(normal('▁', '<', 's', '>'), { add_bos_token: true })
  expect(piecesOf(tokenizer, tokenizer.encodeParts([1, '<s>', 2]))).toEqual(['<s>', '▁', '<', 's', '>', '</s>'])
})

test('the tokens that end an answer are EOS, end of turn, and those with a known name', () => {
  expect([...tokenizerOf(letters).endIds]).toEqual([2])
  expect([...tokenizerOf(letters, { eot_token_id: FIRST, eom_token_id: FIRST + 1 }).endIds]).toEqual([2, FIRST, FIRST + 1])
  expect([...tokenizerOf([...letters, ['<|im_end|>', 3, 0]]).endIds]).toEqual([2, FIRST + 4])
})

test('decoding leaves control tokens out unless they are asked for', () => {
  const tokenizer = tokenizerOf(letters)
  const ids = tokenizer.encode('<s>a b</s>c', { parseSpecial: true })
  expect(tokenizer.decode(ids)).toBe('a b c')
  expect(tokenizer.decode(ids, { special: true })).toBe('<s>a b</s>c')
})

test('decoding a continuation keeps the leading space', () => {
  const tokenizer = tokenizerOf(letters)
  expect(tokenizer.decode(tokenizer.encode('a'), { continues: true })).toBe(' a')
})

test('encoding a continuation puts no space before it', () => {
  const tokenizer = tokenizerOf(letters)
  const ids = tokenizer.encode('a b', { addBos: false, continues: true })
  expect(tokenizer.decode(ids, { continues: true })).toBe('a b')
  expect(tokenizer.decode(tokenizer.encode('a b', { addBos: false }), { continues: true })).toBe(' a b')
})

test('bytes that make no character become U+FFFD', () => {
  const tokenizer = tokenizerOf(letters)
  expect(tokenizer.decode([3 + 0xe6, FIRST + 1, 3 + 0xff, 3 + 0xe6])).toBe('\ufffda\ufffd\ufffd')
})

test('an id outside the vocabulary is refused', () => {
  const tokenizer = tokenizerOf(letters)
  expect(() => tokenizer.decode([99_999])).toThrow(/99999.*below 263/)
  expect(() => tokenizer.token(-1)).toThrow(/token id -1/)
  expect(() => tokenizer.encodeParts([0.5])).toThrow(/token id 0.5/)
})

test('a token tells its piece and type', () => {
  const tokenizer = tokenizerOf([...letters, ['x', 4, 0], ['y', 5, 0]])
  expect([0, 1, 3, FIRST, FIRST + 4, FIRST + 5].map((id) => tokenizer.token(id))).toEqual([
    { id: 0, piece: '<unk>', type: 'unknown' },
    { id: 1, piece: '<s>', type: 'control' },
    { id: 3, piece: '<0x00>', type: 'byte' },
    { id: FIRST, piece: '▁', type: 'normal' },
    { id: FIRST + 4, piece: 'x', type: 'userDefined' },
    { id: FIRST + 5, piece: 'y', type: 'unused' },
  ])
})

const mistral = Tokenizer.fromGgufMetadata(mistralMetadata())
const anyText = fc.string({
  unit: fc.oneof(
    fc.constantFrom(' ', '  ', '▁', '<s>', '</s>', '\n', 'the', 'é', '🙂', '\ud800'),
    fc.string({ unit: 'binary', maxLength: 2 }),
  ),
})
/** What encoding cannot keep: U+2581 means a space, and half a surrogate pair means nothing. */
const canonical = (text: string) => text.toWellFormed().replaceAll('▁', ' ')

test('decoding what was encoded gives the text back', () => {
  fc.assert(
    fc.property(anyText, fc.boolean(), (text, parseSpecial) => {
      const ids = mistral.encode(text, { addBos: false, parseSpecial })
      expect(mistral.decode(ids, { special: true })).toBe(canonical(text))
    }),
    { numRuns: 2000 },
  )
})

test('streaming gives the same text as decoding at once, and whole characters', () => {
  const ids = fc.array(fc.oneof(fc.nat(258), fc.nat(31_999)), { maxLength: 30 })
  fc.assert(
    fc.property(
      fc.oneof(
        ids,
        anyText.map((text) => mistral.encode(text)),
      ),
      fc.boolean(),
      fc.boolean(),
      (tokens, special, continues) => {
        const decoder = mistral.decoder({ special, continues })
        const pieces = [...tokens.map((id) => decoder.push(id)), decoder.end()]
        expect(pieces.join('')).toBe(mistral.decode(tokens, { special, continues }))
        expect(pieces.every((piece) => piece.isWellFormed())).toBe(true)
      },
    ),
    { numRuns: 2000 },
  )
})

test('a character in bytes appears with its last byte', () => {
  const decoder = mistral.decoder()
  expect([243, 162, 156, 133].map((id) => decoder.push(id))).toEqual(['', '', '', '🙂'])
})

/** The algorithm as written in SentencePiece's paper, with nothing clever: the control of the fast one. */
function encodeNaively(entries: readonly Entry[], text: string): string[] {
  const scores = new Map(entries.map(([piece, , score]) => [piece, score]))
  const symbols = Array.from(`▁${text.replaceAll(' ', '▁')}`)
  for (;;) {
    let best = -1
    let bestScore = -Infinity
    for (let at = 0; at + 1 < symbols.length; at++) {
      const score = scores.get(`${symbols[at]}${symbols[at + 1]}`)
      if (score !== undefined && score > bestScore) [best, bestScore] = [at, score]
    }
    if (best < 0) return symbols
    symbols.splice(best, 2, `${symbols[best]}${symbols[best + 1]}`)
  }
}

test('any vocabulary encodes as the plain algorithm does', () => {
  const unit = fc.constantFrom('a', 'b', 'c', '▁', '🙂')
  const piece = fc.string({ unit, minLength: 2, maxLength: 5 })
  const vocabularies = fc.uniqueArray(fc.tuple(piece, fc.constant(1), fc.integer({ min: -9, max: 9 })), {
    selector: ([text]) => text,
    maxLength: 30,
  })
  const characters = normal('▁', 'a', 'b', 'c', '🙂')
  fc.assert(
    fc.property(vocabularies, fc.string({ unit, minLength: 1, maxLength: 60 }), (entries, text) => {
      const tokenizer = tokenizerOf([...characters, ...entries])
      expect(piecesOf(tokenizer, tokenizer.encode(text))).toEqual(encodeNaively([...characters, ...entries], text))
    }),
    { numRuns: 1000 },
  )
})

test('the end tokens that a file lists end an answer, others of the list are ignored with a note', () => {
  const metadata = new Map(mistralMetadata()).set('tokenizer.ggml.eos_token_ids', [2, 264, 4294967295])
  const tokenizer = Tokenizer.fromGgufMetadata(metadata)
  expect([...tokenizer.endIds]).toEqual(expect.arrayContaining([2, 264]))
  // the second says that a text can become the token 264, which is an ordinary one
  expect(tokenizer.notes).toEqual([expect.stringMatching(/^tokenizer.ggml.eos_token_ids has 4294967295/), expect.any(String)])
})
