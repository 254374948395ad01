// Attributes, items and methods of values, in the order in which Jinja2 looks for them. What would change a list or a
// dict is refused, as in the sandbox of transformers.

import { Text } from '../templates/markedText.js'
import type { WorkBudget } from '../templates/workBudget.js'
import { itemAt } from './operators.js'
import { Parameters } from './parameters.js'
import { TEXT_METHODS } from './textMethods.js'
import {
  type Arguments,
  areEqual,
  Callable,
  Dict,
  Float,
  itemsOf,
  List,
  LoopState,
  Namespace,
  orElse,
  typeName,
  Undefined,
  type Value,
} from './values.js'

type Method<T> = (of: T, args: Arguments, budget: WorkBudget) => Value

const CHANGING_LISTS = new Set(['append', 'clear', 'extend', 'insert', 'pop', 'remove', 'reverse', 'sort'])
const CHANGING_DICTS = new Set(['clear', 'pop', 'popitem', 'setdefault', 'update'])

const LIST_METHODS: ReadonlyMap<string, Method<List>> = new Map<string, Method<List>>([
  [
    'count',
    (of, args, budget) =>
      of.items.filter((item) => areEqual(item, new Parameters('count', args, ['value']).required('value'), budget)).length,
  ],
  [
    'index',
    (of, args, budget) => {
      const value = new Parameters('index', args, ['value']).required('value')
      const at = of.items.findIndex((item) => areEqual(item, value, budget))
      if (at < 0) throw new Error('a value that is not in the list')
      return at
    },
  ],
  [
    'copy',
    (of, _, budget) => {
      budget.makeItems(of.items.length)
      return new List(of.items)
    },
  ],
])

function view(of: Dict, label: string, item: (entry: readonly [Value, Value]) => Value, budget: WorkBudget): Value {
  budget.makeItems(of.size)
  return new List(of.entries.map(item), 'view', label)
}

const DICT_METHODS: ReadonlyMap<string, Method<Dict>> = new Map<string, Method<Dict>>([
  ['items', (of, _, budget) => view(of, 'dict_items', (entry) => new List(entry, 'tuple'), budget)],
  ['keys', (of, _, budget) => view(of, 'dict_keys', ([key]) => key, budget)],
  ['values', (of, _, budget) => view(of, 'dict_values', ([, value]) => value, budget)],
  [
    'get',
    (of, args) => {
      const given = new Parameters('get', args, ['key', 'default'])
      return orElse(orElse(of.get(given.required('key')), given.value('default')), null)
    },
  ],
  [
    'copy',
    (of, _, budget) => {
      budget.makeItems(of.size)
      return Dict.of(of.entries)
    },
  ],
])

/** `of.name`: a method or attribute, or else an item. Throws an Error for what is absent itself. */
export function attributeOf(of: Value, name: string, budget: WorkBudget): Value {
  const own = ownAttribute(of, name, budget)
  if (own !== undefined) return own
  return orElse(of instanceof Dict ? of.named(name) : undefined, missing(of, name))
}

/** `of[key]`: an item, or else a method or attribute. Throws an Error for what is absent itself. */
export function itemOf(of: Value, key: Value, budget: WorkBudget): Value {
  if (of instanceof Undefined) throw of.error
  const item = itemAt(of, key, budget)
  if (item !== undefined) return item
  if (key instanceof Text) return orElse(ownAttribute(of, key.value, budget), missing(of, key.value))
  return new Undefined(`an item of a ${typeName(of)}`)
}

function missing(of: Value, name: string): Undefined {
  return new Undefined(`the attribute ${name.slice(0, 60)} of a ${typeName(of)}`)
}

function ownAttribute(of: Value, name: string, budget: WorkBudget): Value | undefined {
  if (of instanceof Undefined) throw of.error
  if (of instanceof Dict) return CHANGING_DICTS.has(name) ? refused(name) : bound(of, name, DICT_METHODS, budget)
  if (of instanceof Text) {
    const method = TEXT_METHODS.get(name)
    const memberOf = (value: Value, member: string, isItem: boolean) =>
      isItem ? itemOf(value, /^\d+$/.test(member) ? Number(member) : new Text(member), budget) : attributeOf(value, member, budget)
    return method && new Callable(name, (args) => method(of, args, budget, memberOf))
  }
  if (of instanceof Namespace) return of.fields.get(name)
  if (of instanceof LoopState) return loopAttribute(of, name, budget)
  if (of instanceof Callable) return of.fields.get(name)
  if (of instanceof Float && name === 'is_integer') return new Callable(name, () => Number.isInteger(of.value))
  if (!(of instanceof List) || of.kind === 'generator' || of.kind === 'view') return undefined
  if (of.kind === 'list' && CHANGING_LISTS.has(name)) return refused(name)
  const named = of.names.indexOf(name)
  return named >= 0 ? of.items[named] : bound(of, name, LIST_METHODS, budget)
}

function bound<T>(of: T, name: string, methods: ReadonlyMap<string, Method<T>>, budget: WorkBudget): Callable | undefined {
  const method = methods.get(name)
  return method && new Callable(name, (args) => method(of, args, budget))
}

function refused(name: string): Callable {
  return new Callable(name, () => {
    throw new Error(`${name} changes a list or dict, which a template may not`)
  })
}

function loopAttribute(loop: LoopState, name: string, budget: WorkBudget): Value | undefined {
  const { items, index, depth } = loop
  switch (name) {
    case 'index':
      return index + 1
    case 'index0':
      return index
    case 'revindex':
      return items.length - index
    case 'revindex0':
      return items.length - index - 1
    case 'first':
      return index === 0
    case 'last':
      return index === items.length - 1
    case 'length':
      return items.length
    case 'depth':
      return depth + 1
    case 'depth0':
      return depth
    case 'previtem':
      return index > 0 ? items[index - 1] : new Undefined('the item before the first')
    case 'nextitem':
      return orElse(items[index + 1], new Undefined('the item behind the last'))
    case 'cycle':
      return new Callable(name, ({ list }) => {
        if (list.length === 0) throw new Error('a cycle of no items')
        return list[index % list.length]!
      })
    case 'changed':
      return new Callable(name, ({ list }) => {
        const { last } = loop
        loop.last = list
        return !last || !areEqual(new List(last), new List(list), budget)
      })
    default:
      return undefined
  }
}

/** Calls a value. Throws an Error for one that is no function. */
export function called(callee: Value, args: Arguments, budget: WorkBudget): Value {
  if (callee instanceof Callable) return callee.call(args)
  if (callee instanceof Undefined) throw callee.error
  if (callee instanceof LoopState && callee.again) {
    return callee.again(new List(itemsOf(new Parameters('loop', args, ['items']).required('items'), budget)))
  }
  throw new Error(`a call of a ${typeName(callee)}, expected a function`)
}
