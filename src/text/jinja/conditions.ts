// The tests of Jinja, which stand behind `is`.

import { Text } from '../templates/markedText.js'
import type { WorkBudget } from '../templates/workBudget.js'
import { compares } from './operators.js'
import { Parameters } from './parameters.js'
import { textOf } from './printing.js'
import { isOfCase } from './textMethods.js'
import type { Comparison } from './tree.js'
import { type Arguments, Callable, Dict, Float, List, LongWhole, LoopState, numberOf, typeName, Undefined, type Value } from './values.js'

export type Condition = (value: Value, args: Arguments, budget: WorkBudget) => boolean

const COMPARING: readonly (readonly [Comparison, readonly string[]])[] = [
  ['==', ['==', 'eq', 'equalto']],
  ['!=', ['!=', 'ne']],
  ['<', ['<', 'lt', 'lessthan']],
  ['<=', ['<=', 'le']],
  ['>', ['>', 'gt', 'greaterthan']],
  ['>=', ['>=', 'ge']],
  ['in', ['in']],
]

function whole(value: Value): number {
  if (value instanceof Undefined) throw value.error
  if (value instanceof LongWhole) throw new Error(`a whole number of ${value.digits.length} digits`)
  const number = numberOf(value)
  if (number === undefined) throw new Error(`a number is expected, not a ${typeName(value)}`)
  return number
}

/** That of a long number, which decides whether it is odd; another value itself. */
function lastDigit(value: Value): Value {
  return value instanceof LongWhole ? Number(value.digits.at(-1)) : value
}

export const CONDITIONS: ReadonlyMap<string, Condition> = new Map<string, Condition>([
  ...COMPARING.flatMap(([operator, names]) =>
    names.map((name): [string, Condition] => [
      name,
      (value, args, budget) => compares(operator, value, new Parameters(name, args, ['other']).required('other'), budget),
    ]),
  ),
  ['defined', (value) => !(value instanceof Undefined)],
  ['undefined', (value) => value instanceof Undefined],
  ['none', (value) => value === null],
  ['boolean', (value) => typeof value === 'boolean'],
  ['true', (value) => value === true],
  ['false', (value) => value === false],
  ['integer', (value) => typeof value === 'number' || value instanceof LongWhole],
  ['float', (value) => value instanceof Float],
  ['number', (value) => numberOf(value) !== undefined],
  ['string', (value) => value instanceof Text],
  ['mapping', (value) => value instanceof Dict],
  ['sequence', (value) => value instanceof Text || value instanceof Dict || value instanceof Undefined || isIndexed(value)],
  [
    'iterable',
    (value) =>
      value instanceof Text || value instanceof Dict || value instanceof Undefined || value instanceof List || value instanceof LoopState,
  ],
  ['callable', (value) => value instanceof Callable || value instanceof Undefined],
  ['escaped', () => false],
  ['odd', (value) => Math.abs(whole(lastDigit(value)) % 2) === 1],
  ['even', (value) => whole(lastDigit(value)) % 2 === 0],
  [
    'divisibleby',
    (value, args) => {
      const by = whole(new Parameters('divisibleby', args, ['num']).required('num'))
      if (by === 0) throw new Error('a division by zero')
      return whole(value) % by === 0
    },
  ],
  [
    'sameas',
    (value, args) => {
      const other = new Parameters('sameas', args, ['other']).required('other')
      return value === other || (value instanceof Text && other instanceof Text && value.value === other.value)
    },
  ],
  ['upper', (value, _, budget) => isOfCase(textOf(value, budget).value, true)],
  ['lower', (value, _, budget) => isOfCase(textOf(value, budget).value, false)],
])

function isIndexed(value: Value): boolean {
  return value instanceof List && (value.kind === 'list' || value.kind === 'tuple' || value.kind === 'range')
}
