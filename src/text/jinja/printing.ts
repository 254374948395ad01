// Values as texts: as Python's `str` and `repr` print them, and as its `json.dumps`. What comes from a text keeps its
// origin. Owns the limits of the walk: a list may hold itself many times, and a namespace itself.

import { DATA_ORIGIN, Text } from '../templates/markedText.js'
import type { WorkBudget } from '../templates/workBudget.js'
import { Callable, Dict, Float, List, LongWhole, Namespace, numberOf, typeName, Undefined, type Value } from './values.js'

const DEEPEST_LIST = 64

export function plain(value: string): Text {
  return new Text(value)
}

/** The name of an argument or a field as a text. With `**` it comes from a dict, and so perhaps from a caller. */
export function nameText(name: string): Text {
  return Text.of(name, DATA_ORIGIN)
}

/** A float as Python writes it. */
export function floatText(value: number): string {
  if (Number.isNaN(value)) return 'nan'
  if (!Number.isFinite(value)) return value < 0 ? '-inf' : 'inf'
  const size = Math.abs(value)
  if (size !== 0 && (size < 1e-4 || size >= 1e16)) {
    return value.toExponential().replace(/e([+-])(\d)$/, 'e$10$2')
  }
  const text = Object.is(value, -0) ? '-0' : String(value)
  return text.includes('.') ? text : `${text}.0`
}

/** A long number, whose digits are a caller's. */
function longText({ digits }: LongWhole): Text {
  return Text.of(digits, DATA_ORIGIN)
}

/** A value as a template prints it. */
export function textOf(value: Value, budget: WorkBudget): Text {
  if (value instanceof Text) return value
  if (value instanceof Undefined) return Text.empty
  return textOfReader(budget, (part) => walk(part, value, budget, 0))
}

/** A value as it stands in a list: texts in quotes. */
export function reprOf(value: Value, budget: WorkBudget): Text {
  return textOfReader(budget, (part) => walk(part, value, budget, 0))
}

/** Joins the parts that are written, and counts them as they come. */
function textOfReader(budget: WorkBudget, write: (put: (text: Text) => void) => void): Text {
  const parts: Text[] = []
  let length = 0
  write((text) => {
    length += text.length
    budget.checkLength(length)
    budget.spend(text.length)
    parts.push(text)
  })
  return Text.concat(parts)
}

function scalar(value: Value): string | undefined {
  if (value === null) return 'None'
  if (typeof value === 'boolean') return value ? 'True' : 'False'
  if (typeof value === 'number') return wholeText(value)
  if (value instanceof Float) return floatText(value.value)
  if (value instanceof Undefined) return 'Undefined'
  if (value instanceof Callable) return `<function ${value.name}>`
  return undefined
}

/** A whole number with all its digits. */
export function wholeText(value: number): string {
  return Math.abs(value) < 1e21 ? String(value) : BigInt(value).toString()
}

function walk(put: (text: Text) => void, value: Value, budget: WorkBudget, depth: number): void {
  budget.countStep()
  if (depth > DEEPEST_LIST) throw new Error(`lists nested deeper than ${DEEPEST_LIST}`)
  const known = scalar(value)
  if (known !== undefined) {
    put(plain(known))
    return
  }
  if (value instanceof Text || value instanceof LongWhole) {
    put(value instanceof Text ? quoted(value, budget) : longText(value))
    return
  }
  if (value instanceof List && value.kind !== 'generator') {
    if (value.kind === 'range') {
      put(plain(value.label))
      return
    }
    const { items } = value
    put(plain(value.kind === 'view' ? `${value.label}([` : value.kind === 'tuple' ? '(' : '['))
    items.forEach((item, index) => {
      if (index > 0) put(plain(', '))
      walk(put, item, budget, depth + 1)
    })
    const close = value.kind === 'tuple' ? (items.length === 1 ? ',)' : ')') : ']'
    put(plain(value.kind === 'view' ? '])' : close))
    return
  }
  if (value instanceof Dict || value instanceof Namespace) {
    const isDict = value instanceof Dict
    const entries: readonly (readonly [Value, Value])[] = isDict
      ? value.entries
      : [...value.fields].map(([key, item]) => [nameText(key), item])
    put(plain(isDict ? '{' : '<Namespace {'))
    entries.forEach(([key, item], index) => {
      if (index > 0) put(plain(', '))
      walk(put, key, budget, depth + 1)
      put(plain(': '))
      walk(put, item, budget, depth + 1)
    })
    put(plain(isDict ? '}' : '}>'))
    return
  }
  put(plain(`<${typeName(value)} object>`))
}

const ESCAPES: Readonly<Record<string, string>> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' }

function quoted(text: Text, budget: WorkBudget): Text {
  budget.spend(4 * text.length)
  const quote = text.value.includes("'") && !text.value.includes('"') ? '"' : "'"
  const escapeOf = (found: string) => {
    const code = found.codePointAt(0)!
    return ESCAPES[found] ?? (found === quote ? `\\${quote}` : code > 0xff ? `\\u${hex(code, 4)}` : `\\x${hex(code, 2)}`)
  }
  const inside = text.map((part) =>
    part.replace(/[\\'"\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}]|(?! )\p{Zs}/gu, (found) =>
      /['"]/.test(found) && found !== quote ? found : escapeOf(found),
    ),
  )
  return Text.concat([plain(quote), inside, plain(quote)])
}

function hex(code: number, digits: number): string {
  return code.toString(16).padStart(digits, '0')
}

export interface JsonOptions {
  /** The text of one level; undefined for one line. */
  readonly indent: Text | undefined
  readonly itemSeparator: Text
  readonly keySeparator: Text
  readonly sortKeys: boolean
  readonly asciiOnly: boolean
}

export function jsonOf(value: Value, options: JsonOptions, budget: WorkBudget): Text {
  return textOfReader(budget, (part) => walkJson(part, value, options, budget, 0))
}

function walkJson(put: (text: Text) => void, value: Value, options: JsonOptions, budget: WorkBudget, depth: number): void {
  budget.countStep()
  if (depth > DEEPEST_LIST) throw new Error(`lists nested deeper than ${DEEPEST_LIST}`)
  if (value instanceof Text) {
    put(jsonText(value, options.asciiOnly, budget))
    return
  }
  if (value === null || typeof value === 'boolean') {
    put(plain(String(value)))
    return
  }
  const number = numberOf(value)
  if (number !== undefined) {
    put(value instanceof LongWhole ? longText(value) : plain(value instanceof Float ? jsonFloat(number) : wholeText(number)))
    return
  }
  const isList = value instanceof List && (value.kind === 'list' || value.kind === 'tuple')
  if (!isList && !(value instanceof Dict)) throw new Error(`a value of type ${typeName(value)} in JSON`)
  const entries: (readonly [Value | undefined, Value])[] = isList
    ? value.items.map((item) => [undefined, item])
    : sorted(value as Dict, options)
  const [open, close] = isList ? '[]' : '{}'
  if (entries.length === 0) {
    put(plain(open! + close!))
    return
  }
  budget.checkLength((options.indent?.length ?? 0) * (depth + 1))
  const { indent } = options
  const line = (level: number) => (indent === undefined ? Text.empty : plain(`\n${indent.value.repeat(level)}`).madeBy(indent))
  put(Text.concat([plain(open!), line(depth + 1)]))
  entries.forEach(([key, item], index) => {
    if (index > 0) put(Text.concat([options.itemSeparator, line(depth + 1)]))
    if (key !== undefined) {
      put(jsonText(keyText(key), options.asciiOnly, budget))
      put(options.keySeparator)
    }
    walkJson(put, item, options, budget, depth + 1)
  })
  put(Text.concat([line(depth), plain(close!)]))
}

function sorted(dict: Dict, { sortKeys }: JsonOptions): (readonly [Value, Value])[] {
  if (!sortKeys) return dict.entries
  return dict.entries.sort(([a], [b]) => (keyText(a).value < keyText(b).value ? -1 : 1))
}

function keyText(key: Value): Text {
  if (key instanceof Text) return key
  if (key === null || typeof key === 'boolean') return plain(String(key))
  if (key instanceof LongWhole) return longText(key)
  if (typeof key === 'number') return plain(wholeText(key))
  if (key instanceof Float) return plain(floatText(key.value))
  throw new Error(`a key of type ${typeName(key)} in JSON`)
}

function jsonFloat(value: number): string {
  if (Number.isNaN(value)) return 'NaN'
  return Number.isFinite(value) ? floatText(value) : value < 0 ? '-Infinity' : 'Infinity'
}

function jsonText(text: Text, asciiOnly: boolean, budget: WorkBudget): Text {
  budget.spend(6 * text.length)
  const escaped = (part: string) => {
    const json = JSON.stringify(part).slice(1, -1)
    return asciiOnly ? json.replace(/[\x7f-\uffff]/g, (unit) => (unit === '\x7f' ? unit : `\\u${hex(unit.charCodeAt(0), 4)}`)) : json
  }
  return Text.concat([plain('"'), text.map(escaped), plain('"')])
}
