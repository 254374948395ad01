// The keywords about objects.

import type { Term } from '../terms.js'
import { ANYTHING, type Goal, NOTHING, satisfies, violates } from './goals.js'
import { type Keyword, type KeywordUse, onlyType, orOtherType } from './keyword.js'
import { shownPointer } from './schemaDocument.js'
import { anyObject, checkAlternatives, type ObjectShape, type ValueShapes } from './shapes.js'

function objects(
  inside: (use: KeywordUse) => Partial<ObjectShape>,
  outside: (use: KeywordUse) => readonly Partial<ObjectShape>[],
): Keyword {
  return {
    holds: (use) => orOtherType({ objects: [{ ...anyObject, ...inside(use) }] }),
    fails: (use) => onlyType({ objects: outside(use).map((shape) => ({ ...anyObject, ...shape })) }),
  }
}

function namesIn(schemas: unknown): string[] {
  return typeof schemas === 'object' && schemas !== null ? Object.keys(schemas) : []
}

const properties: Keyword = objects(
  (use) => {
    const names = namesIn(use.value)
    const goals = new Map(names.map((name) => [name, satisfies(use.child(name))]))
    return { rules: [{ names: goals, patterns: [], rest: ANYTHING }], evaluated: { ...anyObject.evaluated, names } }
  },
  (use) => namesIn(use.value).map((name) => propertyIs(name, violates(use.child(name)))),
)

/** The property is there, and meets the goal. */
function propertyIs(name: string, goal: Goal): Partial<ObjectShape> {
  return { required: [name], rules: goal === ANYTHING ? [] : [{ names: new Map([[name, goal]]), patterns: [], rest: ANYTHING }] }
}

function propertyIsAbsent(name: string): Partial<ObjectShape> {
  return { rules: [{ names: new Map([[name, NOTHING]]), patterns: [], rest: ANYTHING }] }
}

function patternsIn(use: KeywordUse, name: string): readonly (readonly [source: string, term: Term])[] {
  return namesIn(use.beside(name)).map((source) => [source, use.solver.pattern(source, `${name} at ${shownPointer(use.node)}/${name}`)])
}

const patternProperties: Keyword = objects(
  (use) => {
    const patterns = patternsIn(use, 'patternProperties').map(([source, term]) => ({ term, goal: satisfies(use.child(source)) }))
    return {
      rules: [{ names: new Map(), patterns, rest: ANYTHING }],
      evaluated: { ...anyObject.evaluated, patterns: patterns.map(({ term }) => term) },
    }
  },
  (use) => {
    if (namesIn(use.value).every((source) => satisfies(use.child(source)) === ANYTHING)) return []
    throw use.unsupported('its negation would have to find a property by pattern')
  },
)

const additionalProperties: Keyword = objects(
  (use) => {
    const names = new Map(namesIn(use.beside('properties')).map((name) => [name, ANYTHING]))
    const patterns = patternsIn(use, 'patternProperties').map(([, term]) => ({ term, goal: ANYTHING }))
    return { rules: [{ names, patterns, rest: satisfies(use.child()) }], evaluated: { ...anyObject.evaluated, all: true } }
  },
  (use) => {
    if (satisfies(use.child()).key === '') return []
    throw use.unsupported('its negation would have to find a property that is not named')
  },
)

const propertyNames: Keyword = objects(
  (use) => ({ keys: [satisfies(use.child())] }),
  (use) => {
    if (satisfies(use.child()).key === '') return []
    throw use.unsupported('its negation would have to find a property with another name')
  },
)

/** What `dependentRequired` has, by name. */
function requirementsOf(use: KeywordUse): (readonly [name: string, others: readonly string[]])[] {
  const { value } = use
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw use.malformed('lists of names by name')
  return Object.entries(value).map(([name, others]) => [name, namesOf(use, others)])
}

function namesOf(use: KeywordUse, names: unknown): readonly string[] {
  if (!Array.isArray(names) || !names.every((name) => typeof name === 'string')) throw use.malformed('a list of strings')
  use.budget.spend(names.length / 4)
  return [...new Set(names)]
}

const required: Keyword = objects(
  (use) => ({ required: namesOf(use, use.value) }),
  (use) => {
    const names = namesOf(use, use.value)
    checkAlternatives(names.length)
    return names.map(propertyIsAbsent)
  },
)

const object = (shape: Partial<ObjectShape>) => onlyType({ objects: [{ ...anyObject, ...shape }] })

/** For each name: the property is absent, or there and with it what is given. */
function dependent(use: KeywordUse, present: readonly (readonly [name: string, then: ValueShapes])[]): ValueShapes {
  const other = orOtherType({ objects: [] })
  return use.all(
    present.map(([name, then]) => use.any([other, object(propertyIsAbsent(name)), use.all([object({ required: [name] }), then])])),
  )
}

const dependentRequired: Keyword = {
  holds: (use) =>
    dependent(
      use,
      requirementsOf(use).map(([name, required]) => [name, object({ required })]),
    ),
  fails: (use) =>
    use.any(
      requirementsOf(use).flatMap(([name, others]) =>
        others.map((other) => use.all([object({ required: [name] }), object(propertyIsAbsent(other))])),
      ),
    ),
}

const dependentSchemas: Keyword = {
  holds: (use) =>
    dependent(
      use,
      namesIn(use.value).map((name) => [name, use.solver.shapesOf({ node: use.child(name), positive: true })]),
    ),
  fails: (use) =>
    use.any(
      namesIn(use.value).map((name) =>
        use.all([object({ required: [name] }), use.solver.shapesOf({ node: use.child(name), positive: false })]),
      ),
    ),
}

/**
 * Properties that nothing beside it, or within what applies beside it, has looked at; `beside` are the values for which
 * all of that holds.
 */
export function withUnevaluatedProperties(use: KeywordUse, beside: ValueShapes): ValueShapes {
  const rest = satisfies(use.child())
  const shapes = beside.objects.map((shape) => {
    const { names, patterns, all } = shape.evaluated
    const rule = {
      names: new Map(names.map((name) => [name, ANYTHING])),
      patterns: patterns.map((term) => ({ term, goal: ANYTHING })),
      rest,
    }
    return { ...shape, rules: all || rest.key === '' ? shape.rules : [...shape.rules, rule], evaluated: { ...shape.evaluated, all: true } }
  })
  return { ...beside, objects: shapes }
}

export const objectKeywords: Readonly<Record<string, Keyword>> = {
  properties,
  patternProperties,
  additionalProperties,
  propertyNames,
  required,
  dependentRequired,
  dependentSchemas,
  minProperties: objects(
    (use) => ({ min: use.count(), minAt: use.place }),
    (use) => (use.count() > 0 ? [{ max: use.count() - 1 }] : []),
  ),
  maxProperties: objects(
    (use) => ({ max: use.count() }),
    (use) => [{ min: use.count() + 1, minAt: use.place }],
  ),
}
