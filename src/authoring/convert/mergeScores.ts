// Scores from merges. SentencePiece merges the pair whose piece has the highest score; a list of merges, the pair that
// comes first in it. Both merge alike if the list has every pair that makes a piece, and has them next to each other,
// as lists made from SentencePiece models do. Then a piece's score is minus its place among the pieces. (llama.cpp's
// converter gives all pieces one score instead, and its result merges from left to right.)

import { quoted } from '../../base/errors.js'
import { checkpointError, unsupported } from '../../format/tensors/checkpointError.js'
import { tokenType } from '../../text/tokenizer/tokenType.js'

/**
 * A score and a type for each piece: `normal`, or `unused` for a piece of several characters that no merge gives.
 * Throws `CHECKPOINT` for merges of pieces that are not in the vocabulary, and `UNSUPPORTED` for a list that no scores
 * can represent.
 */
export function mergeScores(
  file: string,
  idOfPiece: ReadonlyMap<string, number>,
  merges: readonly (readonly [left: string, right: string])[],
): Map<string, { score: number; type: number }> {
  const scores = new Map<string, { score: number; type: number }>()
  const cuts = new Map<string, Set<number>>() // places at which the list cuts a piece
  let current = ''
  for (const [left, right] of merges) {
    const piece = left + right
    if (!idOfPiece.has(left) || !idOfPiece.has(right) || !idOfPiece.has(piece)) {
      const problem = `merges ${quoted(left)} and ${quoted(right)}, expected pieces of the vocabulary that make another`
      throw checkpointError(file, problem, 'key "model.merges"')
    }
    if (piece !== current && cuts.has(piece)) {
      throw unsupported(
        file,
        `the merges into ${quoted(piece)} do not stand together, expected the order of a SentencePiece model`,
        'key "model.merges"',
      )
    }
    current = piece
    const places = cuts.get(piece) ?? new Set()
    cuts.set(piece, places.add(left.length))
    if (!scores.has(piece)) scores.set(piece, { score: -scores.size, type: tokenType.normal })
  }
  const arises = (piece: string) => piece.isWellFormed() && (scores.has(piece) || isCharacter(piece))
  for (const [piece, places] of cuts) {
    for (let cut = 1; cut < piece.length; cut++) {
      const [left, right] = [piece.slice(0, cut), piece.slice(cut)]
      if (places.has(cut) || !arises(left) || !arises(right)) continue
      const problem = `${quoted(piece)} is not merged from ${quoted(left)} and ${quoted(right)}, as SentencePiece would`
      throw unsupported(
        file,
        `${problem}: expected a list of merges made from a SentencePiece model, or tokenizer.model`,
        'key "model.merges"',
      )
    }
  }
  for (const piece of idOfPiece.keys()) {
    if (scores.has(piece)) continue
    scores.set(piece, { score: -scores.size, type: isCharacter(piece) ? tokenType.normal : tokenType.unused })
  }
  return scores
}

function isCharacter(text: string): boolean {
  return text.length === (text.codePointAt(0)! > 65535 ? 2 : 1)
}
