// What the grammars of lists and of objects are built with: the grammar that they add to, the solver, the lexemes of
// JSON, and the rules for the values inside them. Owns nothing; does not know how lists and objects are spelled.

import type { Expression, Grammar } from '../expressions.js'
import type { Goal } from './goals.js'
import type { JsonLexemes } from './jsonLexemes.js'
import type { SchemaSolver } from './schemaSolver.js'

export abstract class CompoundGrammar {
  protected readonly grammar: Grammar
  protected readonly solver: SchemaSolver
  protected readonly lexemes: JsonLexemes
  /** The rule of the values that meet a goal; they may be lists and objects themselves. */
  protected readonly valueFor: (goal: Goal) => Expression

  constructor(grammar: Grammar, solver: SchemaSolver, lexemes: JsonLexemes, valueFor: (goal: Goal) => Expression) {
    this.grammar = grammar
    this.solver = solver
    this.lexemes = lexemes
    this.valueFor = valueFor
  }
}
