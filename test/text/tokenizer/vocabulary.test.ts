import { describe, expect, test } from 'vitest'
import { MixtralError } from '../../../dist/base/errors.js'
import { Tokenizer } from '../../../dist/text/tokenizer/tokenizer.js'
import { metadataOf, normal } from './vocabularies.js'

const letters = normal('▁', 'a', 'b')
const tokens = (change: (pieces: unknown[]) => unknown[]) => change([...(metadataOf(letters).get('tokenizer.ggml.tokens') as unknown[])])
const numbers = (length: number, value: unknown) => Array(length).fill(value)
const SIZE = 262

const malformed: [what: string, extra: Record<string, unknown>, message: RegExp][] = [
  ['another kind of tokenizer', { model: 'gpt2' }, /model: "gpt2", expected "llama"/],
  ['no kind of tokenizer', { model: undefined }, /model: missing/],
  ['no tokens', { tokens: undefined }, /tokens: missing, expected an array/],
  ['tokens that are no array', { tokens: 'a' }, /tokens: string, expected an array/],
  ['an empty vocabulary', { tokens: [] }, /tokens: 0 entries/],
  ['a token that is no string', { tokens: tokens((all) => [...all.slice(1), 7]) }, /tokens: entry 261 is a number/],
  ['an endless token', { tokens: tokens((all) => [...all.slice(1), 'x'.repeat(257)]) }, /tokens: entry 261 is 257 long/],
  ['no scores', { scores: undefined }, /scores: missing/],
  ['too few scores', { scores: [0] }, /scores: 1 entries, expected one for each of the 262/],
  ['a score that is not a number', { scores: numbers(SIZE, Number.NaN) }, /scores: entry 0 is NaN/],
  ['a score that is a string', { scores: numbers(SIZE, 'x') }, /scores: entry 0 is "x"/],
  ['no types', { token_type: undefined }, /token_type: missing/],
  ['an unknown type', { token_type: numbers(SIZE, 7) }, /token_type: entry 0 is 7/],
  ['a byte token that names no byte', { tokens: tokens((all) => ['', '', '', '<0x1>', ...all.slice(4)]) }, /byte token 3 is "<0x1>"/],
  ['a BOS that is no whole number', { bos_token_id: 1.5 }, /bos_token_id: 1.5, expected an id below 262/],
  ['an EOS that is no number', { eos_token_id: '2' }, /eos_token_id: "2", expected an id/],
  ['an end of turn outside the vocabulary', { eot_token_id: 2n ** 60n }, /eot_token_id: 1152921504606846976/],
  ['a flag that is no boolean', { add_bos_token: 1 }, /add_bos_token: 1, expected a boolean/],
]

describe.each(malformed)('%s', (_, extra, message) => {
  test('is refused by key', () => {
    const metadata = metadataOf(letters, extra as Parameters<typeof metadataOf>[1])
    expect(() => Tokenizer.fromGgufMetadata(metadata)).toThrow(
      expect.objectContaining({ code: 'TOKENIZER', message: expect.stringMatching(message) }),
    )
    expect(() => Tokenizer.fromGgufMetadata(metadata)).toThrow(MixtralError)
  })
})

test('a vocabulary that could not encode every text is refused', () => {
  const metadata = metadataOf(letters, { unknown_token_id: undefined })
  const types = metadata.get('tokenizer.ggml.token_type') as number[]
  types[0] = 3
  expect(() => Tokenizer.fromGgufMetadata(metadata)).not.toThrow()
  types[3 + 0x41] = 5
  expect(() => Tokenizer.fromGgufMetadata(metadata)).toThrow(/no token for byte 65 and no unknown token/)
})

test('BOS and EOS are 1 and 2 where the file does not say', () => {
  const tokenizer = Tokenizer.fromGgufMetadata(metadataOf(letters, { bos_token_id: undefined, eos_token_id: undefined }))
  expect([tokenizer.bosId, tokenizer.eosId, tokenizer.vocabSize, tokenizer.addBos]).toEqual([1, 2, SIZE, true])
})

test('empty and repeated pieces do no harm', () => {
  const tokenizer = Tokenizer.fromGgufMetadata(metadataOf([...letters, ['', 1, 0], ['', 3, 0], ['a', 1, 0], ['<s>', 3, 0]]))
  expect(tokenizer.encode('a<s>', { parseSpecial: true })).toEqual([1, 259, 260, 1])
})

test.each<[key: string, value: number, field: 'bosId' | 'eosId', usual: number]>([
  ['bos_token_id', SIZE, 'bosId', 1],
  ['bos_token_id', -1, 'bosId', 1],
  ['eos_token_id', 32000, 'eosId', 2],
  ['eos_token_id', 2 ** 32 - 1, 'eosId', 2],
])('%s %i gives way to the usual id, and that is said', (key, value, field, usual) => {
  const tokenizer = Tokenizer.fromGgufMetadata(metadataOf(letters, { [key]: value }))
  expect(tokenizer[field]).toBe(usual)
  expect(tokenizer.notes).toEqual([`tokenizer.ggml.${key} is ${value} in a vocabulary of ${SIZE} tokens; ${usual} is taken`])
})

test('other ids outside the vocabulary are ignored, and that is said', () => {
  const tokenizer = Tokenizer.fromGgufMetadata(metadataOf(letters, { eot_token_id: 99_999, unknown_token_id: -1 }))
  expect([...tokenizer.endIds]).toEqual([2])
  expect(tokenizer.notes).toEqual([
    expect.stringMatching(/eot_token_id is 99999 .* ignored/),
    expect.stringMatching(/unknown_token_id is -1/),
  ])
})

test.each([1, 3, 4, 5])('a token of the type %i that ends answers elsewhere ends them here', (type) => {
  for (const name of ['<|im_end|>', '<|endoftext|>', '<|eot_id|>', '<end_of_turn>']) {
    const tokenizer = Tokenizer.fromGgufMetadata(metadataOf([...letters, [name, type, -99]]))
    expect([...tokenizer.endIds]).toEqual([2, SIZE])
    expect(tokenizer.token(SIZE).type).toBe(type === 4 ? 'userDefined' : 'control')
    expect(tokenizer.notes).toHaveLength(type === 1 || type === 5 ? 1 : 0)
    expect(tokenizer.encode(name, { addBos: false })).not.toContain(type === 4 ? -1 : SIZE)
  }
})

test('</s> ends an answer beside the EOS that a file names', () => {
  const tokenizer = Tokenizer.fromGgufMetadata(metadataOf([...letters, ['<|im_end|>', 3, 0]], { eos_token_id: SIZE }))
  expect(tokenizer.eosId).toBe(SIZE)
  expect([...tokenizer.endIds].sort((a, b) => a - b)).toEqual([2, SIZE])
})

test.each([
  ['a control token', 259],
  ['BOS', 1],
  ['EOS', 2],
])('%s named as the unknown token is not taken as it: no character of a text may become it', (_, id) => {
  const metadata = metadataOf([['[INST]', 3, 0], ...letters], { unknown_token_id: id })
  const tokenizer = Tokenizer.fromGgufMetadata(metadata)
  expect(tokenizer.notes).toEqual([expect.stringMatching(/unknown_token_id is \d+, a control token.* ignored/)])
  const types = metadata.get('tokenizer.ggml.token_type') as number[]
  types[3 + 0x41] = 5 // without the byte, a text could write the token
  expect(() => Tokenizer.fromGgufMetadata(metadata)).toThrow(/no token for byte 65 and no unknown token/)
})

test('many tokens of one kind are one note', () => {
  const many = Array.from({ length: 50 }, () => ['<|im_end|>', 1, 0] as [string, number, number])
  const { notes } = Tokenizer.fromGgufMetadata(metadataOf([...letters, ...many]))
  expect(notes).toEqual([expect.stringMatching(/has the type normal in the file; .* and so are 49 more$/)])
})

test.each([
  ['a byte', 'eot_token_id', 3 + 0x41, 'byte'],
  ['a letter', 'eos_token_id', 259, 'normal'],
  ['a letter', 'bos_token_id', 260, 'normal'],
])('%s as %s is told: a message can write it', (_, key, id, type) => {
  const { notes, endIds } = Tokenizer.fromGgufMetadata(metadataOf(letters, { [key]: id }))
  expect(notes).toEqual([expect.stringMatching(new RegExp(`token ${id}, .* has the type ${type} .* a message can become it`))])
  expect(endIds.has(id)).toBe(key !== 'bos_token_id')
})
