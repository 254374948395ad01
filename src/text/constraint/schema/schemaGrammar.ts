// A JSON Schema as a grammar of the texts that satisfy it. A rule for each goal, made when it is first needed, so that
// recursive schemas come to an end.

import type { Expression, Grammar } from '../expressions.js'
import { ArrayGrammar } from './arrayGrammar.js'
import { type Goal, satisfies } from './goals.js'
import { JsonLexemes, type JsonSpacing } from './jsonLexemes.js'
import { ObjectGrammar } from './objectGrammar.js'
import { SchemaDocument } from './schemaDocument.js'
import { SchemaSolver } from './schemaSolver.js'
import { StringLanguages } from './stringLanguages.js'

/**
 * Throws a MixtralError `OPTION` for a malformed schema, and `UNSUPPORTED` for one that is not supported, with the
 * keyword and its JSON Pointer. If `lenient`, a keyword that is not supported is left out: the texts may break it, and
 * nothing else.
 */
export function schemaExpression(grammar: Grammar, schema: unknown, spacing: JsonSpacing, lenient = false): Expression {
  const { terms } = grammar
  const strings = new StringLanguages(terms)
  const solver = new SchemaSolver(terms, new SchemaDocument(schema, terms.budget), strings, lenient)
  const lexemes = new JsonLexemes(grammar, strings, spacing)
  const rules = new Map<string, Expression>()
  const waiting: { goal: Goal; rule: Expression }[] = []
  const valueFor = (goal: Goal): Expression => {
    const known = rules.get(goal.key)
    if (known) return known
    const rule = grammar.rule(`value ${goal.key}`)
    rules.set(goal.key, rule)
    waiting.push({ goal, rule })
    return rule
  }
  const objects = new ObjectGrammar(grammar, solver, lexemes, valueFor)
  const arrays = new ArrayGrammar(grammar, solver, lexemes, valueFor)
  const root = valueFor(satisfies(solver.document.root))
  for (let next = waiting.pop(); next; next = waiting.pop()) {
    terms.budget.spend(20)
    const shapes = solver.goalShapes(next.goal)
    const ways = [
      ...(shapes.null ? [lexemes.word('null')] : []),
      ...shapes.booleans.map((value) => lexemes.word(String(value))),
      ...shapes.numbers.map((shape) => lexemes.number(shape)),
      ...shapes.strings.map((shape) => lexemes.string(shape)),
      ...shapes.arrays.map((shape) => arrays.list(shape)),
      ...shapes.objects.map((shape) => objects.object(shape)),
    ]
    grammar.define(next.rule, ways.length > 0 ? grammar.choice(ways) : lexemes.never)
  }
  return root
}
