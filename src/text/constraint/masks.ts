// Which tokens may come next, as bits. A walk through the tree of the vocabulary in step with the grammar; where no byte leads on, a whole branch
// is skipped. Most tokens lie inside one lexeme, and which ones does not depend on what comes after it: that part is kept per lexeme state
// ("inside"), counts that no token can use up made equal. Only what goes on behind the end of the lexeme is walked with the parser.

import type { LexState } from './lexer.js'
import type { Parser, ParserState, Thread } from './parser.js'
import type { Term } from './terms.js'
import type { TokenTrie } from './tokenTrie.js'

/** What the tokens do in a lexeme, whatever is around it. */
interface Inside {
  /** (vocabulary / 32) tokens that end inside the lexeme or with it. */
  readonly bits: Uint32Array
  /** Nodes with children at which lexemes may end, by the list of those that do: indices into the tags. */
  readonly exits: readonly { readonly ending: readonly number[]; readonly nodes: readonly number[] }[]
}

/** Bit sets to keep: of 4 KB with 32,000 tokens, 16 KB with 128,000. */
const MOST_KEPT = 1024

export class Masks {
  readonly #parser: Parser
  readonly #trie: TokenTrie
  readonly #masks = new Map<ParserState, Uint32Array>()
  readonly #inside = new Map<string, Inside>()
  readonly #insideOf = new Map<LexState, Inside>()
  /** (longest + 1) the states along the path of a walk. */
  readonly #lexPath: LexState[] = []
  readonly #path: ParserState[] = []

  constructor(parser: Parser, trie: TokenTrie) {
    this.#parser = parser
    this.#trie = trie
  }

  forget(): void {
    this.#masks.clear()
    this.#inside.clear()
    this.#insideOf.clear()
  }

  /** The tokens whose text may come next. Not to be written to. */
  of(state: ParserState): Uint32Array {
    let bits = this.#masks.get(state)
    if (bits === undefined) {
      bits = this.below(0, state)
      for (const { lexemes } of state.threads) if (this.#parser.lexer.waysOf(lexemes).takesTokens) this.#addTokenSymbols(lexemes, bits)
      keep(this.#masks, state, bits)
    }
    return bits
  }

  /** The tokens below a node of the tree whose further bytes may come next. */
  below(from: number, state: ParserState): Uint32Array {
    const bits = new Uint32Array(Math.ceil(this.#trie.vocabSize / 32))
    for (const thread of state.threads) {
      const inside = this.#insideFor(thread.lexemes, from)
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
    const { byteOf, endOf, depthOf } = this.#trie
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
      this.#addTokens(node, bits)
      node++
    }
  }

  #addTokenSymbols(lexemes: LexState, bits: Uint32Array): void {
    for (let id = 0; id < this.#trie.vocabSize; id++) {
      if (this.#parser.lexer.stepToken(lexemes, id) !== null) bits[id >>> 5]! |= 1 << (id & 31)
    }
  }

  #insideFor(lexemes: LexState, from: number): Inside {
    const known = from === 0 ? this.#insideOf.get(lexemes) : undefined
    if (known) return known
    const reduced = this.#reduced(lexemes)
    const key = `${from};${reduced.map(([tag, term]) => `${tag}:${term.id}`).join()}`
    const inside = this.#inside.get(key) ?? this.#walkInside(this.#parser.lexer.state(reduced), from)
    keep(this.#inside, key, inside)
    if (from === 0) keep(this.#insideOf, lexemes, inside)
    return inside
  }

  /** The state with counts that no token can use up made equal, and tags by their place: what many states have in common. */
  #reduced(lexemes: LexState): readonly (readonly [index: number, term: Term])[] {
    return lexemes.items.map(([tag, term]) => [lexemes.tags.indexOf(tag), this.#parser.lexer.reduced(term, this.#trie.longest)])
  }

  #walkInside(start: LexState, from: number): Inside {
    const { byteOf, endOf, depthOf } = this.#trie
    const { lexer } = this.#parser
    const bits = new Uint32Array(Math.ceil(this.#trie.vocabSize / 32))
    const exits = new Map<string, { ending: readonly number[]; nodes: number[] }>()
    const path = this.#lexPath
    const end = endOf[from]!
    const base = depthOf[from]!
    path[0] = start
    for (let node = from + 1; node < end; ) {
      const depth = depthOf[node]! - base
      const next = lexer.step(path[depth - 1]!, byteOf[node]!)
      if (next === null) {
        node = endOf[node]!
        continue
      }
      path[depth] = next
      this.#addTokens(node, bits)
      if (next.ending.length > 0 && endOf[node]! > node + 1) {
        const key = next.ending.join()
        const exit = exits.get(key)
        if (exit) exit.nodes.push(node)
        else exits.set(key, { ending: next.ending, nodes: [node] })
      }
      node++
    }
    return { bits, exits: [...exits.values()] }
  }

  #addTokens(node: number, bits: Uint32Array): void {
    for (let id = this.#trie.tokenAt[node]!; id >= 0; id = this.#trie.sameText[id]!) bits[id >>> 5]! |= 1 << (id & 31)
  }
}

/** Remembers a value; when there are too many, all others are forgotten first. */
function keep<K, V>(map: Map<K, V>, key: K, value: V): void {
  if (map.size >= MOST_KEPT) map.clear()
  map.set(key, value)
}
