// The piece that two neighbors merge into, computed once from the vocabulary. A symbol is the text between two cuts: a
// token id, or an id past the vocabulary for a character that occurs only inside pieces. Knows nothing of texts.

import type { Steps } from '../../base/timeSlice.js'
import { PairMap } from './pairMap.js'
import { tokenType } from './specialIds.js'
import type { Vocabulary } from './vocabulary.js'

/** Pieces between two places where the work may pause: of work that is short for a piece, and of longer one. */
const OFTEN = 1024
const SELDOM = 32

export class MergeTable {
  /**
   * (vocabulary) the piece's place in the order of merging. Equal scores have one place, and lower places merge first.
   */
  readonly rank: Int32Array
  readonly #merged = new PairMap()
  readonly #neighbors = new PairMap()
  /** (65536) symbol of a character of the basic plane, -1 if it occurs in no piece. */
  readonly #basicSymbols = new Int32Array(65536).fill(-1)
  readonly #otherSymbols = new Map<number, number>()
  #symbols: number

  private constructor(rank: Int32Array) {
    this.rank = rank
    this.#symbols = rank.length
  }

  /**
   * Only normal tokens are results of merges, so no text can spell a control token. SentencePiece does the same;
   * llama.cpp does not.
   */
  static *build({ pieces, types, scores }: Vocabulary): Steps<MergeTable> {
    const table = new MergeTable(yield* ranksOf(scores))
    const idOfPiece = new Map<string, number>()
    for (const [id, piece] of pieces.entries()) {
      if (types[id] === tokenType.normal && !idOfPiece.has(piece)) idOfPiece.set(piece, id)
      if (id % OFTEN === 0) yield
    }
    let pieceCount = 0
    for (const [piece, id] of idOfPiece) {
      if (isCharacter(piece)) table.#setSymbol(piece.codePointAt(0)!, id)
      if (++pieceCount % OFTEN === 0) yield
    }
    for (const [piece, id] of idOfPiece) {
      if (!isCharacter(piece)) table.#addPiece(piece, id, idOfPiece)
      if (++pieceCount % SELDOM === 0) yield
    }
    return table
  }

  /** The symbol of a character, -1 if it occurs in no piece. */
  symbolOf(point: number): number {
    return point < 65536 ? this.#basicSymbols[point]! : (this.#otherSymbols.get(point) ?? -1)
  }

  /** The token that two neighboring symbols merge into, -1 if they do not. */
  merged(left: number, right: number): number {
    return left < 0 || right < 0 ? -1 : this.#merged.get(left, right)
  }

  /** Whether two characters (by symbol) stand side by side in any piece. Where they do not, no merge ever crosses. */
  areNeighbors(left: number, right: number): boolean {
    return left >= 0 && right >= 0 && this.#neighbors.get(left, right) >= 0
  }

  /** Records every cut of the piece into two symbols, and its neighboring characters. */
  #addPiece(piece: string, id: number, idOfPiece: ReadonlyMap<string, number>): void {
    let previous = -1
    for (let cut = 0; cut < piece.length; ) {
      const point = piece.codePointAt(cut)!
      const symbol = this.#symbolFor(point)
      if (cut > 0) {
        this.#neighbors.set(previous, symbol, 1)
        const left = this.#symbolOfPart(piece.slice(0, cut), idOfPiece)
        const right = this.#symbolOfPart(piece.slice(cut), idOfPiece)
        if (left >= 0 && right >= 0) this.#merged.set(left, right, id)
      }
      previous = symbol
      cut += point < 65536 ? 1 : 2
    }
  }

  #symbolOfPart(part: string, idOfPiece: ReadonlyMap<string, number>): number {
    return isCharacter(part) ? this.#symbolFor(part.codePointAt(0)!) : (idOfPiece.get(part) ?? -1)
  }

  #symbolFor(point: number): number {
    const symbol = this.symbolOf(point)
    if (symbol >= 0) return symbol
    this.#setSymbol(point, this.#symbols)
    return this.#symbols++
  }

  #setSymbol(point: number, symbol: number): void {
    if (point < 65536) this.#basicSymbols[point] = symbol
    else this.#otherSymbols.set(point, symbol)
  }
}

function isCharacter(text: string): boolean {
  return text.length === 1 || (text.length === 2 && text.codePointAt(0)! > 65535)
}

function* ranksOf(scores: Float64Array): Steps<Int32Array> {
  const ascending = scores.toSorted() // of numbers, natively: fast
  yield
  const rankOfScore = new Map<number, number>()
  for (let i = ascending.length - 1; i >= 0; i--) {
    if (!rankOfScore.has(ascending[i]!)) rankOfScore.set(ascending[i]!, rankOfScore.size)
    if (i % OFTEN === 0) yield
  }
  const ranks = new Int32Array(scores.length)
  for (const [id, score] of scores.entries()) {
    ranks[id] = rankOfScore.get(score)!
    if (id % OFTEN === 0) yield
  }
  return ranks
}
