// The filters of Jinja that take lists. Most return what Python calls a generator: it has no length, and gives its
// items once.

import { createHash } from 'node:crypto'
import { Text } from '../templates/markedText.js'
import type { WorkBudget } from '../templates/workBudget.js'
import { joined } from './composing.js'
import { binary } from './operators.js'
import { type FilterFunction, Parameters, type Surroundings } from './parameters.js'
import { plain, textOf } from './printing.js'
import {
  type Arguments,
  areEqual,
  charactersOf,
  compare,
  Dict,
  isTrue,
  itemsOf,
  List,
  orElse,
  typeName,
  Undefined,
  type Value,
} from './values.js'

export const LIST_FILTERS: ReadonlyMap<string, FilterFunction> = new Map<string, FilterFunction>([
  ['list', (value, _, { budget }) => new List(itemsOf(value, budget))],
  ['first', (value, _, { budget }) => orElse(itemsOf(value, budget)[0], new Undefined('the first item'))],
  ['last', (value, _, { budget }) => orElse(reversible(value, budget).at(-1), new Undefined('the last item'))],
  ['random', (value, _, { budget }) => orElse(reversible(value, budget)[0], new Undefined('an item'))],
  ['join', join],
  [
    'reverse',
    (value, _, { budget }) =>
      value instanceof Text
        ? Text.concat(charactersOf(value, budget).reverse())
        : generator([...reversible(value, budget)].reverse(), budget),
  ],
  ['items', (value, _, { budget }) => generator(pairsOf(value), budget)],
  ['map', map],
  ['select', (value, args, around) => selected(value, args, around, true, false)],
  ['reject', (value, args, around) => selected(value, args, around, false, false)],
  ['selectattr', (value, args, around) => selected(value, args, around, true, true)],
  ['rejectattr', (value, args, around) => selected(value, args, around, false, true)],
  ['sort', sort],
  ['dictsort', sortDict],
  ['unique', unique],
  ['groupby', group],
  ['min', (value, args, around) => extreme('min', value, args, around, -1)],
  ['max', (value, args, around) => extreme('max', value, args, around, 1)],
  ['sum', sum],
  ['batch', batch],
  ['slice', slices],
])

function generator(items: readonly Value[], budget: WorkBudget): List {
  budget.makeItems(items.length)
  return new List(items, 'generator')
}

function reversible(value: Value, budget: WorkBudget): readonly Value[] {
  if (value instanceof List && value.kind === 'generator') throw new Error('a generator has no last item')
  return itemsOf(value, budget)
}

function pairsOf(value: Value): Value[] {
  if (value instanceof Undefined) return []
  if (!(value instanceof Dict)) throw new Error(`items of a ${typeName(value)}, expected a dict`)
  return value.entries.map((pair) => new List(pair, 'tuple'))
}

/** A function that gets an attribute, `a.b` one in another; of items themselves where none is named. */
function getter(attribute: Value | undefined, { item, budget }: Surroundings, absent?: Value): (value: Value) => Value {
  if (attribute === undefined || attribute === null) return (value) => value
  const keys: Value[] =
    attribute instanceof Text ? attribute.value.split('.').map((part) => (/^\d+$/.test(part) ? Number(part) : plain(part))) : [attribute]
  return (value) => {
    budget.countStep()
    const found = keys.reduce<Value>((of, key) => item(of, key), value)
    return found instanceof Undefined && absent !== undefined ? absent : found
  }
}

/** A function that gets what is compared: without a difference of case, unless that is asked for. */
function keyOf(given: Parameters, around: Surroundings, attribute = given.value('attribute'), absent?: Value): (value: Value) => Value {
  const get = getter(attribute, around, absent)
  if (given.flag('case_sensitive')) return get
  return (value) => withoutCase(get(value), around.budget)
}

function withoutCase(value: Value, budget: WorkBudget): Value {
  if (!(value instanceof Text)) return value
  budget.spend(value.length)
  return plain(value.value.toLowerCase())
}

function join(value: Value, args: Arguments, around: Surroundings): Value {
  const given = new Parameters('join', args, ['d', 'attribute'])
  const get = getter(given.value('attribute'), around)
  const { budget } = around
  const texts = itemsOf(value, budget).map((item) => textOf(get(item), budget))
  return joined(texts, textOf(given.value('d') ?? Text.empty, budget), budget)
}

function map(value: Value, { list, named }: Arguments, around: Surroundings): Value {
  const items = itemsOf(value, around.budget)
  if (list.length === 0 && named.has('attribute')) {
    const given = new Parameters('map', { list, named }, ['attribute', 'default'])
    if (named.size > (named.has('default') ? 2 : 1)) throw new Error('map with unknown arguments')
    return generator(items.map(getter(given.value('attribute'), around, given.value('default'))), around.budget)
  }
  const [name, ...rest] = list
  if (!(name instanceof Text)) throw new Error('map without the name of a filter')
  return generator(
    items.map((item) => {
      around.budget.countStep()
      return around.filter(name.value, item, { list: rest, named })
    }),
    around.budget,
  )
}

function selected(value: Value, { list, named }: Arguments, around: Surroundings, keeps: boolean, hasAttribute: boolean): Value {
  const [attribute, others] = hasAttribute ? [list[0], list.slice(1)] : [undefined, list]
  if (hasAttribute && attribute === undefined) throw new Error('selectattr without an attribute')
  const get = getter(attribute, around)
  const [name, ...rest] = others
  if (name !== undefined && !(name instanceof Text)) throw new Error('select with a test that is no name')
  const test = (item: Value) => (name ? around.test(name.value, item, { list: rest, named }) : isTrue(item))
  const kept = itemsOf(value, around.budget).filter((item) => {
    around.budget.countStep()
    return test(get(item)) === keeps
  })
  return generator(kept, around.budget)
}

/** Items in order; those that are equal stay as they are. */
function ordered(items: readonly Value[], key: (value: Value) => Value, budget: WorkBudget, reverse = false): Value[] {
  budget.makeItems(items.length)
  const keyed = items.map((item) => ({ item, key: key(item) }))
  const sign = reverse ? -1 : 1
  return keyed.sort((a, b) => sign * compare(a.key, b.key, budget)).map(({ item }) => item)
}

function sort(value: Value, args: Arguments, around: Surroundings): Value {
  const given = new Parameters('sort', args, ['reverse', 'case_sensitive', 'attribute'])
  const attribute = given.value('attribute')
  const parts: Value[] = attribute instanceof Text ? attribute.value.split(',').map((part) => plain(part.trim())) : [attribute ?? null]
  const keys = parts.map((part) => keyOf(given, around, part))
  const key = (item: Value) => (keys.length === 1 ? keys[0]!(item) : new List(keys.map((get) => get(item))))
  return new List(ordered(itemsOf(value, around.budget), key, around.budget, given.flag('reverse')))
}

function sortDict(value: Value, args: Arguments, around: Surroundings): Value {
  const given = new Parameters('dictsort', args, ['case_sensitive', 'by', 'reverse'])
  const by = given.text('by')?.value ?? 'key'
  if (by !== 'key' && by !== 'value') throw new Error(`dictsort by ${by}, expected key or value`)
  const key = keyOf(given, around, by === 'key' ? 0 : 1)
  return new List(ordered(pairsOf(value), key, around.budget, given.flag('reverse')))
}

/** A long text by its digest, in a tuple, which is no text. */
function shortKey(value: Value, budget: WorkBudget): Value {
  if (!(value instanceof Text && value.isLong)) return value
  budget.spend(value.length)
  return new List([plain(createHash('sha256').update(value.value, 'utf16le').digest('hex'))], 'tuple')
}

function unique(value: Value, args: Arguments, around: Surroundings): Value {
  const key = keyOf(new Parameters('unique', args, ['case_sensitive', 'attribute']), around)
  const seen = new Dict()
  const kept = itemsOf(value, around.budget).filter((item) => {
    around.budget.countStep()
    const found = shortKey(key(item), around.budget)
    if (seen.get(found) !== undefined) return false
    seen.set(found, true)
    return true
  })
  return generator(kept, around.budget)
}

function group(value: Value, args: Arguments, around: Surroundings): Value {
  const { budget } = around
  const given = new Parameters('groupby', args, ['attribute', 'default', 'case_sensitive'])
  const attribute = given.required('attribute')
  const key = keyOf(given, around, attribute, given.value('default'))
  const get = getter(attribute, around, given.value('default'))
  const groups: { key: Value; name: Value; items: Value[] }[] = []
  for (const item of ordered(itemsOf(value, budget), key, budget)) {
    const found = key(item)
    const last = groups.at(-1)
    if (last && areEqual(last.key, found, budget)) last.items.push(item)
    else groups.push({ key: found, name: get(item), items: [item] })
  }
  return new List(groups.map(({ name, items }) => new List([name, new List(items)], 'tuple', '', ['grouper', 'list'])))
}

function extreme(name: string, value: Value, args: Arguments, around: Surroundings, sign: number): Value {
  const key = keyOf(new Parameters(name, args, ['case_sensitive', 'attribute']), around)
  const items = itemsOf(value, around.budget)
  if (items.length === 0) return new Undefined(`the ${name} of no items`)
  return items.reduce((best, item) => (sign * compare(key(item), key(best), around.budget) > 0 ? item : best))
}

function sum(value: Value, args: Arguments, around: Surroundings): Value {
  const given = new Parameters('sum', args, ['attribute', 'start'])
  const get = getter(given.value('attribute'), around)
  return itemsOf(value, around.budget).reduce<Value>(
    (total, item) => binary('+', total, get(item), around.budget),
    given.value('start') ?? 0,
  )
}

function batch(value: Value, args: Arguments, { budget }: Surroundings): Value {
  const given = new Parameters('batch', args, ['linecount', 'fill_with'])
  const [count, fill] = [given.whole('linecount') ?? 0, given.value('fill_with') ?? null]
  if (count < 1) throw new Error(`batch of ${count} items`)
  budget.makeItems(count)
  const items = itemsOf(value, budget)
  const rows: List[] = []
  for (let at = 0; at < items.length; at += count) {
    const row = items.slice(at, at + count)
    rows.push(new List(fill === null ? row : [...row, ...Array.from({ length: count - row.length }, () => fill)]))
  }
  return generator(rows, budget)
}

function slices(value: Value, args: Arguments, { budget }: Surroundings): Value {
  const given = new Parameters('slice', args, ['slices', 'fill_with'])
  const [count, fill] = [given.whole('slices') ?? 0, given.value('fill_with') ?? null]
  if (count < 1) throw new Error(`slice into ${count} lists`)
  budget.makeItems(count)
  const items = itemsOf(value, budget)
  const [each, more] = [Math.floor(items.length / count), items.length % count]
  const rows = Array.from({ length: count }, (_, index) => {
    const start = index * each + Math.min(index, more)
    const row = items.slice(start, start + each + (index < more ? 1 : 0))
    return new List(fill !== null && index >= more ? [...row, fill] : row)
  })
  return generator(rows, budget)
}
