// The automaton under the parser: all lexemes that may stand at a place, byte by byte, in one table that is filled
// where a text goes. A lexeme is known by its place in the list that it began with. Does not know what follows a
// lexeme: several may end at one place, and go on there too.

import { MixtralError } from '../../base/errors.js'
import { LOOK } from './budget.js'
import { classesOf, contains, type Ranges } from './ranges.js'
import type { Term, Terms } from './terms.js'

/** The first symbol that is no byte: symbol 256 + id is the token of that id, whatever its text. */
export const FIRST_TOKEN_SYMBOL = 256

export interface LexState {
  readonly id: number
  /** What may still come of each lexeme: pairs of a tag (ascending) and a term. */
  readonly items: readonly (readonly [tag: number, term: Term])[]
  /** The tags, each once, ascending. */
  readonly tags: readonly number[]
  /** The tags of lexemes that may end here. */
  readonly ending: readonly number[]
  /** Filled by `Lexer.step`. */
  ways: Ways | undefined
}

interface Ways {
  /** (256) class of each byte; class 0 leads nowhere. */
  readonly classOf: Uint16Array
  /** (classes) where a class leads, undefined until somebody goes there, null for nowhere. */
  readonly next: (LexState | null | undefined)[]
  /** How many bytes lead on, and the least of them. */
  readonly bytes: number
  readonly firstByte: number
  readonly moves: readonly { readonly tag: number; readonly set: Term; readonly to: Term }[]
  /** (classes) the moves of each class. */
  readonly members: readonly (readonly number[])[]
  /** Whether a token's own symbol leads on. */
  readonly takesTokens: boolean
}

interface Partition {
  readonly classOf: Uint16Array
  readonly setsOfClass: readonly (readonly number[])[]
  readonly bytes: number
  readonly firstByte: number
}

/**
 * Lexemes and terms of one state. Ordinary states hold a few, an object of 500 optional properties 500; each costs a
 * little at every byte.
 */
const MOST_ITEMS = 4096
const BYTES: Ranges = [0, 255]

export class Lexer {
  readonly #terms: Terms
  readonly #known = new Map<string, LexState>()
  readonly #partitions = new Map<string, Partition>()
  readonly #tags = new Map<string, readonly number[]>()
  #created = 0

  constructor(terms: Terms) {
    this.#terms = terms
  }

  get count(): number {
    return this.#known.size
  }

  forget(): void {
    this.#known.clear()
    this.#partitions.clear()
    this.#tags.clear()
  }

  /** A term that is the same for all texts of up to `length` bytes. */
  reduced(term: Term, length: number): Term {
    return this.#terms.reduced(term, length)
  }

  /** The state of these terms, each with its tag. */
  state(items: readonly (readonly [tag: number, term: Term])[]): LexState {
    const { budget } = this.#terms
    budget.spend(items.length)
    if (items.length > MOST_ITEMS) {
      throw new MixtralError('UNSUPPORTED', `the constraint has ${items.length} ways to go on at one place, expected at most ${MOST_ITEMS}`)
    }
    const kept = withoutSubsets(items)
    const key = kept.map(([tag, term]) => `${tag}:${term.id}`).join()
    const known = this.#known.get(key)
    if (known) return known
    budget.spend(10)
    const tags = this.#tagsOf(kept)
    const ending = this.#tagsOf(kept.filter(([, term]) => term.nullable))
    const state: LexState = { id: this.#created++, items: kept, tags, ending, ways: undefined }
    this.#known.set(key, state)
    return state
  }

  /** The state after a byte, null if no lexeme has it there. */
  step(state: LexState, byte: number): LexState | null {
    const ways = state.ways ?? this.waysOf(state)
    const index = ways.classOf[byte]!
    const next = ways.next[index]
    return next === undefined ? this.#follow(ways, index) : next
  }

  /** The state after the symbol of a token, null if no lexeme has it there. */
  stepToken(state: LexState, id: number): LexState | null {
    const ways = state.ways ?? this.waysOf(state)
    if (!ways.takesTokens) return null
    const taken = ways.moves.filter(({ set }) => contains(set.ranges, FIRST_TOKEN_SYMBOL + id))
    return taken.length === 0 ? null : this.state(taken.map(({ tag, to }) => [tag, to]))
  }

  /** Works out which bytes lead on from a state. */
  waysOf(state: LexState): Ways {
    if (state.ways) return state.ways
    const moves = state.items.flatMap(([tag, term]) => this.#terms.moves(term).map(({ set, to }) => ({ tag, set, to })))
    const movesOfSet = new Map<Term, number[]>()
    moves.forEach(({ set }, index) => {
      const found = movesOfSet.get(set)
      if (found) found.push(index)
      else movesOfSet.set(set, [index])
    })
    const sets = [...movesOfSet.keys()].sort((a, b) => a.id - b.id)
    this.#terms.budget.spend(moves.length)
    const { classOf, setsOfClass, bytes, firstByte } = this.#partition(sets)
    const members = setsOfClass.map((indices) => indices.flatMap((index) => movesOfSet.get(sets[index]!)!))
    const takesTokens = sets.some(({ ranges }) => ranges.at(-1)! >= FIRST_TOKEN_SYMBOL)
    const next = new Array<LexState | null | undefined>(members.length).fill(undefined)
    next[0] = null
    state.ways = { classOf, next, bytes, firstByte, moves, members, takesTokens }
    return state.ways
  }

  /** Equal lists are one list, so that it can be seen at a glance whether a lexeme dropped out. */
  #tagsOf(items: LexState['items']): readonly number[] {
    const tags = [...new Set(items.map(([tag]) => tag))]
    const known = this.#tags.get(tags.join())
    if (known) return known
    this.#tags.set(tags.join(), tags)
    return tags
  }

  #follow(ways: Ways, index: number): LexState {
    const next = this.state(ways.members[index]!.map((move) => [ways.moves[move]!.tag, ways.moves[move]!.to]))
    ways.next[index] = next
    return next
  }

  #partition(sets: readonly Term[]): Partition {
    const key = sets.map((set) => set.id).join()
    const known = this.#partitions.get(key)
    if (known) return known
    const { budget } = this.#terms
    budget.spend(10 * sets.length)
    const all = classesOf(
      sets.map((set) => set.ranges),
      (looks) => budget.spend(looks * LOOK),
    )
    const classes = all.filter(({ ranges }) => ranges[0]! <= BYTES[1]!)
    const classOf = new Uint16Array(256)
    let bytes = 0
    let firstByte = 256
    classes.forEach(({ ranges }, index) => {
      for (let i = 0; i < ranges.length; i += 2) {
        for (let byte = ranges[i]!; byte <= Math.min(ranges[i + 1]!, 255); byte++) {
          classOf[byte] = index + 1
          bytes++
          firstByte = Math.min(firstByte, byte)
        }
      }
    })
    const partition = { classOf, setsOfClass: [[], ...classes.map(({ members }) => members)], bytes, firstByte }
    this.#partitions.set(key, partition)
    return partition
  }
}

/** Sorted and each once; of `x{0,a} y` and `x{0,b} y` the longer alone, since it has all texts of the other. */
export function withoutSubsets(items: readonly (readonly [tag: number, term: Term])[]): (readonly [tag: number, term: Term])[] {
  const longest = new Map<string, readonly [tag: number, term: Term]>()
  for (const item of items) {
    const [tag, term] = item
    const head = term.kind === 'sequence' ? term.parts[0]! : term
    const open = head.kind === 'repeat' && head.min === 0
    const key = open ? `${tag}*${head.parts[0]!.id},${term === head ? '' : term.parts[1]!.id}` : `${tag}:${term.id}`
    const other = longest.get(key)?.[1]
    if (other === undefined || headMax(other) < headMax(term)) longest.set(key, item)
  }
  return [...longest.values()].sort(([tagA, a], [tagB, b]) => tagA - tagB || a.id - b.id)
}

function headMax(term: Term): number {
  return (term.kind === 'sequence' ? term.parts[0]! : term).max
}
