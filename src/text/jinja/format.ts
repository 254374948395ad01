// Python's two ways to format: `'%s' % x` and `'{}'.format(x)`, with the kinds and flags that they share.

import { DATA_ORIGIN, Text } from '../templates/markedText.js'
import type { WorkBudget } from '../templates/workBudget.js'
import { floatText, plain, reprOf, textOf, wholeText } from './printing.js'
import { type Arguments, Dict, Float, List, LongWhole, lengthOf, numberOf, typeName, type Value } from './values.js'

const WIDEST = 100_000
const MOST_DIGITS = 100
const LONGEST_FIELD = 200

interface Spec {
  readonly fill: string
  readonly align: '<' | '>' | '^' | '='
  readonly sign: string
  readonly alternate: boolean
  readonly width: number
  readonly group: string
  readonly precision: number | undefined
  readonly kind: string
}

const PERCENT = /%(?:\(([^)]{0,200})\))?([-+ #0]*)(\*|\d+)?(?:\.(\*|\d+)?)?[hlL]?([\s\S]?)/g

/** Formats with `%`. Throws an Error where values are missing or left over. */
export function formatPercent(format: Text, given: Value, budget: WorkBudget): Text {
  const isTuple = given instanceof List && given.kind === 'tuple'
  const values = isTuple ? [...given.items] : [given]
  let next = 0
  let isNamed = false
  const take = () => {
    if (next >= values.length) throw new Error('a format with more places than values')
    return values[next++]!
  }
  const parts: Text[] = []
  let at = 0
  for (const found of format.value.matchAll(PERCENT)) {
    const [whole, name, flags = '', width, precision, kind] = found
    parts.push(format.slice(at, found.index))
    at = found.index + whole.length
    if (kind === '%') {
      parts.push(format.slice(at - 1, at))
      continue
    }
    const size = (text: string | undefined) => (text === '*' ? Number(take()) : text === undefined ? undefined : Number(text))
    const wide = size(width) ?? 0
    const digits = whole.includes('.') ? (size(precision) ?? 0) : undefined
    if (name !== undefined) isNamed = true
    const value = name === undefined ? take() : namedValue(given, name)
    const spec: Spec = {
      fill: flags.includes('0') && !flags.includes('-') && !'srac'.includes(kind!) ? '0' : ' ',
      align: flags.includes('-') || wide < 0 ? '<' : flags.includes('0') && !'srac'.includes(kind!) ? '=' : '>',
      sign: flags.includes('+') ? '+' : flags.includes(' ') ? ' ' : '-',
      alternate: flags.includes('#'),
      width: Math.abs(wide),
      group: '',
      precision: digits,
      kind: kind!,
    }
    parts.push(percentValue(value, spec, budget))
  }
  const isIndexed = given instanceof Dict || (given instanceof List && !isTuple)
  if (!isNamed && next < values.length && !isIndexed) throw new Error('a format with more values than places')
  parts.push(format.slice(at))
  return made(parts, budget).madeBy(format)
}

function percentValue(value: Value, spec: Spec, budget: WorkBudget): Text {
  switch (spec.kind) {
    case 's':
      return padded(cut(textOf(value, budget), spec, budget), spec, budget)
    case 'r':
    case 'a':
      return padded(cut(reprOf(value, budget), spec, budget), spec, budget)
    case 'c':
      // A number may come from a text, so that its character is never the template's own.
      return padded(value instanceof Text ? value : Text.of(String.fromCodePoint(Number(numberOf(value))), DATA_ORIGIN), spec, budget)
    case 'i':
    case 'u':
      return number(value, { ...spec, kind: 'd' }, budget)
    case 'd':
    case 'x':
    case 'X':
    case 'o':
    case 'e':
    case 'E':
    case 'f':
    case 'F':
    case 'g':
    case 'G':
      return number(value, spec, budget)
    default:
      throw new Error(`the format character ${JSON.stringify(spec.kind)}`)
  }
}

function namedValue(given: Value, name: string): Value {
  const value = given instanceof Dict ? given.named(name) : undefined
  if (value === undefined) throw new Error(`a format with the name ${name}, which has no value`)
  return value
}

const SPEC = /^(?:([\s\S])?([<>=^]))?([-+ ])?(#)?(0)?(\d+)?([,_])?(?:\.(\d+))?([a-zA-Z%])?$/u

/**
 * Formats with `format`.
 * @param memberOf gives `.name` or `[name]` of a value
 */
export function formatBraces(
  format: Text,
  { list, named }: Arguments,
  budget: WorkBudget,
  memberOf: (value: Value, name: string, isItem: boolean) => Value,
): Text {
  const parts: Text[] = []
  let [at, next] = [0, 0]
  const source = format.value
  for (const found of source.matchAll(/\{\{|\}\}|\{([^{}!:]*)(?:!([sra]))?(?::([^{}]*))?\}|[{}]/g)) {
    const [whole, field, conversion, given = ''] = found
    parts.push(format.slice(at, found.index))
    at = found.index + whole.length
    if (whole === '{{' || whole === '}}') {
      parts.push(format.slice(at - 1, at))
      continue
    }
    if (field === undefined) throw new Error(`a single ${whole} in a format`)
    if (field.length > LONGEST_FIELD) throw new Error(`a field of ${field.length} characters, in a format`)
    const [, first = '', rest = ''] = /^([^.[]*)([\s\S]*)$/.exec(field)!
    const key = first === '' ? String(next++) : first
    let value = /^\d+$/.test(key) ? list[Number(key)] : named.get(key)
    if (value === undefined) throw new Error(`a format with the field ${key}, which has no value`)
    for (const [, name, item] of rest.matchAll(/\.([^.[]+)|\[([^\]]+)\]/g)) value = memberOf(value, name ?? item!, name === undefined)
    if (conversion) value = conversion === 's' ? textOf(value, budget) : reprOf(value, budget)
    parts.push(formatted(value, given, budget))
  }
  parts.push(format.slice(at))
  return made(parts, budget).madeBy(format)
}

function formatted(value: Value, given: string, budget: WorkBudget): Text {
  if (given === '') return textOf(value, budget)
  const found = SPEC.exec(given)
  if (!found) throw new Error(`the format ${JSON.stringify(given.slice(0, 40))}`)
  const [, fill, align, sign, alternate, zero, width, group, precision, kind] = found
  const isNumber = numberOf(value) !== undefined && kind !== 's'
  const spec: Spec = {
    fill: fill ?? (zero ? '0' : ' '),
    align: (align as Spec['align']) ?? (zero && isNumber ? '=' : isNumber ? '>' : '<'),
    sign: sign ?? '-',
    alternate: alternate !== undefined,
    width: Number(width ?? 0),
    group: group ?? '',
    precision: precision === undefined ? undefined : Number(precision),
    kind: kind ?? '',
  }
  if (isNumber && typeof value !== 'boolean') return number(value, spec, budget)
  if (kind !== undefined && kind !== 's') throw new Error(`the format ${JSON.stringify(kind)} for a ${typeName(value)}`)
  return padded(cut(textOf(value, budget), spec, budget), spec, budget)
}

function cut(text: Text, { precision }: Spec, budget: WorkBudget): Text {
  if (precision === undefined || lengthOf(text, budget) <= precision) return text
  let end = 0
  for (let count = 0; count < precision; count++) end += text.value.codePointAt(end)! > 0xffff ? 2 : 1
  return text.slice(0, end)
}

function padded(text: Text, { width, fill, align }: Spec, budget: WorkBudget): Text {
  if (width > WIDEST) throw new Error(`a text of ${width} characters, in a format`)
  const missing = width - lengthOf(text, budget)
  if (missing <= 0) return text
  const left = align === '<' ? 0 : align === '^' ? missing >> 1 : missing
  return made([plain(fill.repeat(left)), text, plain(fill.repeat(missing - left))], budget)
}

function number(value: Value, spec: Spec, budget: WorkBudget): Text {
  const given = numberOf(value)
  if (given === undefined) throw new Error(`the format ${spec.kind} for a ${typeName(value)}`)
  const whole = value instanceof LongWhole ? value.digits.replace('-', '') : undefined
  const digits = digitsOf(Math.abs(given), value instanceof Float, spec, whole)
  const sign = given < 0 || Object.is(given, -0) ? '-' : spec.sign === '-' ? '' : spec.sign
  const prefix = sign + (spec.alternate && 'xXo'.includes(spec.kind || ' ') ? `0${spec.kind}` : '')
  // The digits of a long number are a caller's.
  const written = (text: string) => (whole === undefined ? plain(text) : Text.of(text, DATA_ORIGIN))
  if (spec.align !== '=') return padded(written(prefix + digits), spec, budget)
  if (spec.width > WIDEST) throw new Error(`a text of ${spec.width} characters, in a format`)
  return written(prefix + spec.fill.repeat(Math.max(0, spec.width - prefix.length - digits.length)) + digits)
}

/** A number with signs between each three digits of its whole part. */
function inThrees(text: string, sign: string): string {
  const [whole] = /^\d*/.exec(text)!
  const parts: string[] = []
  for (let end = whole.length; end > 0; end -= 3) parts.push(whole.slice(Math.max(0, end - 3), end))
  return parts.reverse().join(sign) + text.slice(whole.length)
}

/** @param whole the digits of a whole number that is beyond the safe ones */
function digitsOf(
  value: number,
  isFloat: boolean,
  { kind, precision = 6, precision: asked, group }: Spec,
  whole: string | undefined,
): string {
  if (precision > MOST_DIGITS) throw new Error(`${precision} digits, expected at most ${MOST_DIGITS}`)
  const grouped = (text: string) => (group === '' ? text : inThrees(text, group))
  const exponent = (text: string) => text.replace(/e([+-])(\d)$/, 'e$10$2')
  if (whole !== undefined && ['', 'd', 'n'].includes(kind)) return grouped(whole)
  if (whole !== undefined && 'xXob'.includes(kind)) throw new Error(`the format ${kind} for a whole number of ${whole.length} digits`)
  switch (kind) {
    case 'x':
      return Math.trunc(value).toString(16)
    case 'X':
      return Math.trunc(value).toString(16).toUpperCase()
    case 'o':
      return Math.trunc(value).toString(8)
    case 'b':
      return Math.trunc(value).toString(2)
    case 'd':
    case 'n':
      return grouped(wholeText(Math.trunc(value)))
    case 'f':
    case 'F':
      return grouped(value.toFixed(precision))
    case '%':
      return `${(value * 100).toFixed(precision)}%`
    case 'e':
    case 'E':
      return kind === 'E' ? exponent(value.toExponential(precision)).toUpperCase() : exponent(value.toExponential(precision))
    case 'g':
    case 'G': {
      const text = general(value, precision === 0 ? 1 : precision)
      return kind === 'G' ? text.toUpperCase() : text
    }
    case '':
      if (!isFloat) return grouped(wholeText(value))
      return grouped(asked === undefined ? floatText(value) : general(value, asked === 0 ? 1 : asked))
    default:
      throw new Error(`the format ${kind} for a number`)
  }
}

/** The shorter of the two notations, without zeros at the end. */
function general(value: number, precision: number): string {
  if (value === 0) return '0'
  const exponent = Number(value.toExponential(precision - 1).split('e')[1])
  const isLong = exponent < -4 || exponent >= precision
  const text = isLong ? value.toExponential(precision - 1) : value.toFixed(precision - 1 - exponent)
  const [digits, power] = text.split('e')
  const short = digits!.includes('.') ? digits!.replace(/\.?0+$/, '') : digits!
  return power === undefined ? short : `${short}e${power.replace(/^([+-])(\d)$/, '$10$2')}`
}

function made(parts: readonly Text[], budget: WorkBudget): Text {
  budget.make(parts.reduce((sum, part) => sum + part.length, 0))
  return Text.concat(parts)
}
