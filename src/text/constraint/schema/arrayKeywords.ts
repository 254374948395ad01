// The keywords about lists.

import { ANYTHING, satisfies, violates } from './goals.js'
import { type Keyword, KeywordUse, onlyType, orOtherType } from './keyword.js'
import { type ArrayShape, anyArray, anyValue, checkAlternatives, noValue, type ValueShapes } from './shapes.js'

function lists(inside: (use: KeywordUse) => Partial<ArrayShape>, outside: (use: KeywordUse) => readonly Partial<ArrayShape>[]): Keyword {
  return {
    holds: (use) => orOtherType({ arrays: [{ ...anyArray, ...inside(use) }] }),
    fails: (use) => onlyType({ arrays: outside(use).map((shape) => ({ ...anyArray, ...shape })) }),
  }
}

/** How many items `prefixItems` beside this keyword names. */
function prefixLength(use: KeywordUse): number {
  const prefix = use.beside('prefixItems')
  return Array.isArray(prefix) ? prefix.length : 0
}

function anythingTimes(count: number) {
  return new Array<typeof ANYTHING>(count).fill(ANYTHING)
}

const items: Keyword = lists(
  (use) => ({
    rules: [{ prefix: anythingTimes(prefixLength(use)), rest: satisfies(use.child()) }],
    evaluated: { ...anyArray.evaluated, count: Infinity },
  }),
  (use) => [{ counted: [{ goal: violates(use.child()), from: prefixLength(use), min: 1, max: Infinity }] }],
)

const prefixItems: Keyword = lists(
  (use) => ({
    rules: [{ prefix: use.children().map(satisfies), rest: ANYTHING }],
    evaluated: { ...anyArray.evaluated, count: use.children().length },
  }),
  (use) => {
    const nodes = use.children()
    checkAlternatives(nodes.length) // each has a list of the items before it
    return nodes.map((node, i) => ({ min: i + 1, rules: [{ prefix: [...anythingTimes(i), violates(node)], rest: ANYTHING }] }))
  },
)

function containsBounds(use: KeywordUse): { min: number; max: number } {
  const countOf = (name: string, fallback: number) =>
    use.beside(name) === undefined ? fallback : new KeywordUse(use.node, name, use.solver).count()
  return { min: countOf('minContains', 1), max: countOf('maxContains', Infinity) }
}

const contains: Keyword = {
  holds: (use) => {
    const { min, max } = containsBounds(use)
    const goal = satisfies(use.child())
    const counted = min === 0 && max === Infinity ? [] : [{ goal, from: 0, min, max }]
    return orOtherType({ arrays: min > max ? [] : [{ ...anyArray, counted, evaluated: { count: 0, byContains: true } }] })
  },
  fails: (use) => {
    const { min, max } = containsBounds(use)
    const goal = satisfies(use.child())
    const fewer = min > 0 ? [{ ...anyArray, counted: [{ goal, from: 0, min: 0, max: min - 1 }] }] : []
    const more = max < Infinity ? [{ ...anyArray, counted: [{ goal, from: 0, min: max + 1, max: Infinity }] }] : []
    return onlyType({ arrays: [...fewer, ...more] })
  },
}

const uniqueItems: Keyword = {
  holds: (use) => {
    if (typeof use.value !== 'boolean') throw use.malformed('true or false')
    return use.value ? orOtherType({ arrays: [{ ...anyArray, unique: use.place }] }) : anyValue
  },
  fails: (use) => {
    if (use.value === false) return noValue
    throw use.unsupported('its negation would have to find two equal items')
  },
}

/**
 * Items that nothing beside it, or within what applies beside it, has looked at; `beside` are the values for which all
 * of that holds.
 */
export function withUnevaluatedItems(use: KeywordUse, beside: ValueShapes): ValueShapes {
  const rest = satisfies(use.child())
  const arrays = beside.arrays.map((shape) => {
    if (shape.evaluated.byContains && shape.evaluated.count < Infinity)
      throw use.unsupported('it depends on which items contains has found')
    const { count } = shape.evaluated
    if (count < Infinity) use.budget.spend(count / 8)
    const rules = count === Infinity || rest.key === '' ? shape.rules : [...shape.rules, { prefix: anythingTimes(count), rest }]
    return { ...shape, rules, evaluated: { count: Infinity, byContains: false } }
  })
  return { ...beside, arrays }
}

export const arrayKeywords: Readonly<Record<string, Keyword>> = {
  prefixItems,
  items,
  contains,
  uniqueItems,
  minItems: lists(
    (use) => ({ min: use.count() }),
    (use) => (use.count() > 0 ? [{ max: use.count() - 1 }] : []),
  ),
  maxItems: lists(
    (use) => ({ max: use.count() }),
    (use) => [{ min: use.count() + 1 }],
  ),
}
