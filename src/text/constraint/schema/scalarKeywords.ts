// The keywords about types, given values, numbers and strings.

import { MixtralError } from '../../../base/errors.js'
import { decimalOf } from '../decimals.js'
import { formatTerm, isDraftFormat, knownFormats } from './formats.js'
import { type Keyword, type KeywordUse, onlyType, orOtherType } from './keyword.js'
import type { SchemaNode } from './schemaDocument.js'
import { anyNumber, anyString, anyValue, type NumberShape, noValue, type StringShape, unseen, type ValueShapes } from './shapes.js'

const ONE = decimalOf(1)

/** Values of a type and, for `fails`, all others. Integers are numbers too. */
const TYPES: Readonly<Record<string, { is: Partial<ValueShapes>; isNot: Partial<ValueShapes> }>> = {
  null: { is: { null: true }, isNot: { null: false } },
  boolean: { is: { booleans: [false, true] }, isNot: { booleans: [] } },
  number: { is: { numbers: [anyNumber] }, isNot: { numbers: [] } },
  integer: { is: { numbers: [{ ...anyNumber, integer: true }] }, isNot: { numbers: [{ ...anyNumber, notSteps: [ONE] }] } },
  string: { is: { strings: [anyString] }, isNot: { strings: [] } },
  array: { is: { arrays: anyValue.arrays }, isNot: { arrays: [] } },
  object: { is: { objects: anyValue.objects }, isNot: { objects: [] } },
}

function typesOf(use: KeywordUse): { is: Partial<ValueShapes>; isNot: Partial<ValueShapes> }[] {
  const names = Array.isArray(use.value) ? use.value : [use.value]
  return names.map((name) => {
    if (typeof name === 'string' && Object.hasOwn(TYPES, name)) return TYPES[name]!
    throw use.malformed(`${Object.keys(TYPES).join(', ')}, or a list of them`)
  })
}

const type: Keyword = {
  holds: (use) => use.any(typesOf(use).map(({ is }) => onlyType(is))),
  fails: (use) => use.all(typesOf(use).map(({ isNot }) => orOtherType(isNot))),
}

/** A number that JSON can write: a text such as `1e999` is read as Infinity. */
function finite(use: KeywordUse, value: number): number {
  if (Number.isFinite(value)) return Object.is(value, -0) ? 0 : value
  throw new MixtralError('OPTION', `${use.place} has the number ${value}, expected a finite one`)
}

/** The one value. An object or a list is said by the schema that only it satisfies. */
function isValue(use: KeywordUse, value: unknown): ValueShapes {
  if (value === null) return onlyType({ null: true })
  if (typeof value === 'boolean') return onlyType({ booleans: [value] })
  if (typeof value === 'number') return onlyType({ numbers: [{ ...anyNumber, values: [finite(use, value)] }] })
  if (typeof value === 'string') return onlyType({ strings: [{ ...anyString, values: [value] }] })
  if (typeof value !== 'object') throw use.malformed('a JSON value')
  return unseen(use.solver.shapesOf({ node: structureOf(use, value), positive: true }))
}

function isNotValue(use: KeywordUse, value: unknown): ValueShapes {
  if (value === null) return orOtherType({ null: false })
  if (typeof value === 'boolean') return orOtherType({ booleans: [!value] })
  if (typeof value === 'number') return orOtherType({ numbers: [{ ...anyNumber, excluded: [decimalOf(finite(use, value))] }] })
  if (typeof value === 'string') return orOtherType({ strings: [{ ...anyString, excluded: [value] }] })
  if (typeof value !== 'object') throw use.malformed('a JSON value')
  return use.solver.shapesOf({ node: structureOf(use, value), positive: false })
}

function structureOf(use: KeywordUse, value: object): SchemaNode {
  return use.solver.document.made(value, use.node, use.name, () =>
    Array.isArray(value)
      ? { type: 'array', prefixItems: value.map((item) => ({ const: item })), minItems: value.length, maxItems: value.length }
      : {
          type: 'object',
          properties: Object.fromEntries(Object.entries(value).map(([name, item]) => [name, { const: item }])),
          required: Object.keys(value),
          additionalProperties: false,
        },
  )
}

function listed(use: KeywordUse): readonly unknown[] {
  if (!Array.isArray(use.value)) throw use.malformed('a list of values')
  use.budget.spend(use.value.length / 4)
  return use.value
}

/** The different values of a list by their types. */
function byType(use: KeywordUse, values: readonly unknown[]) {
  return {
    numbers: [...new Set(values.filter((value) => typeof value === 'number').map((value) => finite(use, value)))],
    strings: [...new Set(values.filter((value) => typeof value === 'string'))],
    others: values.filter((value) => typeof value !== 'number' && typeof value !== 'string'),
  }
}

/** Values of one type become one shape, so that a long enum is one lexeme. */
function isOneOf(use: KeywordUse, values: readonly unknown[]): ValueShapes {
  const { numbers, strings, others } = byType(use, values)
  return use.any([
    ...(numbers.length > 0 ? [onlyType({ numbers: [{ ...anyNumber, values: numbers }] })] : []),
    ...(strings.length > 0 ? [onlyType({ strings: [{ ...anyString, values: strings }] })] : []),
    ...others.map((value) => isValue(use, value)),
  ])
}

/** In the same way: one after the other they would be copied for each. */
function isNoneOf(use: KeywordUse, values: readonly unknown[]): ValueShapes {
  const { numbers, strings, others } = byType(use, values)
  return use.all([
    ...(numbers.length > 0 ? [orOtherType({ numbers: [{ ...anyNumber, excluded: numbers.map(decimalOf) }] })] : []),
    ...(strings.length > 0 ? [orOtherType({ strings: [{ ...anyString, excluded: strings }] })] : []),
    ...others.map((value) => isNotValue(use, value)),
  ])
}

/** A bound of numbers, and what is beyond it. */
function bound(inside: (use: KeywordUse) => Partial<NumberShape>, beyond: (use: KeywordUse) => Partial<NumberShape>): Keyword {
  return {
    holds: (use) => orOtherType({ numbers: [{ ...anyNumber, ...inside(use) }] }),
    fails: (use) => onlyType({ numbers: [{ ...anyNumber, ...beyond(use) }] }),
  }
}
const from = (excluded: boolean) => (use: KeywordUse) => ({ min: decimalOf(use.number()), minExcluded: excluded })
const upTo = (excluded: boolean) => (use: KeywordUse) => ({ max: decimalOf(use.number()), maxExcluded: excluded })

function stepOf(use: KeywordUse): ReturnType<typeof decimalOf> {
  if (use.number() <= 0) throw use.malformed('a number above 0')
  return decimalOf(use.number())
}

function strings(
  inside: (use: KeywordUse) => Partial<StringShape>,
  outside: (use: KeywordUse) => Partial<StringShape> | undefined,
): Keyword {
  return {
    holds: (use) => orOtherType({ strings: [{ ...anyString, ...inside(use) }] }),
    fails: (use) => {
      const shape = outside(use)
      return shape ? onlyType({ strings: [{ ...anyString, ...shape }] }) : noValue
    },
  }
}

function patternOf(use: KeywordUse) {
  return use.solver.pattern(use.text(), use.place)
}

function formatOf(use: KeywordUse) {
  const term = formatTerm(use.solver.terms, use.text())
  if (term) return term
  throw use.unsupported(`the format ${JSON.stringify(use.text()).slice(0, 60)}, expected one of ${knownFormats.join(', ')}`)
}

const draftFormat = strings(
  (use) => ({ patterns: [formatOf(use)] }),
  (use) => ({ notPatterns: [formatOf(use)] }),
)

export const scalarKeywords: Readonly<Record<string, Keyword>> = {
  type,
  const: { holds: (use) => isValue(use, use.value), fails: (use) => isNotValue(use, use.value) },
  enum: { holds: (use) => isOneOf(use, listed(use)), fails: (use) => isNoneOf(use, listed(use)) },
  minimum: bound(from(false), upTo(true)),
  exclusiveMinimum: bound(from(true), upTo(false)),
  maximum: bound(upTo(false), from(true)),
  exclusiveMaximum: bound(upTo(true), from(false)),
  multipleOf: bound(
    (use) => ({ steps: [stepOf(use)] }),
    (use) => ({ notSteps: [stepOf(use)] }),
  ),
  minLength: strings(
    (use) => ({ min: use.count() }),
    (use) => (use.count() > 0 ? { max: use.count() - 1 } : undefined),
  ),
  maxLength: strings(
    (use) => ({ max: use.count() }),
    (use) => ({ min: use.count() + 1 }),
  ),
  pattern: strings(
    (use) => ({ patterns: [patternOf(use)] }),
    (use) => ({ notPatterns: [patternOf(use)] }),
  ),
  format: {
    holds: (use) => (isDraftFormat(use.text()) ? draftFormat.holds(use) : anyValue),
    fails: (use) => (isDraftFormat(use.text()) ? draftFormat.fails(use) : noValue),
  },
}
