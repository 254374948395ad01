// The tokenizer of a converted file, beside SentencePiece's golden ids and Hugging Face's own tokenizer on the same
// tokenizer.json.

import { readFileSync } from 'node:fs'
import { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers'
import fc from 'fast-check'
import mistral from 'mistral-tokenizer-js'
import { expect, test } from 'vitest'
import { readSentencePieceModel } from '../../../dist/authoring/convert/sentencePieceModel.js'
import type { SourceVocabulary } from '../../../dist/authoring/convert/sourceVocabulary.js'
import { readTokenizerJson } from '../../../dist/authoring/convert/tokenizerJson.js'
import { tokenizerMetadata } from '../../../dist/authoring/convert/tokenizerMetadata.js'
import { openGguf } from '../../../dist/format/gguf/openGguf.js'
import { JsonObject } from '../../../dist/format/tensors/jsonObject.js'
import { Tokenizer } from '../../../dist/text/tokenizer/tokenizer.js'
import { texts } from '../../text/tokenizer/randomTexts.js'
import { demoPieces } from './demoPieces.js'
import { tokenizerModel } from './sourceModel.js'
import { type TokenizerJson, tokenizerJsonOf } from './tokenizerJsonOf.js'

const goldens: { text: string; ids: number[] }[] = JSON.parse(
  readFileSync(new URL('../../golden/demo/tokenizer.json', import.meta.url), 'utf8'),
)
const demo = readSentencePieceModel(readFileSync(tokenizerModel), 'tokenizer.model')
const pieces = demoPieces()

/** The tokenizer of the file that a vocabulary would be converted to. */
function tokenizerOf(vocabulary: SourceVocabulary): Tokenizer {
  const files = { vocabulary, added: new Map(), tokenizerConfig: undefined, config: undefined, generationConfig: undefined }
  const metadata = tokenizerMetadata(files, vocabulary.tokens.length, [])
  return Tokenizer.fromGgufMetadata(new Map(metadata.map(([key, , value]) => [key, value])))
}

const ofJson = (json: TokenizerJson) => tokenizerOf(readTokenizerJson(JsonObject.parse(JSON.stringify(json), 'tokenizer.json')))
const huggingFaceOf = (json: TokenizerJson) => {
  const tokenizer = new HuggingFaceTokenizer(json, {})
  return (text: string) => tokenizer.encode(text, { add_special_tokens: false }).ids
}

test('tokenizer.model gives the pieces, scores and types of the demo model', async () => {
  const { metadata } = await openGguf(new URL('../../../models/tiny-mixtral.Q4_K_M.gguf', import.meta.url).pathname)
  expect(pieces.map(({ text }) => text)).toEqual(metadata.get('tokenizer.ggml.tokens'))
  expect(pieces.map(({ score }) => score + 0)).toEqual((metadata.get('tokenizer.ggml.scores') as number[]).map((score) => score + 0))
  expect(pieces.map(({ type }) => type)).toEqual(metadata.get('tokenizer.ggml.token_type'))
  expect(demo).toMatchObject({ addSpacePrefix: true, special: { bos: 1, eos: 2, unknown: 0 } })
})

test.each([
  ['tokenizer.model', () => tokenizerOf(demo)],
  ['tokenizer.json', () => ofJson(tokenizerJsonOf(pieces))],
  ['a newer tokenizer.json', () => ofJson(tokenizerJsonOf(pieces, 'metaspace'))],
])('%s encodes every golden text to the ids of SentencePiece', (_, make) => {
  const tokenizer = make()
  for (const { text, ids } of goldens) expect(tokenizer.encode(text, { addBos: false }), JSON.stringify(text)).toEqual(ids)
})

const demoTexts = fc
  .array(fc.oneof(fc.constantFrom(...goldens.map(({ text }) => text.slice(0, 40))), texts), { maxLength: 4 })
  .map((parts) => parts.join(''))

test('from tokenizer.json and tokenizer.model come the same ids for 3,000 random texts, and those of Hugging Face', () => {
  const json = tokenizerJsonOf(pieces)
  const [fromJson, fromModel, huggingFace] = [ofJson(json), tokenizerOf(demo), huggingFaceOf(json)]
  fc.assert(
    fc.property(demoTexts, (text) => {
      const ids = fromModel.encode(text, { addBos: false })
      expect(fromJson.encode(text, { addBos: false })).toEqual(ids)
      if (comparable(text)) expect(huggingFace(text)).toEqual(ids)
    }),
    { numRuns: 3000, seed: 20240102 },
  )
})

/** Whether Hugging Face's tokenizer sees only plain text in it: it takes the text of special tokens for them always. */
function comparable(text: string): boolean {
  return text !== '' && text.isWellFormed() && !/<s>|<\/s>|<unk>/.test(text)
}

test('the merges of Mistral 7B and Mixtral 8x7B give the ids of mistral-tokenizer-js for 3,000 random texts', () => {
  const json = tokenizerJsonOf([])
  json.model.vocab = Object.fromEntries(mistral.vocabById.map((piece, id) => [piece, id]))
  json.model.merges = [...mistral.merges].sort(([, a], [, b]) => a - b).map(([cut]) => cut)
  const tokenizer = ofJson(json)
  fc.assert(
    fc.property(texts, (text) => {
      fc.pre(text !== '')
      expect(tokenizer.encode(text)).toEqual(mistral.encode(text))
    }),
    { numRuns: 3000, seed: 20240103 },
  )
})

test.each([2, 3, 4, 5, 8])(
  'runs of up to %i spaces of one score, in the order of transformers since 2024, give the ids of Hugging Face',
  (most) => {
    const runs = Array.from({ length: most - 1 }, (_, index) => '▁'.repeat(index + 2))
    const known = new Set(pieces.map(({ text }) => text))
    const all = [...pieces, ...runs.filter((run) => !known.has(run)).map((text) => ({ text, score: 0, type: 1 }))]
    const json = tokenizerJsonOf(all)
    const cuts = runs.flatMap((run) =>
      Array.from({ length: run.length - 1 }, (_, i): [string, string] => [run.slice(0, i + 1), run.slice(i + 1)]),
    )
    cuts.sort((a, b) => b[0].length - a[0].length || b[1].length - a[1].length)
    json.model.merges = [
      ...cuts.map((cut) => cut.join(' ')),
      ...json.model.merges.filter((merge) => !runs.includes((merge as string).replace(' ', ''))),
    ]
    const [ours, huggingFace] = [ofJson(json), huggingFaceOf(json)]
    const unit = fc.constantFrom(' ', '  ', '     ', 'a', 'the', '\n')
    fc.assert(
      fc.property(fc.string({ unit, minLength: 1, maxLength: 20 }), (text) => {
        expect(ours.encode(text, { addBos: false })).toEqual(huggingFace(text))
      }),
      { numRuns: 2000 },
    )
  },
)
