// The operators of Jinja: arithmetic as Python has it, texts and lists that are added and repeated, `in`, items and
// slices.

import { Text } from '../templates/markedText.js'
import type { WorkBudget } from '../templates/workBudget.js'
import { formatPercent } from './format.js'
import type { Comparison } from './tree.js'
import { areEqual, compare, Dict, Float, itemsOf, List, LongWhole, lengthOf, numberOf, typeName, Undefined, type Value } from './values.js'

export function binary(operator: string, a: Value, b: Value, budget: WorkBudget): Value {
  if (a instanceof Undefined) throw a.error
  if (operator === '%' && a instanceof Text) return formatPercent(a, b, budget)
  if (b instanceof Undefined) throw b.error
  if (operator === '+' && a instanceof Text && b instanceof Text) {
    budget.make(a.length + b.length)
    return Text.concat([a, b])
  }
  if (operator === '+' && a instanceof List && b instanceof List && a.kind === b.kind && isSequence(a)) {
    budget.makeItems(a.items.length + b.items.length)
    return new List([...a.items, ...b.items], a.kind)
  }
  if (operator === '*') {
    const times = isRepeatable(a) ? b : isRepeatable(b) ? a : undefined
    if (typeof times === 'number' || typeof times === 'boolean') return repeated(isRepeatable(a) ? a : b, Number(times), budget)
  }
  const [left, right] = [numberOf(a), numberOf(b)]
  if (left === undefined || right === undefined) throw new Error(`${typeName(a)} ${operator} ${typeName(b)}`)
  const isFloat = a instanceof Float || b instanceof Float || operator === '/' || (operator === '**' && right < 0)
  const value = arithmetic(operator, left, right)
  if (isFloat) return new Float(value)
  if (!Number.isSafeInteger(value) || a instanceof LongWhole || b instanceof LongWhole)
    throw new Error(`a whole number as large as ${left} ${operator} ${right}`)
  return value === 0 ? 0 : value // not -0
}

function arithmetic(operator: string, a: number, b: number): number {
  if (b === 0 && (operator === '/' || operator === '//' || operator === '%')) throw new Error('a division by zero')
  switch (operator) {
    case '+':
      return a + b
    case '-':
      return a - b
    case '*':
      return a * b
    case '/':
      return a / b
    case '//':
      return Math.floor(a / b)
    case '%': {
      const rest = a % b
      return rest !== 0 && rest < 0 !== b < 0 ? rest + b : rest
    }
    default:
      return a ** b
  }
}

function isSequence(value: Value): value is List {
  return value instanceof List && (value.kind === 'list' || value.kind === 'tuple')
}

function isRepeatable(value: Value): boolean {
  return value instanceof Text || isSequence(value)
}

function repeated(value: Value, times: number, budget: WorkBudget): Value {
  const count = Math.max(0, times)
  if (value instanceof Text) {
    budget.make(value.length * count)
    if (value.runs.length === 0) return new Text(value.value.repeat(count))
    budget.makeItems(value.runs.length * count)
    return Text.concat(Array.from({ length: count }, () => value))
  }
  const { items, kind } = value as List
  budget.makeItems(items.length * count)
  return new List(Array.from({ length: count }, () => items).flat(), kind)
}

/** A number with its sign changed, or not. */
export function signed(value: Value, isMinus: boolean): Value {
  if (value instanceof Undefined) throw value.error
  if (value instanceof LongWhole) return isMinus ? value.negated : value
  const number = numberOf(value)
  if (number === undefined) throw new Error(`a sign before a value of type ${typeName(value)}`)
  const result = isMinus ? -number : number
  return value instanceof Float ? new Float(result) : result === 0 ? 0 : result
}

export function compares(operator: Comparison, a: Value, b: Value, budget: WorkBudget): boolean {
  switch (operator) {
    case '==':
      return areEqual(a, b, budget)
    case '!=':
      return !areEqual(a, b, budget)
    case 'in':
      return contains(b, a, budget)
    case 'not in':
      return !contains(b, a, budget)
    case '<':
      return compare(a, b, budget) < 0
    case '<=':
      return compare(a, b, budget) <= 0
    case '>':
      return compare(a, b, budget) > 0
    case '>=':
      return compare(a, b, budget) >= 0
  }
}

function contains(of: Value, value: Value, budget: WorkBudget): boolean {
  if (of instanceof Text) {
    if (value instanceof Undefined) throw value.error
    if (!(value instanceof Text)) throw new Error(`a value of type ${typeName(value)} in a text`)
    budget.checkSearch(of.value, value.value)
    return of.value.includes(value.value)
  }
  if (of instanceof Dict) return of.get(value) !== undefined
  return itemsOf(of, budget).some((item) => areEqual(item, value, budget))
}

/** An item by its index; undefined if there is none. */
export function itemAt(of: Value, key: Value, budget: WorkBudget): Value | undefined {
  if (of instanceof Dict) return key instanceof List && key.kind !== 'tuple' ? undefined : of.get(key)
  const index = key instanceof Float ? undefined : numberOf(key)
  if (index === undefined) return undefined
  if (of instanceof Text && of.runs.length === 0 && !/[\ud800-\udfff]/.test(of.value)) {
    budget.spend(of.length)
    const unit = of.value.at(index)
    return unit === undefined ? undefined : new Text(unit)
  }
  if (of instanceof Text) {
    const places = pointPlaces(of.value, budget)
    const at = index < 0 ? places.length - 1 + index : index
    return at < 0 || at >= places.length - 1 ? undefined : of.slice(places[at]!, places[at + 1]!)
  }
  return of instanceof List && of.kind !== 'generator' && of.kind !== 'view' ? of.items.at(index) : undefined
}

/** The places of all code points of a text, and its end. */
function pointPlaces(text: string, budget: WorkBudget): number[] {
  budget.spend(2 * text.length)
  const places: number[] = []
  for (let at = 0; at < text.length; at += text.codePointAt(at)! > 0xffff ? 2 : 1) places.push(at)
  return [...places, text.length]
}

export function sliced(of: Value, bounds: readonly (Value | undefined)[], budget: WorkBudget): Value {
  if (of instanceof Undefined) throw of.error
  const isText = of instanceof Text
  if (!isText && (!(of instanceof List) || of.kind === 'generator' || of.kind === 'view')) throw new Error(`a slice of a ${typeName(of)}`)
  const [start, stop, step = 1] = bounds.map((bound) => {
    if (bound === undefined || bound === null) return undefined
    if (typeof bound !== 'number' && typeof bound !== 'boolean') throw new Error(`a slice at a value of type ${typeName(bound)}`)
    return Number(bound)
  })
  if (step === 0) throw new Error('a slice with the step 0')
  const length = lengthOf(of, budget)
  const clamp = (index: number | undefined, absent: number) => {
    if (index === undefined) return absent
    const at = index < 0 ? index + length : index
    return step > 0 ? Math.min(Math.max(at, 0), length) : Math.min(Math.max(at, -1), length - 1)
  }
  const from = clamp(start, step > 0 ? 0 : length - 1)
  const to = clamp(stop, step > 0 ? length : -1)
  const count = Math.max(0, Math.ceil((to - from) / step))
  if (isText) return slicedText(of, from, count, step, length, budget)
  budget.makeItems(count)
  const items =
    step === 1 ? of.items.slice(from, from + count) : Array.from({ length: count }, (_, index) => of.items[from + index * step]!)
  return of.kind === 'range' ? rangeOf(items as readonly number[], step, of) : new List(items, of.kind)
}

/** A part of a range, which is a range of its own. */
function rangeOf(items: readonly number[], step: number, of: List): List {
  const all = of.items as readonly number[]
  const by = step * (all.length > 1 ? all[1]! - all[0]! : 1)
  const start = items[0] ?? 0
  return new List(items, 'range', `range(${start}, ${start + by * items.length}${by === 1 ? '' : `, ${by}`})`)
}

function slicedText(text: Text, from: number, count: number, step: number, length: number, budget: WorkBudget): Text {
  budget.spend(count)
  if (length === text.length && step === 1) return text.slice(from, from + count)
  const places = length === text.length ? undefined : pointPlaces(text.value, budget)
  const place = (index: number) => (places ? places[index]! : index)
  if (step === 1) return text.slice(place(from), place(from + count))
  budget.makeItems(count)
  return Text.concat(Array.from({ length: count }, (_, index) => text.slice(place(from + index * step), place(from + index * step + 1))))
}
