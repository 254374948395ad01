// The functions that every template has: those of Jinja2, and those that transformers adds.

import { Text } from '../templates/markedText.js'
import type { WorkBudget } from '../templates/workBudget.js'
import { Parameters } from './parameters.js'
import { nameText, plain, textOf } from './printing.js'
import { formatDate } from './strftime.js'
import { type Arguments, Callable, Dict, itemsOf, List, Namespace, Undefined, type Value } from './values.js'

const LONGEST_RANGE = 10_000

/** Thrown when the template itself refuses, with `raise_exception`. */
export class TemplateRefusal extends Error {}

/** @param now the time that `strftime_now` writes, in the zone of this machine */
export function globalsOf(budget: WorkBudget, now: () => Date): ReadonlyMap<string, Value> {
  const all: readonly (readonly [string, (args: Arguments) => Value])[] = [
    ['range', range],
    ['dict', (args) => dictOf(args, budget)],
    ['namespace', (args) => namespaceOf(args, budget)],
    ['joiner', joiner],
    [
      'raise_exception',
      (args) => {
        const message = new Parameters('raise_exception', args, ['message']).value('message') ?? Text.empty
        throw new TemplateRefusal(textOf(message, budget).value)
      },
    ],
    [
      'strftime_now',
      (args) => {
        const format = new Parameters('strftime_now', args, ['format']).requiredText('format')
        return plain(formatDate(now(), format.value)).madeBy(format)
      },
    ],
  ]
  const entries = all.map(([name, call]): [string, Value] => [name, new Callable(name, call)])
  return new Map<string, Value>([...entries, ['cycler', new Callable('cycler', cycler)]])
}

/** Python's range, with a limit. */
function range({ list }: Arguments): Value {
  const numbers = list.map((value) => {
    if (value instanceof Undefined) throw value.error
    if (typeof value !== 'number' && typeof value !== 'boolean') throw new Error('a range of what is no whole number')
    return Number(value)
  })
  if (numbers.length < 1 || numbers.length > 3) throw new Error(`a range with ${numbers.length} arguments`)
  const [first, second, step = 1] = numbers as [number, number?, number?]
  const [start, stop] = second === undefined ? [0, first] : [first, second]
  if (step === 0) throw new Error('a range with the step 0')
  const count = Math.max(0, Math.ceil((stop - start) / step))
  if (!(count <= LONGEST_RANGE)) throw new Error(`a range of ${count} numbers`)
  const label = `range(${start}, ${stop}${step === 1 ? '' : `, ${step}`})`
  const items = Array.from({ length: count }, (_, index) => start + index * step)
  return new List(items, 'range', label)
}

function pairsIn(value: Value, budget: WorkBudget): (readonly [Value, Value])[] {
  if (value instanceof Dict) return value.entries
  return itemsOf(value, budget).map((pair) => {
    const [key, item, ...more] = itemsOf(pair, budget)
    if (key === undefined || item === undefined || more.length > 0) throw new Error('a dict of what are no pairs')
    return [key, item] as const
  })
}

function dictOf({ list, named }: Arguments, budget: WorkBudget): Dict {
  if (list.length > 1) throw new Error('dict with more than one argument')
  const entries = [
    ...list.flatMap((value) => pairsIn(value, budget)),
    ...[...named].map(([name, value]) => [nameText(name), value] as const),
  ]
  budget.makeItems(entries.length)
  return Dict.of(entries)
}

function namespaceOf(args: Arguments, budget: WorkBudget): Namespace {
  const namespace = new Namespace()
  for (const [key, value] of dictOf(args, budget).entries) namespace.fields.set(textOf(key, budget).value, value)
  return namespace
}

/** Gives nothing at the first call, and the separator at each that follows. */
function joiner(args: Arguments): Value {
  const separator = new Parameters('joiner', args, ['sep']).text('sep') ?? plain(', ')
  let used = false
  return new Callable('joiner', () => {
    const text = used ? separator : Text.empty
    used = true
    return text
  })
}

function cycler({ list }: Arguments): Value {
  if (list.length === 0) throw new Error('a cycler of no items')
  let at = 0
  const fields = new Map<string, Value>()
  const settle = (next: number) => {
    at = next % list.length
    fields.set('current', list[at]!)
    return null
  }
  settle(0)
  fields.set('reset', new Callable('reset', () => settle(0)))
  const next = () => {
    const item = list[at]!
    settle(at + 1)
    return item
  }
  fields.set('next', new Callable('next', next))
  return new Callable(
    'cycler',
    () => {
      throw new Error('a call of a cycler, expected .next()')
    },
    fields,
  )
}
