// What a text must be: a specification, checked and compiled. Owns the ways to say it: four for callers, and `compose`,
// which puts languages together. Works on bytes and knows no vocabulary; the tokens that a grammar names are symbols of
// their own. A `Constraint` is a language over the tokens of a model.

import { MixtralError, shown } from '../../base/errors.js'
import { Budget } from './budget.js'
import { Encoder, utf8 } from './encodings.js'
import { type Expression, Grammar } from './expressions.js'
import { parseGbnf } from './gbnf.js'
import { gbnfExpression, type TokenNames } from './gbnfGrammar.js'
import { Parser, type ParserState } from './parser.js'
import { wholeMatch } from './pattern.js'
import type { JsonSpacing } from './schema/jsonLexemes.js'
import { schemaExpression } from './schema/schemaGrammar.js'
import { Terms } from './terms.js'

/** What a text must be; exactly one of them. */
export type ConstraintSpec =
  | { readonly compose: (grammar: Grammar) => Expression }
  | { readonly grammar: string }
  | { readonly regex: string }
  | { readonly jsonSchema: unknown; readonly spacing?: JsonSpacing }
  | { readonly json: true; readonly spacing?: JsonSpacing }

/**
 * Steps of one call, compiling or one token, of about a microsecond each: a hostile call ends within a second. An
 * object of 500 properties takes 110,000 to compile, and a token in it 20,000; ordinary schemas take hundreds.
 */
const STEPS_PER_CALL = 500_000
/** Objects to remember between tokens, about 50 MB of them at most; an ordinary document makes some thousands. */
const MOST_REMEMBERED = 100_000

/** How much work a call may be, and how much of it is remembered. */
export interface Bounds {
  readonly steps: number
  readonly objects: number
}

const BOUNDS: Bounds = { steps: STEPS_PER_CALL, objects: MOST_REMEMBERED }

/**
 * Compiles a specification. Throws a MixtralError: `OPTION` for what is malformed or matches no text, `UNSUPPORTED` for
 * what is known but not done.
 */
export function compileLanguage(spec: ConstraintSpec, names?: TokenNames, bounds = BOUNDS): Parser {
  const { kind, subject } = kindOf(spec)
  const budget = new Budget(bounds.steps, subject)
  return budget.within(() => compile(spec, kind, budget, names, bounds.objects))
}

function compile(spec: ConstraintSpec, kind: Kind, budget: Budget, names: TokenNames | undefined, objects: number): Parser {
  const grammar = new Grammar(new Terms(budget))
  const root = rootOf(spec, kind, grammar, names)
  grammar.seal()
  if (root.need === Infinity) throw new MixtralError('OPTION', `${SUBJECTS[kind]} matches no text, expected at least one`)
  return new Parser(grammar, root, budget, objects)
}

/** Whether a whole text, or its bytes, is in the language. */
export function accepts(language: Parser, text: string | Uint8Array): boolean {
  return stateAfter(language, text)?.mayEnd ?? false
}

/** The state after a text, null if no text of the language begins with it. */
export function stateAfter(language: Parser, text: string | Uint8Array): ParserState | null {
  let state: ParserState | null = language.start
  for (const byte of typeof text === 'string' ? new TextEncoder().encode(text) : text) {
    if (state === null) break
    language.renew()
    state = language.step(state, byte)
  }
  return state
}

const SUBJECTS = {
  grammar: 'the grammar',
  regex: 'the regular expression',
  jsonSchema: 'the JSON Schema',
  json: 'JSON',
  compose: 'the language of the answer',
} as const
type Kind = keyof typeof SUBJECTS

function kindOf(spec: ConstraintSpec): { kind: Kind; subject: string } {
  const given = Object.keys(SUBJECTS).filter((name) => (spec as Record<string, unknown>)[name] !== undefined) as Kind[]
  if (given.length !== 1) {
    const found = given.length === 0 ? 'none' : given.join(' and ')
    throw new MixtralError('OPTION', `the constraint has ${found} of grammar, regex, jsonSchema and json, expected one`)
  }
  return { kind: given[0]!, subject: SUBJECTS[given[0]!] }
}

function rootOf(spec: ConstraintSpec, kind: Kind, grammar: Grammar, names: TokenNames | undefined): Expression {
  if ('compose' in spec && kind === 'compose') return spec.compose(grammar)
  if ('grammar' in spec && kind === 'grammar') return gbnfExpression(grammar, parseGbnf(textOf('grammar', spec.grammar)), names)
  if ('regex' in spec && kind === 'regex') {
    const { terms } = grammar
    return grammar.lexeme(new Encoder(terms, utf8).encode(wholeMatch(terms, textOf('regex', spec.regex), 'the regular expression')))
  }
  const { spacing = 'flexible' } = spec as { spacing?: JsonSpacing }
  if (!['flexible', 'compact', 'spaced'].includes(spacing)) {
    throw new MixtralError('OPTION', `spacing is ${shown(spacing)}, expected flexible, compact or spaced`)
  }
  if ('json' in spec && kind === 'json') {
    if (spec.json !== true) throw new MixtralError('OPTION', `json is ${shown(spec.json)}, expected true`)
    return schemaExpression(grammar, true, spacing)
  }
  return schemaExpression(grammar, (spec as { jsonSchema: unknown }).jsonSchema, spacing)
}

function textOf(name: string, value: unknown): string {
  if (typeof value !== 'string') throw new MixtralError('OPTION', `${name} is a ${typeof value}, expected a string`)
  return value
}
