// GBNF's rules as a grammar of lexemes. What is regular within a rule becomes one lexeme, and so do short rules where
// they are used; the rest is left to the parser. A rule with a loop stays a lexeme of its own, so that its masks are
// worked out once, however often it is used.

import { MixtralError } from '../../base/errors.js'
import { Encoder, utf8 } from './encodings.js'
import type { Expression, Grammar } from './expressions.js'
import type { GbnfNode } from './gbnf.js'
import { FIRST_TOKEN_SYMBOL } from './lexer.js'
import { remembered } from './memo.js'
import { type Ranges, rangesOf, without } from './ranges.js'
import type { Term } from './terms.js'

/** Terms of this size may be copied to where a rule is used. */
const LARGEST_INLINED = 256

/** What a grammar may ask about tokens. */
export interface TokenNames {
  readonly vocabSize: number
  /** The one token of this text, undefined if the text is more than one. */
  idOf(text: string): number | undefined
  /** Tokens that `!<...>` does not stand for: those that end an answer, and other control tokens. */
  isControl(id: number): boolean
  /** Tokens that end an answer. */
  isEnd(id: number): boolean
}

/** The grammar's `root`. `names` is needed for token terminals alone. */
export function gbnfExpression(grammar: Grammar, rules: ReadonlyMap<string, GbnfNode>, names: TokenNames | undefined): Expression {
  return new GbnfBuilder(grammar, rules, names).build()
}

class GbnfBuilder {
  readonly #grammar: Grammar
  readonly #rules: ReadonlyMap<string, GbnfNode>
  readonly #names: TokenNames | undefined
  readonly #encoder: Encoder
  readonly #expressions = new Map<string, Expression>()
  /** Rules that may be copied to where they are used, as terms; undefined for the others. */
  readonly #inlined = new Map<string, Term | undefined>()
  /**
   * What is known of nodes, which are looked at on every level above them. It stays true: a rule that uses itself is
   * inlined nowhere, and any other one is known before what uses it.
   */
  readonly #terms = new Map<GbnfNode, Term | undefined>()
  /** By how the grammar spells them. */
  readonly #tokenTerms = new Map<string, Term>()
  /** The symbols that `!<...>` may stand for. */
  #otherTokens: Ranges | undefined

  constructor(grammar: Grammar, rules: ReadonlyMap<string, GbnfNode>, names: TokenNames | undefined) {
    this.#grammar = grammar
    this.#rules = rules
    this.#names = names
    this.#encoder = new Encoder(grammar.terms, utf8)
  }

  build(): Expression {
    for (const name of this.#rules.keys()) this.#expressions.set(name, this.#grammar.rule(name))
    this.#inlineRules()
    for (const [name, node] of this.#rules) this.#grammar.define(this.#expressions.get(name)!, this.#expression(node))
    return this.#expressions.get('root')!
  }

  /**
   * A rule after the rules that it uses; what uses itself is not inlined. The stack is ours: rules may name each other
   * in long chains.
   */
  #inlineRules(): void {
    const open = new Set<string>()
    for (const root of this.#rules.keys()) {
      const stack = [root]
      while (stack.length > 0) {
        const name = stack.at(-1)!
        if (this.#inlined.has(name)) stack.pop()
        else if (open.has(name)) {
          stack.pop()
          open.delete(name)
          const term = this.#term(this.#rules.get(name)!)
          this.#inlined.set(name, term && !term.loops && term.size <= LARGEST_INLINED ? term : undefined)
        } else {
          open.add(name)
          for (const used of rulesIn(this.#rules.get(name)!)) if (!this.#inlined.has(used) && !open.has(used)) stack.push(used)
        }
      }
    }
  }

  /** The node as a term, undefined if it is not regular as far as it is known. */
  #term(node: GbnfNode): Term | undefined {
    if (this.#terms.has(node)) return this.#terms.get(node)
    const term = this.#makeTerm(node)
    this.#terms.set(node, term)
    return term
  }

  #makeTerm(node: GbnfNode): Term | undefined {
    const { terms } = this.#grammar
    switch (node.kind) {
      case 'set':
        return this.#encoder.encode(terms.set(node.points))
      case 'token':
        return remembered(this.#tokenTerms, `${node.negated}${node.token}`, () => this.#tokenTerm(node.token, node.negated))
      case 'rule':
        return this.#inlined.get(node.name)
      case 'repeat': {
        const part = this.#term(node.part)
        return part && terms.repeat(part, node.min, node.max)
      }
      default: {
        const parts = node.parts.map((part) => this.#term(part))
        if (!parts.every((part) => part !== undefined)) return undefined
        return node.kind === 'sequence' ? terms.sequence(parts) : terms.choice(parts)
      }
    }
  }

  #expression(node: GbnfNode): Expression {
    const term = this.#term(node)
    if (term !== undefined || node.kind === 'set' || node.kind === 'token') return this.#grammar.lexeme(term ?? this.#grammar.terms.none)
    switch (node.kind) {
      case 'rule':
        return this.#expressions.get(node.name)!
      case 'repeat':
        return this.#grammar.repeat(this.#expression(node.part), node.min, node.max)
      case 'sequence':
        return this.#grammar.sequence(...this.#grouped(node.parts))
      case 'choice': {
        const regular = node.parts.flatMap((part) => this.#term(part) ?? [])
        const others = node.parts.filter((part) => this.#term(part) === undefined).map((part) => this.#expression(part))
        return this.#grammar.choice(regular.length > 0 ? [this.#grammar.lexeme(this.#grammar.terms.choice(regular)), ...others] : others)
      }
    }
  }

  /** Neighbors that are regular become one lexeme. */
  #grouped(parts: readonly GbnfNode[]): Expression[] {
    const result: Expression[] = []
    let regular: Term[] = []
    const flush = () => {
      if (regular.length > 0) result.push(this.#grammar.lexeme(this.#grammar.terms.sequence(regular)))
      regular = []
    }
    for (const part of parts) {
      const term = this.#term(part)
      if (term) regular.push(term)
      else {
        flush()
        result.push(this.#expression(part))
      }
    }
    flush()
    return result
  }

  #tokenTerm(token: string | number, negated: boolean): Term {
    const names = this.#names
    if (names === undefined) throw new MixtralError('OPTION', `the grammar names the token ${token}, expected a tokenizer to find it in`)
    const id = typeof token === 'number' ? token : names.idOf(token)
    if (id === undefined) throw new MixtralError('OPTION', `the grammar names the token ${token}, which is more than one token`)
    if (id >= names.vocabSize)
      throw new MixtralError('OPTION', `the grammar names the token ${id}, expected an id below ${names.vocabSize}`)
    if (!negated && names.isEnd(id)) {
      throw new MixtralError('OPTION', `the grammar names the end token ${id}, expected none: a text ends where the grammar does`)
    }
    const symbol = FIRST_TOKEN_SYMBOL + id
    if (!negated) return this.#grammar.terms.set([symbol, symbol])
    this.#otherTokens ??= textTokens(names)
    this.#grammar.terms.budget.spend(1 + this.#otherTokens.length / 8)
    return this.#grammar.terms.set(without(this.#otherTokens, [symbol, symbol]))
  }
}

/** The symbols of all tokens but control tokens. */
function textTokens(names: TokenNames): Ranges {
  const pairs: [from: number, to: number][] = []
  for (let id = 0; id < names.vocabSize; id++) if (!names.isControl(id)) pairs.push([FIRST_TOKEN_SYMBOL + id, FIRST_TOKEN_SYMBOL + id])
  return rangesOf(pairs)
}

function rulesIn(node: GbnfNode): string[] {
  if (node.kind === 'rule') return [node.name]
  if (node.kind === 'repeat') return rulesIn(node.part)
  return node.kind === 'sequence' || node.kind === 'choice' ? node.parts.flatMap(rulesIn) : []
}
