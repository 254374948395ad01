// A language over the tokens of a model: what `generate` asks before it samples. A Constraint is compiled once and has
// no state of its own; a ConstraintState follows one text. Owns the end tokens and the space at the beginning; the
// parser and the masks do the work.

import { MixtralError } from '../../base/errors.js'
import { forcedTokens } from './forced.js'
import type { TokenNames } from './gbnfGrammar.js'
import { type Bounds, type ConstraintSpec, compileLanguage } from './language.js'
import { Masks } from './masks.js'
import type { Parser, ParserState } from './parser.js'
import type { TokenTrie } from './tokenTrie.js'

/** A tenth of what a text may need: what a draft is worth, and milliseconds at most that it holds the event loop. */
const AHEAD: Bounds = { steps: 50_000, objects: 50_000 }

export class Constraint {
  readonly trie: TokenTrie
  readonly #spec: ConstraintSpec
  readonly #parser: Parser
  readonly #masks: Masks
  /** Undefined before it was asked for, null where it cannot be. */
  #ahead: Constraint | null | undefined

  /**
   * @param bounds of one that looks ahead: it shares nothing with those that do not
   * @throws MixtralError as `compileLanguage` does
   */
  constructor(spec: ConstraintSpec, trie: TokenTrie, bounds?: Bounds) {
    this.trie = trie
    this.#spec = spec
    this.#parser = compileLanguage(spec, tokenNames(trie), bounds)
    this.#masks = new Masks(this.#parser, trie, bounds !== undefined)
  }

  /**
   * The same language for walks ahead of texts, with a memory of its own: whether a text needs too much work depends on
   * what is known of earlier ones, and must not depend on what may never come. Undefined where the language is too much
   * work for that.
   */
  get ahead(): Constraint | undefined {
    if (this.#ahead === undefined) {
      try {
        this.#ahead = new Constraint(this.#spec, this.trie, AHEAD)
      } catch {
        this.#ahead = null
      }
    }
    return this.#ahead ?? undefined
  }

  /**
   * The state before the first token.
   *
   * @param opens whether the text begins an answer, so that decoding takes a leading space off its first token; false
   * where it continues a text
   */
  start(opens: boolean): ConstraintState {
    return new ConstraintState(this.trie, this.#parser, this.#masks, this.#parser.start, opens)
  }
}

/** Where one text stands. Copies cost nothing: states of the parser never change. */
export class ConstraintState {
  readonly #trie: TokenTrie
  readonly #parser: Parser
  readonly #masks: Masks
  #state: ParserState
  #opens: boolean
  #ended = false

  /** Use `Constraint.start`. */
  constructor(trie: TokenTrie, parser: Parser, masks: Masks, state: ParserState, opens: boolean) {
    this.#trie = trie
    this.#parser = parser
    this.#masks = masks
    this.#state = state
    this.#opens = opens
  }

  /** A state of its own at the same place: for a fork, or to come back to. */
  clone(): ConstraintState {
    const copy = new ConstraintState(this.#trie, this.#parser, this.#masks, this.#state, this.#opens)
    copy.#ended = this.#ended
    return copy
  }

  /** Whether the text may end here: end tokens are allowed. */
  get mayEnd(): boolean {
    return this.#state.mayEnd
  }

  /** Whether the text must end here: no other token is allowed. */
  get isComplete(): boolean {
    return this.#ended || this.#state.threads.length === 0
  }

  /**
   * The tokens that may come next, bit `id & 31` of word `id >>> 5`. At least one is set.
   *
   * @param bits (vocabulary / 32, rounded up) is overwritten and returned; a new one if left out
   * @throws MixtralError `TOKENIZER` where the vocabulary has no token for any byte that may come next
   */
  mask(bits = new Uint32Array(Math.ceil(this.#trie.vocabSize / 32))): Uint32Array {
    this.#renew()
    bits.fill(0)
    if (!this.#ended) {
      this.#within(() => {
        bits.set(this.#masks.of(this.#state))
        if (this.#opens) this.#openingMask(bits)
      })
    }
    if (this.mayEnd) for (const id of this.#trie.tokenizer.endIds) bits[id >>> 5]! |= 1 << (id & 31)
    if (bits.every((word) => word === 0))
      throw new MixtralError('TOKENIZER', 'no token of the vocabulary spells what the constraint asks for next')
    return bits
  }

  /** Whether a token may come next. */
  allows(id: number): boolean {
    this.#renew()
    if (this.#trie.tokenizer.endIds.has(id)) return this.mayEnd
    return !this.#ended && this.#within(() => this.#after(id)) !== null
  }

  /** Goes on by a token. Throws a MixtralError `OPTION`, and stays where it is, if the token may not come here. */
  accept(id: number): void {
    this.#renew()
    const isEnd = this.#trie.tokenizer.endIds.has(id)
    const next = this.#ended ? null : isEnd ? (this.mayEnd ? this.#state : null) : this.#within(() => this.#after(id))
    if (next === null) throw new MixtralError('OPTION', `token ${id} is not allowed here, expected one that the constraint's mask has`)
    this.#state = next
    this.#opens = false
    this.#ended = isEnd
  }

  /**
   * The tokens that come next in any case, in the tokenizer's own spelling; empty where there is a choice. Evaluating
   * them together and accepting each saves their masks, their sampling, and most of their time.
   */
  forced(): number[] {
    this.#renew()
    return this.#ended ? [] : this.#within(() => forcedTokens(this.#parser, this.#trie, this.#state, this.#opens))
  }

  /**
   * Decoding takes one space off the first token of an answer, so what counts is the text behind it; `▁` alone is then
   * no text at all.
   */
  #openingMask(bits: Uint32Array): void {
    const { dropsSpace } = this.#trie
    for (let i = 0; i < bits.length; i++) bits[i]! &= ~dropsSpace[i]!
    const space = this.#trie.child(0, 0x20)
    if (space < 0) return
    const behind = this.#masks.below(space, this.#state)
    if (this.#state.threads.length > 0) {
      for (let id = this.#trie.tokenAt[space]!; id >= 0; id = this.#trie.sameText[id]!) behind[id >>> 5]! |= 1 << (id & 31)
    }
    for (let i = 0; i < bits.length; i++) bits[i]! |= behind[i]! & dropsSpace[i]!
  }

  #after(id: number): ParserState | null {
    const bytes = this.#trie.textOf(id, this.#opens)
    let next: ParserState | null = bytes === undefined || (bytes.length === 0 && this.#state.threads.length === 0) ? null : this.#state
    for (let i = 0; next !== null && i < bytes!.length; i++) next = this.#parser.step(next, bytes![i]!)
    return this.#parser.either(next, this.#parser.stepToken(this.#state, id))
  }

  /** What was compiled on a short stack may be followed on a longer one. */
  #within<T>(run: () => T): T {
    return this.#parser.budget.within(run)
  }

  #renew(): void {
    if (this.#parser.renew()) this.#masks.forget()
  }
}

function tokenNames(trie: TokenTrie): TokenNames {
  const { tokenizer, vocabSize } = trie
  return {
    vocabSize,
    idOf: (text) => {
      const parts = tokenizer.encode(text, { addBos: false, parseSpecial: true, continues: true })
      return parts.length === 1 ? parts[0] : undefined
    },
    isEnd: (id) => tokenizer.endIds.has(id),
    isControl: (id) => tokenizer.endIds.has(id) || !['normal', 'userDefined', 'byte'].includes(tokenizer.token(id).type),
  }
}
