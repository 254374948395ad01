// The keywords that put schemas together: $ref, allOf, anyOf, oneOf, not, and if with then and else.

import { MixtralError } from '../../../base/errors.js'
import type { Keyword, KeywordUse } from './keyword.js'
import type { SchemaNode } from './schemaDocument.js'
import { anyValue, noValue, unseen, type ValueShapes } from './shapes.js'

/**
 * With unevaluated items or properties, every set of branches that hold together is an alternative: 31 of 5 branches.
 */
const MOST_BRANCHES_TOGETHER = 5

const holds = (use: KeywordUse, node: SchemaNode) => use.solver.shapesOf({ node, positive: true })
const fails = (use: KeywordUse, node: SchemaNode) => use.solver.shapesOf({ node, positive: false })

function branches(use: KeywordUse): SchemaNode[] {
  if (!Array.isArray(use.value) || use.value.length === 0) throw use.malformed('a list of at least one schema')
  return use.children()
}

const ref: Keyword = {
  holds: (use) => holds(use, use.solver.document.resolve(use.node, use.value)),
  fails: (use) => fails(use, use.solver.document.resolve(use.node, use.value)),
}

const allOf: Keyword = {
  holds: (use) => use.all(branches(use).map((node) => holds(use, node))),
  fails: (use) => use.any(branches(use).map((node) => fails(use, node))),
}

const anyOf: Keyword = {
  holds: (use) => {
    const each = branches(use).map((node) => holds(use, node))
    if (!use.solver.document.usesUnevaluated || each.length === 1) return use.any(each)
    if (each.length > MOST_BRANCHES_TOGETHER) throw use.unsupported(`more than ${MOST_BRANCHES_TOGETHER} branches beside unevaluated ones`)
    // the more branches hold, the more is evaluated
    return use.any(subsets(each).map((some) => use.all(some)))
  },
  fails: (use) => use.all(branches(use).map((node) => fails(use, node))),
}

const oneOf: Keyword = {
  holds: (use) => {
    const nodes = branches(use)
    const each = nodes.map((node) => holds(use, node))
    return use.any(
      each.map((shapes, i) => {
        const overlapping = nodes.filter((_, j) => i !== j && !use.solver.isEmpty(use.all([shapes, each[j]!])))
        return use.all([shapes, ...overlapping.map((node) => unseen(notBoth(use, node)))])
      }),
    )
  },
  fails: (use) => {
    const nodes = branches(use)
    const pairs = nodes.flatMap((a, i) => nodes.slice(i + 1).map((b) => use.all([holds(use, a), holds(use, b)])))
    return use.any([use.all(nodes.map((node) => fails(use, node))), ...pairs].map(unseen))
  },
}

/** The values for which a branch fails that another does not exclude. */
function notBoth(use: KeywordUse, node: SchemaNode): ValueShapes {
  try {
    return fails(use, node)
  } catch (error) {
    throw error instanceof MixtralError ? use.unsupported(`two branches may both hold, and ${error.message}`) : error
  }
}

const not: Keyword = {
  holds: (use) => unseen(fails(use, use.child())),
  fails: (use) => unseen(holds(use, use.child())),
}

/** The schema of `then` or `else` beside `if`, if it is there. */
function branch(use: KeywordUse, name: 'then' | 'else'): SchemaNode | undefined {
  return use.beside(name) === undefined ? undefined : use.solver.document.child(use.node, name)
}

const ifThenElse: Keyword = {
  holds: (use) => {
    const then = branch(use, 'then')
    const otherwise = branch(use, 'else')
    if (!then && !otherwise && !use.solver.document.usesUnevaluated) return anyValue
    return use.any([
      use.all([holds(use, use.child()), then ? holds(use, then) : anyValue]),
      use.all([unseen(fails(use, use.child())), otherwise ? holds(use, otherwise) : anyValue]),
    ])
  },
  fails: (use) => {
    const then = branch(use, 'then')
    const otherwise = branch(use, 'else')
    return use.any([
      then ? use.all([holds(use, use.child()), fails(use, then)]) : noValue,
      otherwise ? use.all([fails(use, use.child()), fails(use, otherwise)]) : noValue,
    ])
  },
}

/** All but the empty one. */
function subsets<T>(items: readonly T[]): T[][] {
  return Array.from({ length: 2 ** items.length - 1 }, (_, i) => items.filter((_, bit) => ((i + 1) >> bit) & 1))
}

export const logicKeywords: Readonly<Record<string, Keyword>> = { $ref: ref, allOf, anyOf, oneOf, not, if: ifThenElse }
