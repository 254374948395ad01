// The lexemes of JSON texts: punctuation with its white space, keys, strings and numbers. Owns how JSON is spelled;
// every bound on digits and white space is here, since models without one write them until the context is full.

import { decimalOf } from '../decimals.js'
import { anyJsonCharacter, ascii, Encoder, jsonCharacter } from '../encodings.js'
import type { Expression, Grammar } from '../expressions.js'
import { costOf, isIn, NumberMachine } from '../numbers.js'
import { wholeMatch } from '../pattern.js'
import type { Term } from '../terms.js'
import type { NumberShape, StringShape } from './shapes.js'
import { anyNumber } from './shapes.js'
import type { StringLanguages } from './stringLanguages.js'

/**
 * White space between the parts of JSON: as a model likes, bounded; none; or one space after a comma and a colon, as
 * Python writes it.
 */
export type JsonSpacing = 'flexible' | 'compact' | 'spaced'

/** Deepest indentation of a line, as in llama.cpp. */
const MOST_INDENTATION = 20
/** As many digits as float64 can tell apart, and exponents that stay within its range. */
const INTEGER = '0|-?[1-9]\\d{0,15}'
const NUMBER = '-?(0|[1-9]\\d{0,15})(\\.\\d{1,16})?([eE][+-]?\\d{1,2})?'

export class JsonLexemes {
  readonly #grammar: Grammar
  readonly #strings: StringLanguages
  readonly #encoder: Encoder
  readonly #quote: Term
  readonly #character: Term
  /** What may follow an opening bracket and stand before a closing one; follow a comma; follow a colon. */
  readonly #space: { readonly inside: Term; readonly comma: Term; readonly colon: Term }

  constructor(grammar: Grammar, strings: StringLanguages, spacing: JsonSpacing) {
    const { terms } = grammar
    this.#grammar = grammar
    this.#strings = strings
    this.#encoder = new Encoder(terms, jsonCharacter)
    this.#quote = ascii(terms, '"')
    this.#character = anyJsonCharacter(terms)
    const one = ascii(terms, ' ')
    const line = terms.sequence([ascii(terms, '\n'), terms.repeat(terms.set([0x09, 0x09, 0x20, 0x20]), 0, MOST_INDENTATION)])
    const some = terms.optional(terms.choice([one, line]))
    this.#space = {
      flexible: { inside: some, comma: some, colon: terms.optional(one) },
      compact: { inside: terms.empty, comma: terms.empty, colon: terms.empty },
      spaced: { inside: terms.empty, comma: one, colon: one },
    }[spacing]
  }

  get never(): Expression {
    return this.#grammar.lexeme(this.#grammar.terms.none)
  }

  word(text: string): Expression {
    return this.#grammar.lexeme(ascii(this.#grammar.terms, text))
  }

  open(bracket: '{' | '['): Expression {
    return this.#sequence([ascii(this.#grammar.terms, bracket), this.#space.inside])
  }

  close(bracket: '}' | ']'): Expression {
    return this.#sequence([this.#space.inside, ascii(this.#grammar.terms, bracket)])
  }

  comma(): Expression {
    return this.#sequence([ascii(this.#grammar.terms, ','), this.#space.comma])
  }

  /** A key of a language over code points, with its colon, and with the comma before it unless it is the first. */
  key(language: Term, isFirst: boolean): Expression {
    const { terms } = this.#grammar
    const key = [this.#quote, this.#encoder.encode(language), this.#quote, ascii(terms, ':'), this.#space.colon]
    return this.#sequence(isFirst ? key : [ascii(terms, ','), this.#space.comma, ...key])
  }

  string(shape: StringShape): Expression {
    const { values, excluded, patterns, notPatterns, min, max } = shape
    const isFree = values === undefined && excluded.length + patterns.length + notPatterns.length === 0
    const body = isFree ? this.#grammar.terms.repeat(this.#character, min, max) : this.#encoder.encode(this.#strings.of(shape))
    return this.#sequence([this.#quote, body, this.#quote])
  }

  number(shape: NumberShape): Expression {
    const { terms } = this.#grammar
    if (shape.values) {
      terms.budget.spend(shape.values.length * costOf(shape))
      const values = shape.values.filter((value) => isIn(shape, decimalOf(value)))
      return this.#grammar.lexeme(terms.choice(values.map((value) => ascii(terms, JSON.stringify(value)))))
    }
    const { steps, notSteps, excluded, min, max } = shape
    if (min === anyNumber.min && max === anyNumber.max && steps.length + notSteps.length + excluded.length === 0) {
      return this.#grammar.lexeme(wholeMatch(terms, shape.integer ? INTEGER : NUMBER, 'numbers'))
    }
    const machine = new NumberMachine(shape, terms.budget)
    return machine.isEmpty ? this.never : this.#grammar.lexeme(terms.machine(machine, ''))
  }

  #sequence(terms: readonly Term[]): Expression {
    return this.#grammar.lexeme(this.#grammar.terms.sequence(terms))
  }
}
