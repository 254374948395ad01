// The values of a Jinja template, which are Python's: texts, whole numbers and floats, lists and dicts. A whole number
// is a number, or its digits where a number has not room for them; None is null. Owns truth, equality and order.

import { comparePoints, Text } from '../templates/markedText.js'
import type { WorkBudget } from '../templates/workBudget.js'

export type Value = Text | number | LongWhole | boolean | null | Float | Undefined | List | Dict | Namespace | Callable | LoopState

export class Float {
  readonly value: number
  constructor(value: number) {
    this.value = value
  }
}

/** A whole number that is beyond the safe ones, as its digits: it prints and compares, and is not computed with. */
export class LongWhole {
  /** With a minus where it is negative, without zeros in front. */
  readonly digits: string

  constructor(digits: string) {
    this.digits = digits
  }

  get negated(): LongWhole {
    return new LongWhole(this.digits.startsWith('-') ? this.digits.slice(1) : `-${this.digits}`)
  }
}

/** A whole number of digits, with a minus where it is negative. */
export function wholeOf(digits: string): number | LongWhole {
  const number = Number(digits)
  return Number.isSafeInteger(number) ? number + 0 : new LongWhole(digits.replace(/^(-?)0+/, '$1'))
}

/** What is absent: it prints as nothing, has no items, and is an error only where it is used as something. */
export class Undefined {
  readonly what: string
  constructor(what: string) {
    this.what = what
  }

  get error(): Error {
    return new Error(`${this.what} is undefined`)
  }
}

/**
 * A list, and what else has items in order: a tuple; a view of a dict or a range, which `label` names; a generator, as
 * most filters return it, which has no length and gives its items once.
 */
export class List {
  readonly kind: 'list' | 'tuple' | 'view' | 'range' | 'generator'
  readonly label: string
  /** Names of the items of a tuple. */
  readonly names: readonly string[]
  #items: readonly Value[]

  constructor(items: readonly Value[], kind: List['kind'] = 'list', label = '', names: readonly string[] = []) {
    this.#items = items
    this.kind = kind
    this.label = label
    this.names = names
  }

  get items(): readonly Value[] {
    const items = this.#items
    if (this.kind === 'generator') this.#items = []
    return items
  }
}

export class Dict {
  readonly #entries = new Map<string, readonly [Value, Value]>()

  static of(entries: Iterable<readonly [Value, Value]>): Dict {
    const dict = new Dict()
    for (const [key, value] of entries) dict.set(key, value)
    return dict
  }

  set(key: Value, value: Value): void {
    const hash = hashOf(key)
    const known = this.#entries.get(hash)
    this.#entries.set(hash, [known ? known[0] : key, value])
  }

  get(key: Value): Value | undefined {
    return key instanceof Text && key.isLong ? undefined : this.#entries.get(hashOf(key))?.[1]
  }

  /** The value under a text. */
  named(key: string): Value | undefined {
    return this.#entries.get(`t${key}`)?.[1]
  }

  get entries(): (readonly [Value, Value])[] {
    return [...this.#entries.values()]
  }

  get size(): number {
    return this.#entries.size
  }
}

/** The one value that a template may change. */
export class Namespace {
  readonly fields = new Map<string, Value>()
}

export interface Arguments {
  readonly list: readonly Value[]
  readonly named: ReadonlyMap<string, Value>
}

export class Callable {
  readonly name: string
  readonly call: (args: Arguments) => Value
  /** What it has besides. */
  readonly fields: ReadonlyMap<string, Value>

  constructor(name: string, call: (args: Arguments) => Value, fields: ReadonlyMap<string, Value> = new Map()) {
    this.name = name
    this.call = call
    this.fields = fields
  }
}

/** The variable `loop`. */
export class LoopState {
  readonly items: readonly Value[]
  readonly depth: number
  readonly again: ((items: Value) => Value) | undefined
  index = 0
  last: readonly Value[] | undefined

  constructor(items: readonly Value[], depth: number, again: ((items: Value) => Value) | undefined) {
    this.items = items
    this.depth = depth
    this.again = again
  }
}

/** A value, or another where there is none; None is one. */
export function orElse<Other>(value: Value | undefined, other: Other): Value | Other {
  return value === undefined ? other : value
}

/** What a dict finds a key by. Throws an Error for a value that can be no key. */
function hashOf(key: Value): string {
  if (key instanceof Text && !key.isLong) return `t${key.value}`
  if (key instanceof LongWhole) return `n${key.digits}`
  const number = numberOf(key)
  if (number !== undefined) return `n${number}`
  if (key === null) return 'none'
  if (key instanceof List && key.kind === 'tuple') {
    const parts = key.items.map(hashOf)
    const length = parts.reduce((sum, part) => sum + part.length, 0)
    if (length > 10_000) throw new Error('a key that is too long')
    return `(${parts.map((part) => `${part.length}:${part}`).join('')})`
  }
  if (key instanceof Undefined) return 'undefined'
  throw new Error(`a ${key instanceof Text ? 'long ' : ''}${typeName(key)} as a key`)
}

/** A whole number, a float or a boolean as a number: of a long one, the nearest. */
export function numberOf(value: Value): number | undefined {
  if (typeof value === 'number') return value
  if (typeof value === 'boolean') return Number(value)
  return value instanceof Float ? value.value : value instanceof LongWhole ? Number(value.digits) : undefined
}

/** The name of a value's type, as Python has it. */
export function typeName(value: Value): string {
  if (value === null) return 'NoneType'
  if (value instanceof Text) return 'str'
  if (typeof value === 'number' || value instanceof LongWhole) return 'int'
  if (typeof value === 'boolean') return 'bool'
  if (value instanceof Float) return 'float'
  if (value instanceof List) return value.kind === 'view' ? value.label : value.kind
  if (value instanceof Dict) return 'dict'
  return value instanceof Namespace
    ? 'Namespace'
    : value instanceof Callable
      ? 'function'
      : value instanceof LoopState
        ? 'loop'
        : 'Undefined'
}

export function isTrue(value: Value): boolean {
  if (value === null || value instanceof Undefined) return false
  if (value instanceof Text) return value.value !== ''
  const number = numberOf(value)
  if (number !== undefined) return number !== 0
  if (value instanceof List) return value.kind === 'generator' || value.items.length > 0
  return !(value instanceof Dict) || value.size > 0
}

/** The items that a loop over a value has. Throws an Error for a value without items. */
export function itemsOf(value: Value, budget: WorkBudget): readonly Value[] {
  if (value instanceof Undefined) return []
  if (value instanceof List) return value.items
  if (value instanceof Dict) {
    budget.makeItems(value.size)
    return value.entries.map(([key]) => key)
  }
  if (value instanceof Text) return charactersOf(value, budget)
  if (value instanceof LoopState) return value.items.slice(value.index).map((item) => new List([item, value], 'tuple'))
  throw new Error(`a value of type ${typeName(value)}, which has no items`)
}

/** The characters of a text. */
export function charactersOf(text: Text, budget: WorkBudget): Text[] {
  budget.makeItems(text.length)
  budget.spend(16 * text.runs.length)
  const characters: Text[] = []
  for (let at = 0; at < text.length; ) {
    const end = at + (text.value.codePointAt(at)! > 0xffff ? 2 : 1)
    characters.push(text.slice(at, end))
    at = end
  }
  return characters
}

/** The number of items. Throws an Error for a value without a length. */
export function lengthOf(value: Value, budget: WorkBudget): number {
  if (value instanceof Text) {
    budget.spend(value.length)
    return value.length - (value.value.match(/[\ud800-\udbff][\udc00-\udfff]/g)?.length ?? 0)
  }
  if (value instanceof Undefined) return 0
  if (value instanceof List && value.kind !== 'generator') return value.items.length
  if (value instanceof Dict) return value.size
  if (value instanceof LoopState) return value.items.length
  throw new Error(`a value of type ${typeName(value)}, which has no length`)
}

export function areEqual(a: Value, b: Value, budget: WorkBudget): boolean {
  budget.countStep()
  if (a instanceof Text || b instanceof Text) {
    if (!(a instanceof Text && b instanceof Text) || a.length !== b.length) return false
    budget.spend(a.length)
    return a.value === b.value
  }
  if (a instanceof LongWhole || b instanceof LongWhole) return exactDigits(a) !== undefined && exactDigits(a) === exactDigits(b)
  const [left, right] = [numberOf(a), numberOf(b)]
  if (left !== undefined || right !== undefined) return left === right
  if (a instanceof Undefined && b instanceof Undefined) return true
  if (a === b) return true
  budget.enter()
  let equal = false
  if (a instanceof List && b instanceof List && a.kind === b.kind && a.kind !== 'generator') {
    equal = a.items.length === b.items.length && a.items.every((item, index) => areEqual(item, b.items[index]!, budget))
  } else if (a instanceof Dict && b instanceof Dict && a.size === b.size) {
    equal = a.entries.every(([key, value]) => {
      const other = b.get(key)
      return other !== undefined && areEqual(value, other, budget)
    })
  }
  budget.leave()
  return equal
}

/** The digits of a value that may equal a long number. */
function exactDigits(value: Value): string | undefined {
  if (value instanceof LongWhole) return value.digits
  return value instanceof Float && Number.isInteger(value.value) ? String(BigInt(value.value)) : undefined
}

/** Below 0 if `a` comes first, above if `b`. Throws an Error for values without an order. */
export function compare(a: Value, b: Value, budget: WorkBudget): number {
  budget.countStep()
  if (a instanceof Text && b instanceof Text) {
    budget.spend(Math.min(a.length, b.length))
    return comparePoints(a.value, b.value)
  }
  if (a instanceof LongWhole && b instanceof LongWhole) return compareDigits(a.digits, b.digits)
  const [left, right] = [numberOf(a), numberOf(b)]
  if (left !== undefined && right !== undefined) return left - right
  if (a instanceof List && b instanceof List && a.kind === b.kind && (a.kind === 'list' || a.kind === 'tuple')) {
    budget.enter()
    const [first, second] = [a.items, b.items]
    const at = first.findIndex((item, index) => index >= second.length || !areEqual(item, second[index]!, budget))
    const order = at < 0 || at >= second.length ? first.length - second.length : compare(first[at]!, second[at]!, budget)
    budget.leave()
    return order
  }
  if (a instanceof Undefined) throw a.error
  if (b instanceof Undefined) throw b.error
  throw new Error(`a comparison of ${typeName(a)} and ${typeName(b)}, which have no order`)
}

function compareDigits(a: string, b: string): number {
  const isNegative = a.startsWith('-')
  if (isNegative !== b.startsWith('-')) return isNegative ? -1 : 1
  const order = a.length !== b.length ? a.length - b.length : a < b ? -1 : a === b ? 0 : 1
  return isNegative ? -order : order
}
