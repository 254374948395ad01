// Scores from merges. SentencePiece merges the pair whose piece has the highest score; a list of merges, the pair that
// comes first in it. Both merge alike if the list has every pair that makes a piece, and has them next to each other,
// as lists made from SentencePiece models do. Then a piece's score is minus its place among the pieces. Pieces of one
// score, such as those of several spaces, stand among each other. (llama.cpp's converter gives all pieces one score
// instead, and its result merges from left to right.)

import { quoted } from '../../base/errors.js'
import { checkpointError, unsupported } from '../../format/tensors/checkpointError.js'
import { tokenType } from '../../text/tokenizer/specialIds.js'

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
  const cuts = new Map<string, Set<number>>() // places at which the list cuts a piece
  const first = new Map<string, number>() // the places of a piece's merges in the list
  const last = new Map<string, number>()
  for (const [place, [left, right]] of merges.entries()) {
    const piece = left + right
    if (!idOfPiece.has(left) || !idOfPiece.has(right) || !idOfPiece.has(piece)) {
      const problem = `merges ${quoted(left)} and ${quoted(right)}, expected pieces of the vocabulary that make another`
      throw checkpointError(file, problem, 'key "model.merges"')
    }
    const places = cuts.get(piece) ?? new Set()
    cuts.set(piece, places.add(left.length))
    if (!first.has(piece)) first.set(piece, place)
    last.set(piece, place)
  }
  const scores = scoresOf(file, merges, first, last)
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

/**
 * A score for each piece that merges give, in the order of the list. Pieces whose merges stand among each other have
 * one score: since 2024, transformers sorts the merges of one score by the lengths of their parts.
 */
function scoresOf(
  file: string,
  merges: readonly (readonly [left: string, right: string])[],
  first: ReadonlyMap<string, number>,
  last: ReadonlyMap<string, number>,
): Map<string, { score: number; type: number }> {
  const scores = new Map<string, { score: number; type: number }>()
  let group: string[] = []
  let [start, end] = [0, -1]
  const order = new MergeOrder(file)
  const close = () => {
    if (group.length > 1) order.check(merges.slice(start, end + 1))
    const score = -scores.size
    for (const piece of group) scores.set(piece, { score, type: tokenType.normal })
  }
  for (const [piece, place] of first) {
    if (place > end) {
      close()
      group = []
      start = place
    }
    group.push(piece)
    end = Math.max(end, last.get(piece)!)
  }
  close()
  return scores
}

/** Longest piece of a group, for which all lengths are tried. */
const LONGEST_RUN = 64
/** Neighbors that are looked at in all groups of a list: the runs of sixteen spaces that models have take 40,000. */
const MOST_LOOKS = 8_000_000

/** Tries out groups of merges. A list may have a group for each character, and a long run takes a million looks. */
class MergeOrder {
  readonly #file: string
  #looks = 0

  constructor(file: string) {
    this.#file = file
  }

  /**
   * Throws `UNSUPPORTED` for merges among each other, unless their pieces are runs of one character, as those of
   * spaces, and every run is cut by the list as it is by one score for all. That is tried out: no other text has these
   * merges.
   */
  check(merges: readonly (readonly [left: string, right: string])[]): void {
    const pairs = merges.map((pair) => pair.map((part) => [...part].length) as [number, number])
    const character = [...merges[0]![0]][0]!
    const isOfRuns = merges.every(([left, right]) => (left + right).replaceAll(character, '') === '')
    const longest = pairs.reduce((most, [left, right]) => Math.max(most, left + right), 0) // of any number
    if (isOfRuns && longest <= LONGEST_RUN) {
      const ranks = new Map(pairs.map(([left, right], rank) => [keyOf(left, right), rank]))
      const equal = new Map([...ranks.keys()].map((key) => [key, 0]))
      const lengths = Array.from({ length: 3 * longest }, (_, index) => index + 1)
      if (lengths.every((length) => this.#cutRun(length, ranks).join() === this.#cutRun(length, equal).join())) return
    }
    throw this.#refusal(`the merges into ${quoted(merges[0]!.join(''))} do not stand together`)
  }

  /** The lengths of the pieces of a run: the pair of the lowest rank merges first, of several the left-most. */
  #cutRun(length: number, ranks: ReadonlyMap<number, number>): number[] {
    const parts = Array.from({ length }, () => 1)
    for (;;) {
      this.#looks += parts.length
      if (this.#looks > MOST_LOOKS) throw this.#refusal('too many merges of long runs do not stand together')
      let [best, at] = [Number.POSITIVE_INFINITY, -1]
      for (let index = 0; index + 1 < parts.length; index++) {
        const rank = ranks.get(keyOf(parts[index]!, parts[index + 1]!))
        if (rank !== undefined && rank < best) [best, at] = [rank, index]
      }
      if (at < 0) return parts
      parts.splice(at, 2, parts[at]! + parts[at + 1]!)
    }
  }

  #refusal(problem: string) {
    return unsupported(this.#file, `${problem}, expected the order of a SentencePiece model`, 'key "model.merges"')
  }
}

/** Two lengths as one number. Runs are no longer than three times the longest piece. */
function keyOf(left: number, right: number): number {
  return left * 4 * LONGEST_RUN + right
}

function isCharacter(text: string): boolean {
  return text.length === (text.codePointAt(0)! > 65535 ? 2 : 1)
}
