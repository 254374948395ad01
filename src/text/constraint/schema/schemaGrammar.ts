// stub
import type { Expression, Grammar } from '../expressions.js'
export function schemaExpression(grammar: Grammar, _s: unknown, _p: string): Expression { return grammar.empty }
