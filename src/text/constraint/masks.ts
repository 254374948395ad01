// Which tokens may come next, as bits: those that stay within the lexemes of a state, which are known per lexeme, and
// those that go on behind the end of one, which are walked with the parser, node by node of the vocabulary's tree;
// where no byte leads on, a whole branch is skipped.

import { Insides } from './insides.js'
import { FIRST_TOKEN_SYMBOL, type LexState } from './lexer.js'
import { keep } from './memo.js'
import type { Parser, ParserState } from './parser.js'
import { pairsOf } from './ranges.js'
import type { TokenTrie } from './tokenTrie.js'

/** Masks to remember: of 4 KB with 32,000 tokens, 16 KB with 128,000. */
const MOST_KEPT = 512

export class Masks {
  readonly #parser: Parser
  readonly #trie: TokenTrie
  readonly #insides: Insides
  readonly #masks = new Map<ParserState, Uint32Array>()
  /** (longest token + 1) the states along the path of a walk. */
  readonly #path: ParserState[] = []

  /** @param looksAhead whether it shares nothing with those that do not */
  constructor(parser: Parser, trie: TokenTrie, looksAhead = false) {
    this.#parser = parser
    this.#trie = trie
    this.#insides = new Insides(parser.lexer, trie, looksAhead)
  }

  forget(): void {
    this.#masks.clear()
    this.#insides.forget()
  }

  /** The tokens whose text may come next. Not to be written to. */
  of(state: ParserState): Uint32Array {
    let bits = this.#masks.get(state)
    if (bits === undefined) {
      bits = this.below(0, state)
      for (const { lexemes } of state.threads) if (this.#parser.lexer.waysOf(lexemes).takesTokens) this.#addTokenSymbols(lexemes, bits)
      keep(this.#masks, MOST_KEPT, state, bits)
    }
    return bits
  }

  /** The tokens below a node of the tree whose further bytes may come next. */
  below(from: number, state: ParserState): Uint32Array {
    const bits = new Uint32Array(Math.ceil(this.#trie.vocabSize / 32))
    for (const thread of state.threads) {
      const inside = this.#insides.of(thread.lexemes, from)
      for (let i = 0; i < bits.length; i++) bits[i]! |= inside.bits[i]!
      for (const { ending, nodes } of inside.exits) {
        const tags = ending.map((index) => thread.lexemes.tags[index]!)
        const after = this.#parser.after(thread, tags)
        if (after && after.threads.length > 0) for (const node of nodes) this.#walk(node, after, bits)
      }
    }
    return bits
  }

  #walk(from: number, state: ParserState, bits: Uint32Array): void {
    const { byteOf, endOf, depthOf, tokenAt, sameText } = this.#trie
    const path = this.#path
    const end = endOf[from]!
    const base = depthOf[from]!
    path[0] = state
    for (let node = from + 1; node < end; ) {
      const depth = depthOf[node]! - base
      const next = this.#parser.step(path[depth - 1]!, byteOf[node]!)
      if (next === null) {
        node = endOf[node]!
        continue
      }
      path[depth] = next
      for (let id = tokenAt[node]!; id >= 0; id = sameText[id]!) bits[id >>> 5]! |= 1 << (id & 31)
      node++
    }
  }

  #addTokenSymbols(lexemes: LexState, bits: Uint32Array): void {
    for (const { set } of this.#parser.lexer.waysOf(lexemes).moves) {
      for (const [from, to] of pairsOf(set.ranges)) {
        for (let symbol = Math.max(from, FIRST_TOKEN_SYMBOL); symbol <= to; symbol++) {
          const id = symbol - FIRST_TOKEN_SYMBOL
          bits[id >>> 5]! |= 1 << (id & 31)
        }
      }
    }
  }
}
