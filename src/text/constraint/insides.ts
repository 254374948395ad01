// What the tokens do within a lexeme, whatever comes after it: the larger part of every mask. Worked out once per state
// of the lexer, with counts that no token can use up made equal, so that few states differ; and once per vocabulary for
// states that many constraints have, as the inside of a JSON string. Owns the walk through the vocabulary; knows no
// parser.

import type { Lexer, LexState } from './lexer.js'
import { keep } from './memo.js'
import { signatureOf, type Term } from './terms.js'
import type { TokenTrie } from './tokenTrie.js'

export interface Inside {
  /** (vocabulary / 32) tokens that end inside the lexemes or with one of them. */
  readonly bits: Uint32Array
  /** Nodes with children at which lexemes may end, by which do: indices into the tags. */
  readonly exits: readonly { readonly ending: readonly number[]; readonly nodes: readonly number[] }[]
}

/** Results to remember: of 4 KB with 32,000 tokens, 16 KB with 128,000. */
const MOST_KEPT = 512

/** By vocabulary: for states whose terms have a signature, by that. Walks ahead of a text have their own. */
const shared = new WeakMap<TokenTrie, Map<string, Inside>>()
const sharedAhead = new WeakMap<TokenTrie, Map<string, Inside>>()

export class Insides {
  readonly #lexer: Lexer
  readonly #trie: TokenTrie
  readonly #shared: Map<string, Inside>
  readonly #own = new Map<string, Inside>()
  readonly #ofState = new Map<LexState, Inside>()
  /** (longest token + 1) the states along the path of a walk. */
  readonly #path: LexState[] = []

  constructor(lexer: Lexer, trie: TokenTrie, looksAhead: boolean) {
    const all = looksAhead ? sharedAhead : shared
    this.#lexer = lexer
    this.#trie = trie
    this.#shared = all.get(trie) ?? new Map()
    all.set(trie, this.#shared)
  }

  forget(): void {
    this.#own.clear()
    this.#ofState.clear()
  }

  /** For the tokens below a node of the tree; node 0 is above all. */
  of(lexemes: LexState, from: number): Inside {
    const known = from === 0 ? this.#ofState.get(lexemes) : undefined
    if (known) return known
    const reduced = this.#reduced(lexemes)
    const signatures = reduced.map(([tag, term]) => `${tag}:${signatureOf(term)}`)
    const isShared = reduced.every(([, term]) => signatureOf(term) !== undefined)
    const key = `${from};${(isShared ? signatures : reduced.map(([tag, term]) => `${tag}:${term.id}`)).join()}`
    const cache = isShared ? this.#shared : this.#own
    const inside = cache.get(key) ?? this.#walk(this.#lexer.state(reduced), from)
    keep(cache, MOST_KEPT, key, inside)
    if (from === 0) keep(this.#ofState, MOST_KEPT, lexemes, inside)
    return inside
  }

  /**
   * The terms with counts that no token can use up made equal, and tags by their place: what many states have in
   * common.
   */
  #reduced(lexemes: LexState): readonly (readonly [index: number, term: Term])[] {
    return lexemes.items.map(([tag, term]) => [lexemes.tags.indexOf(tag), this.#lexer.reduced(term, this.#trie.longest)])
  }

  #walk(start: LexState, from: number): Inside {
    const { byteOf, endOf, depthOf, tokenAt, sameText } = this.#trie
    const lexer = this.#lexer
    const bits = new Uint32Array(Math.ceil(this.#trie.vocabSize / 32))
    const exits = new Map<readonly number[], number[]>()
    const path = this.#path
    const end = endOf[from]!
    const base = depthOf[from]!
    path[0] = start
    for (let node = from + 1; node < end; ) {
      const depth = depthOf[node]! - base
      const before = path[depth - 1]!
      const byte = byteOf[node]!
      // Lexer.step, written out: this is the innermost loop of all masks
      const ways = before.ways ?? lexer.waysOf(before)
      const known = ways.next[ways.classOf[byte]!]
      const next = known === undefined ? lexer.step(before, byte) : known
      if (next === null) {
        node = endOf[node]!
        continue
      }
      path[depth] = next
      for (let id = tokenAt[node]!; id >= 0; id = sameText[id]!) bits[id >>> 5]! |= 1 << (id & 31)
      if (next.ending.length > 0 && endOf[node]! > node + 1) {
        const nodes = exits.get(next.ending)
        if (nodes) nodes.push(node)
        else exits.set(next.ending, [node])
      }
      node++
    }
    return { bits, exits: Array.from(exits, ([ending, nodes]) => ({ ending, nodes })) }
  }
}
