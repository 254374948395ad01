// The pieces of the demo model's vocabulary, from its tokenizer.model.

import { readFileSync } from 'node:fs'
import { readSentencePieceModel } from '../../../dist/authoring/convert/sentencePieceModel.js'
import { tokenizerModel } from './sourceModel.js'
import type { Piece } from './tokenizerJsonOf.js'

export function demoPieces(): Piece[] {
  const { tokens } = readSentencePieceModel(readFileSync(tokenizerModel), 'tokenizer.model')
  return tokens.map((token) => ({ text: token!.piece, score: token!.score, type: token!.type }))
}
