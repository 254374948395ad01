// Sets of JSON values, type by type: for each type a list of alternatives, each a conjunction of simple conditions.
// Owns their union and their intersection. Conditions on parts (properties, items) are goals, looked at when the
// grammar is made.

import { MixtralError } from '../../../base/errors.js'
import { type Budget, LOOK } from '../budget.js'
import { compare, type Decimal } from '../decimals.js'
import type { NumberSet } from '../numbers.js'
import type { Term } from '../terms.js'
import type { Goal } from './goals.js'

export interface NumberShape extends NumberSet {
  /** The only numbers, undefined for no such list. */
  readonly values: readonly number[] | undefined
}

export interface StringShape {
  readonly values: readonly string[] | undefined
  readonly excluded: readonly string[]
  /** Terms over code points that the text is in, and is not in. */
  readonly patterns: readonly Term[]
  readonly notPatterns: readonly Term[]
  readonly min: number
  readonly max: number
}

export interface ArrayShape {
  /** Each asks for the first items one by one, and for all others. */
  readonly rules: readonly ItemRule[]
  readonly min: number
  readonly max: number
  /** How many items from a place on meet a goal. */
  readonly counted: readonly ItemCount[]
  /** Where `uniqueItems` stands. */
  readonly unique: string | undefined
  readonly evaluated: { readonly count: number; readonly byContains: boolean }
}
interface ItemRule {
  readonly prefix: readonly Goal[]
  readonly rest: Goal
}
export interface ItemCount {
  readonly goal: Goal
  readonly from: number
  readonly min: number
  readonly max: number
}

export interface ObjectShape {
  /** Each asks for properties by name and by pattern, and for all that it has not named. */
  readonly rules: readonly PropertyRule[]
  readonly required: readonly string[]
  readonly min: number
  readonly max: number
  readonly keys: readonly Goal[]
  /** Where `minProperties` stands, for an error. */
  readonly minAt: string
  readonly evaluated: { readonly names: readonly string[]; readonly patterns: readonly Term[]; readonly all: boolean }
}
interface PropertyRule {
  readonly names: ReadonlyMap<string, Goal>
  readonly patterns: readonly { readonly term: Term; readonly goal: Goal }[]
  readonly rest: Goal
}

export interface ValueShapes {
  readonly null: boolean
  readonly booleans: readonly boolean[]
  readonly numbers: readonly NumberShape[]
  readonly strings: readonly StringShape[]
  readonly arrays: readonly ArrayShape[]
  readonly objects: readonly ObjectShape[]
}

const noBound = { min: undefined, max: undefined, minExcluded: false, maxExcluded: false }
export const anyNumber: NumberShape = { integer: false, ...noBound, steps: [], notSteps: [], excluded: [], values: undefined }
export const anyString: StringShape = { values: undefined, excluded: [], patterns: [], notPatterns: [], min: 0, max: Infinity }
export const anyArray: ArrayShape = {
  rules: [],
  min: 0,
  max: Infinity,
  counted: [],
  unique: undefined,
  evaluated: { count: 0, byContains: false },
}
export const anyObject: ObjectShape = {
  rules: [],
  required: [],
  min: 0,
  max: Infinity,
  keys: [],
  minAt: '',
  evaluated: { names: [], patterns: [], all: false },
}
export const anyValue: ValueShapes = {
  null: true,
  booleans: [false, true],
  numbers: [anyNumber],
  strings: [anyString],
  arrays: [anyArray],
  objects: [anyObject],
}
export const noValue: ValueShapes = { null: false, booleans: [], numbers: [], strings: [], arrays: [], objects: [] }

/** Alternatives of one type: more would be the product of many choices, and a mask would walk them all. */
const MOST_ALTERNATIVES = 512
/** What the error says; the caller that catches it knows the place. */
export const TOO_MANY_ALTERNATIVES = `more than ${MOST_ALTERNATIVES} alternatives of one type`

/** Throws a MixtralError `UNSUPPORTED` for more alternatives of one type than there may be: before they are made. */
export function checkAlternatives(count: number): void {
  if (count > MOST_ALTERNATIVES) throw new MixtralError('UNSUPPORTED', TOO_MANY_ALTERNATIVES)
}

/** The values of any of them. */
export function unionOf(all: readonly ValueShapes[], budget: Budget): ValueShapes {
  return {
    null: all.some((shapes) => shapes.null),
    booleans: [...new Set(all.flatMap((shapes) => shapes.booleans))],
    numbers: distinct(
      all.flatMap((shapes) => shapes.numbers),
      budget,
    ),
    strings: distinct(
      all.flatMap((shapes) => shapes.strings),
      budget,
    ),
    arrays: distinct(
      all.flatMap((shapes) => shapes.arrays),
      budget,
    ),
    objects: distinct(
      all.flatMap((shapes) => shapes.objects),
      budget,
    ),
  }
}

/** The values that are in both. */
export function intersectionOf(a: ValueShapes, b: ValueShapes, budget: Budget): ValueShapes {
  budget.spend(1 / 4)
  return {
    null: a.null && b.null,
    booleans: a.booleans.filter((value) => b.booleans.includes(value)),
    numbers: pairwise(a.numbers, b.numbers, anyNumber, budget, bothNumbers),
    strings: pairwise(a.strings, b.strings, anyString, budget, bothStrings),
    arrays: pairwise(a.arrays, b.arrays, anyArray, budget, bothArrays),
    objects: pairwise(a.objects, b.objects, anyObject, budget, bothObjects),
  }
}

function pairwise<T>(
  a: readonly T[],
  b: readonly T[],
  any: T,
  budget: Budget,
  both: (a: T, b: T, budget: Budget) => T | undefined,
): readonly T[] {
  if (a.length === 1 && a[0] === any) return b
  if (b.length === 1 && b[0] === any) return a
  if (a.length * b.length > 16 * MOST_ALTERNATIVES) throw new MixtralError('UNSUPPORTED', TOO_MANY_ALTERNATIVES)
  budget.spend((a.length * b.length) / 4)
  const each = a.flatMap((left) => b.flatMap((right) => (left === right ? left : (both(left, right, budget) ?? []))))
  return distinct(each, budget)
}

/** Alternatives that ask for the same once. */
function distinct<T>(shapes: readonly T[], budget: Budget): readonly T[] {
  if (shapes.length < 2) return shapes
  const each = new Map<string, T>()
  for (const shape of shapes) {
    const key = JSON.stringify(shape, written)
    budget.spend(1 + LOOK * key.length)
    each.set(key, shape)
    checkAlternatives(each.size)
  }
  return [...each.values()]
}

const numbersOfRules = new WeakMap<object, number>()
let rules = 0

/** Parts of a shape in a key: goals and terms by what identifies them, rules by number. */
function written(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString()
  if (value === Infinity) return 'Infinity'
  if (typeof value !== 'object' || value === null) return value
  if ('literals' in value) return (value as Goal).key
  if ('kind' in value) return (value as Term).id
  if ('rest' in value) {
    const number = numbersOfRules.get(value) ?? rules++
    numbersOfRules.set(value, number)
    return number
  }
  return value
}

function bothNumbers(a: NumberShape, b: NumberShape, budget: Budget): NumberShape {
  const low = tighter({ at: a.min, excluded: a.minExcluded }, { at: b.min, excluded: b.minExcluded }, 1)
  const high = tighter({ at: a.max, excluded: a.maxExcluded }, { at: b.max, excluded: b.maxExcluded }, -1)
  return {
    integer: a.integer || b.integer,
    min: low.at,
    minExcluded: low.excluded,
    max: high.at,
    maxExcluded: high.excluded,
    steps: merged(a.steps, b.steps, budget),
    notSteps: merged(a.notSteps, b.notSteps, budget),
    excluded: merged(a.excluded, b.excluded, budget),
    values: common(a.values, b.values, budget),
  }
}

interface Bound {
  readonly at: Decimal | undefined
  readonly excluded: boolean
}

/** The bound that leaves less: the higher one for `direction` 1, the lower one for -1. */
function tighter(a: Bound, b: Bound, direction: 1 | -1): Bound {
  if (a.at === undefined || b.at === undefined) return a.at === undefined ? b : a
  const order = compare(a.at, b.at) * direction
  return order === 0 ? { at: a.at, excluded: a.excluded || b.excluded } : order > 0 ? a : b
}

function bothStrings(a: StringShape, b: StringShape, budget: Budget): StringShape | undefined {
  const shape = {
    values: common(a.values, b.values, budget),
    excluded: merged(a.excluded, b.excluded, budget),
    patterns: merged(a.patterns, b.patterns, budget),
    notPatterns: merged(a.notPatterns, b.notPatterns, budget),
    min: Math.max(a.min, b.min),
    max: Math.min(a.max, b.max),
  }
  return shape.min <= shape.max && shape.values?.length !== 0 ? shape : undefined
}

function bothArrays(a: ArrayShape, b: ArrayShape, budget: Budget): ArrayShape | undefined {
  const shape = {
    rules: merged(a.rules, b.rules, budget),
    min: Math.max(a.min, b.min),
    max: Math.min(a.max, b.max),
    counted: merged(a.counted, b.counted, budget),
    unique: a.unique ?? b.unique,
    evaluated: {
      count: Math.max(a.evaluated.count, b.evaluated.count),
      byContains: a.evaluated.byContains || b.evaluated.byContains,
    },
  }
  return shape.min <= shape.max ? shape : undefined
}

function bothObjects(a: ObjectShape, b: ObjectShape, budget: Budget): ObjectShape | undefined {
  const shape = {
    rules: merged(a.rules, b.rules, budget),
    required: merged(a.required, b.required, budget),
    min: Math.max(a.min, b.min),
    max: Math.min(a.max, b.max),
    keys: merged(a.keys, b.keys, budget),
    minAt: a.min >= b.min ? a.minAt : b.minAt,
    evaluated: {
      names: merged(a.evaluated.names, b.evaluated.names, budget),
      patterns: merged(a.evaluated.patterns, b.evaluated.patterns, budget),
      all: a.evaluated.all || b.evaluated.all,
    },
  }
  budget.spend(LOOK * shape.required.length * shape.rules.length)
  const impossible = shape.required.some((name) => shape.rules.some((rule) => rule.names.get(name)?.key === 'never'))
  return shape.min <= shape.max && !impossible ? shape : undefined
}

function merged<T>(a: readonly T[], b: readonly T[], budget: Budget): readonly T[] {
  if (a.length === 0 || b.length === 0) return a.length === 0 ? b : a
  budget.spend(4 * LOOK * (a.length + b.length))
  return [...new Set([...a, ...b])]
}

function common<T>(a: readonly T[] | undefined, b: readonly T[] | undefined, budget: Budget): readonly T[] | undefined {
  if (a === undefined || b === undefined) return a ?? b
  budget.spend(4 * LOOK * (a.length + b.length))
  const others = new Set(b)
  return a.filter((value) => others.has(value))
}

/** The same values, of which nothing counts as evaluated: by a schema that fails, or a value that is compared. */
export function unseen(shapes: ValueShapes): ValueShapes {
  return {
    ...shapes,
    arrays: shapes.arrays.map((shape) => ({ ...shape, evaluated: anyArray.evaluated })),
    objects: shapes.objects.map((shape) => ({ ...shape, evaluated: anyObject.evaluated })),
  }
}
