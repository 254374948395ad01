// What a value must be: schemas that it must satisfy, and schemas that it must not. Equal goals have equal keys, so
// recursion comes to an end.

import type { SchemaNode } from './schemaDocument.js'

export interface Literal {
  readonly node: SchemaNode
  /** False: the value must not satisfy the schema. */
  readonly positive: boolean
}

export interface Goal {
  readonly key: string
  readonly literals: readonly Literal[]
}

/** Any value. */
export const ANYTHING: Goal = { key: '', literals: [] }
/** No value. */
export const NOTHING: Goal = { key: 'never', literals: [] }

/** All of these at once. */
export function goalOf(literals: readonly Literal[]): Goal {
  const each = new Map<string, Literal>()
  for (const literal of literals) {
    const { value, id, isTrue } = literal.node
    if (isTrue || value === false) {
      if (isTrue === literal.positive) continue
      return NOTHING
    }
    each.set(`${literal.positive ? '' : '-'}${id}`, literal)
  }
  const sorted = [...each].sort(([, a], [, b]) => a.node.id - b.node.id || Number(a.positive) - Number(b.positive))
  return { key: sorted.map(([key]) => key).join(), literals: sorted.map(([, literal]) => literal) }
}

export function allGoals(goals: readonly Goal[]): Goal {
  if (goals.includes(NOTHING)) return NOTHING
  return goals.length === 1 ? goals[0]! : goalOf(goals.flatMap(({ literals }) => literals))
}

export function satisfies(node: SchemaNode): Goal {
  return goalOf([{ node, positive: true }])
}

export function violates(node: SchemaNode): Goal {
  return goalOf([{ node, positive: false }])
}
