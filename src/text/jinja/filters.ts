// All filters, and those of single values. Those of texts and of lists have files of their own.

import { Text } from '../templates/markedText.js'
import { formatPercent } from './format.js'
import { LIST_FILTERS } from './listFilters.js'
import { type FilterFunction, Parameters, type Surroundings } from './parameters.js'
import { floatText, jsonOf, nameText, plain, reprOf, textOf } from './printing.js'
import { TEXT_FILTERS } from './textFilters.js'
import {
  type Arguments,
  Dict,
  Float,
  isTrue,
  List,
  LongWhole,
  lengthOf,
  numberOf,
  orElse,
  typeName,
  Undefined,
  type Value,
  wholeOf,
} from './values.js'

/** Numbers, defaults, JSON. */
const PLAIN_FILTERS: ReadonlyMap<string, FilterFunction> = new Map<string, FilterFunction>([
  ['default', absent],
  ['d', absent],
  ['string', (value, _, { budget }) => textOf(value, budget)],
  ['safe', (value, _, { budget }) => textOf(value, budget)],
  ['length', (value, _, { budget }) => lengthOf(value, budget)],
  ['count', (value, _, { budget }) => lengthOf(value, budget)],
  ['tojson', toJson],
  ['int', toWhole],
  ['float', toFloat],
  [
    'abs',
    (value) => {
      if (value instanceof LongWhole) return value.digits.startsWith('-') ? value.negated : value
      const number = present(value)
      if (number === undefined) throw new Error(`abs of a ${typeName(value)}`)
      return value instanceof Float ? new Float(Math.abs(number)) : Math.abs(number)
    },
  ],
  ['round', round],
  ['pprint', (value, _, { budget }) => reprOf(value, budget)],
  ['urlize', unsupported('urlize', 'it makes links of HTML')],
  [
    'format',
    (value, { list, named }, { budget }) => {
      if (list.length > 0 && named.size > 0) throw new Error('format with arguments of both kinds')
      const given = named.size > 0 ? Dict.of([...named].map(([key, item]) => [nameText(key), item])) : new List(list, 'tuple')
      return formatPercent(textOf(value, budget), given, budget)
    },
  ],
  [
    'attr',
    (value, args, { item }) => {
      const name = new Parameters('attr', args, ['name']).requiredText('name')
      return value instanceof Dict ? new Undefined(`the attribute ${name.value} of a dict`) : item(value, name)
    },
  ],
  ['filesizeformat', fileSize],
])

export const FILTERS: ReadonlyMap<string, FilterFunction> = new Map([...PLAIN_FILTERS, ...TEXT_FILTERS, ...LIST_FILTERS])

/** A filter of Jinja2 that is none here. */
function unsupported(name: string, why: string): FilterFunction {
  return () => {
    throw new Error(`the filter ${name} is not supported: ${why}`)
  }
}

function absent(value: Value, args: Arguments): Value {
  const given = new Parameters('default', args, ['default_value', 'boolean'])
  const isAbsent = value instanceof Undefined || (given.flag('boolean') && !isTrue(value))
  return isAbsent ? orElse(given.value('default_value'), Text.empty) : value
}

function present(value: Value): number | undefined {
  if (value instanceof Undefined) throw value.error
  return numberOf(value)
}

function toJson(value: Value, args: Arguments, { budget }: Surroundings): Value {
  const given = new Parameters('tojson', args, ['ensure_ascii', 'indent', 'separators', 'sort_keys'])
  const indent = given.value('indent') instanceof Text ? given.text('indent')! : given.whole('indent')
  if (typeof indent === 'number') budget.checkLength(indent)
  const separators = given.value('separators')
  const texts = separators instanceof List ? separators.items.map((each) => textOf(each, budget)) : undefined
  const level = typeof indent === 'number' ? plain(' '.repeat(Math.max(0, indent))) : indent
  return jsonOf(
    value,
    {
      indent: level,
      itemSeparator: texts?.[0] ?? plain(level === undefined ? ', ' : ','),
      keySeparator: texts?.[1] ?? plain(': '),
      sortKeys: given.flag('sort_keys'),
      asciiOnly: given.flag('ensure_ascii'),
    },
    budget,
  )
}

function toWhole(value: Value, args: Arguments): Value {
  const given = new Parameters('int', args, ['default', 'base'])
  const [absent, base] = [orElse(given.value('default'), 0), given.whole('base') ?? 10]
  if (value instanceof LongWhole) return value
  const number = present(value)
  if (number !== undefined) return Number.isFinite(number) ? Math.trunc(number) + 0 : absent
  if (!(value instanceof Text)) return absent
  const text = value.value.trim().replace(/(?<=\d)_(?=\d)/g, '')
  const digits = text.replace(/^[-+]/, '')
  const sign = text.startsWith('-') ? -1 : 1
  const prefix = { 2: /^0b/i, 8: /^0o/i, 16: /^0x/i }[base]
  const whole = prefix ? digits.replace(prefix, '') : digits
  const alphabet = '0123456789abcdefghijklmnopqrstuvwxyz'.slice(0, base)
  if (whole !== '' && [...whole.toLowerCase()].every((digit) => alphabet.includes(digit))) {
    if (base === 10) return wholeOf(`${sign < 0 ? '-' : ''}${whole}`)
    const parsed = sign * Number.parseInt(whole, base) + 0
    if (!Number.isSafeInteger(parsed)) throw new Error(`a whole number of ${whole.length} digits`)
    return parsed
  }
  const float = floatOf(text)
  return float === undefined || !Number.isFinite(float) ? absent : Math.trunc(float) + 0
}

/** A longer text is no number: patterns would search it for long. */
const LONGEST_NUMBER = 400

function floatOf(text: string): number | undefined {
  if (text.length > LONGEST_NUMBER) return undefined
  if (/^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(text)) return Number(text)
  const special = /^([-+]?)(inf|infinity|nan)$/i.exec(text)
  if (!special) return undefined
  return special[2]!.toLowerCase() === 'nan' ? Number.NaN : special[1] === '-' ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY
}

function toFloat(value: Value, args: Arguments): Value {
  const absent = orElse(new Parameters('float', args, ['default']).value('default'), new Float(0))
  const number = present(value) ?? (value instanceof Text ? floatOf(value.value.trim()) : undefined)
  return number === undefined ? absent : new Float(number)
}

/** Halves go to the even neighbor, as in Python. */
function round(value: Value, args: Arguments): Value {
  const given = new Parameters('round', args, ['precision', 'method'])
  const [precision, method] = [given.whole('precision') ?? 0, given.text('method')?.value ?? 'common']
  if (value instanceof LongWhole && method === 'common' && precision >= 0) return value
  const number = present(value)
  if (number === undefined) throw new Error(`round of a ${typeName(value)}`)
  const scale = 10 ** precision
  if (method === 'ceil' || method === 'floor') return new Float(Math[method](number * scale) / scale)
  if (method !== 'common') throw new Error(`round with the method ${method}, expected common, ceil or floor`)
  const result = precision > 0 && precision <= 100 ? Number(number.toFixed(precision)) : toEven(number * scale) / scale
  return value instanceof Float ? new Float(result) : result
}

function toEven(value: number): number {
  const floor = Math.floor(value)
  if (value - floor !== 0.5) return Math.round(value)
  return floor % 2 === 0 ? floor : floor + 1
}

function fileSize(value: Value, args: Arguments): Value {
  const binary = new Parameters('filesizeformat', args, ['binary']).flag('binary')
  const [base, units] = binary ? [1024, 'KMGTPEZY'] : [1000, 'kMGTPEZY']
  const bytes = Number(value instanceof Text ? value.value : present(value))
  if (Number.isNaN(bytes)) throw new Error(`filesizeformat of a ${typeName(value)}`)
  if (bytes === 1) return plain('1 Byte')
  if (bytes < base) return plain(`${Math.trunc(bytes)} Bytes`)
  const power = Math.min(units.length, Math.floor(Math.log(bytes) / Math.log(base) + 1e-12))
  return plain(`${floatText(Number((bytes / base ** power).toFixed(1)))} ${units[power - 1]}${binary ? 'iB' : 'B'}`)
}
