// The functions of Go's text/template, and those that Ollama adds. Texts have the lengths and places of their UTF-8
// bytes. The results are counted even if they are never written, and so are the texts that are compared: texts in
// variables take memory and time.

import { GoFloat, type GoValue, goJson, isMap, kindOf, plainText, printed, sizeOf, textOf, truth } from './goValues.js'
import { DATA_ORIGIN, Text } from './markedText.js'
import type { WorkBudget } from './workBudget.js'

/** The cost of an item in a list, in characters. */
const ITEM = 4
const WIDEST = 10_000
const DAY = 86_400_000

export type GoFunction = (...args: GoValue[]) => GoValue

/** The least and most arguments of functions that do not take any number. */
const ARITY: Readonly<Record<string, readonly [least: number, most: number]>> = {
  ...{ and: [1, Number.POSITIVE_INFINITY], or: [1, Number.POSITIVE_INFINITY] },
  ...{ not: [1, 1], eq: [2, Number.POSITIVE_INFINITY], ne: [2, 2], lt: [2, 2], le: [2, 2], gt: [2, 2], ge: [2, 2], len: [1, 1] },
  ...{ index: [1, Number.POSITIVE_INFINITY], slice: [1, 4], printf: [1, Number.POSITIVE_INFINITY], json: [1, 1] },
}

export function goFunctions(budget: WorkBudget, now: () => Date): ReadonlyMap<string, GoFunction> {
  const plain = (value: GoValue) => {
    if (value instanceof GoFloat) return value.value
    const text = plainText(value)
    if (text === undefined) return value ?? null
    budget.spend(text.length)
    return text
  }
  const order = (a: GoValue, b: GoValue) => {
    const [left, right] = [plain(a), plain(b)]
    if (kindOf(a) !== kindOf(b) || (typeof left !== 'string' && typeof left !== 'number'))
      throw new Error(`a comparison of values without an order: ${kindOf(a)} and ${kindOf(b)}`)
    return left < (right as typeof left) ? -1 : left === right ? 0 : 1
  }
  /** Values of different types are not compared, but each with nil. */
  const equal = (a: GoValue, b: GoValue) => {
    const [left, right] = [kindOf(a), kindOf(b)]
    if (left === 'nil' || right === 'nil') return left === right
    if (left !== right) throw new Error(`incompatible types for comparison: ${left} and ${right}`)
    if (left === 'slice' || left === 'map') throw new Error(`a comparison of values of the type ${left}`)
    return plain(a) === plain(b)
  }
  const concat = (texts: readonly Text[]) => {
    budget.make(texts.reduce((sum, text) => sum + text.length, 0))
    return Text.concat(texts)
  }
  const escaped = (values: readonly GoValue[], change: (part: string) => string) => {
    const text = concat(values.map((value) => printed(value, budget)))
    budget.make(9 * text.length)
    return text.map((part) => change(part.toWellFormed()))
  }
  return new Map<string, GoFunction>([
    ['not', (value) => !truth(value)],
    ['eq', (first, ...others) => others.some((other) => equal(first, other))],
    ['ne', (a, b) => !equal(a, b)],
    ['lt', (a, b) => order(a, b) < 0],
    ['le', (a, b) => order(a, b) <= 0],
    ['gt', (a, b) => order(a, b) > 0],
    ['ge', (a, b) => order(a, b) >= 0],
    [
      'len',
      (value) => {
        const text = plainText(value)
        if (text === undefined && ['bool', 'int', 'float64', 'struct'].includes(kindOf(value))) throw new Error(`len of a ${kindOf(value)}`)
        if (text === undefined) return sizeOf(value)
        budget.spend(text.length)
        return new TextEncoder().encode(text).length
      },
    ],
    ['index', (value, ...keys) => keys.reduce<GoValue>((of, key) => itemOf(of, key), value)],
    ['slice', (value, ...bounds) => slice(value, bounds, budget)],
    ['print', (...values) => concat(spaced(values, false, budget))],
    ['println', (...values) => concat([...spaced(values, true, budget), new Text('\n')])],
    ['printf', (format, ...values) => printf(textOf(format), values, budget)],
    ['html', (...values) => escaped(values, (part) => part.replace(/[&<>"'\0]/g, (sign) => HTML[sign]!))],
    [
      'js',
      (...values) =>
        escaped(values, (part) =>
          part.replace(
            /[\\'"<>&=\n\r\t]/g,
            (sign) => SCRIPT[sign] ?? `\\u00${sign.charCodeAt(0).toString(16).padStart(2, '0').toUpperCase()}`,
          ),
        ),
    ],
    [
      'urlquery',
      (...values) =>
        escaped(values, (part) =>
          encodeURIComponent(part)
            .replaceAll('%20', '+')
            .replace(/[!'()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`),
        ),
    ],
    ['json', (value) => goJson(value, budget)],
    ['currentDate', () => dateText(now())],
    ['yesterdayDate', () => dateText(new Date(now().getTime() - DAY))],
  ])
}

/** Throws an Error for a number of arguments that a function does not take. */
export function checkArity(name: string, count: number): void {
  const arity = Object.hasOwn(ARITY, name) ? ARITY[name]! : undefined
  if (!arity || (count >= arity[0] && count <= arity[1])) return
  const [least, most] = arity
  const expected = least === most ? `${least}` : most === Number.POSITIVE_INFINITY ? `at least ${least}` : `${least} to ${most}`
  throw new Error(`${name} with ${count} arguments, expected ${expected}`)
}

const HTML: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&#34;', "'": '&#39;', '\0': '\ufffd' }
const SCRIPT: Readonly<Record<string, string>> = { '\\': '\\\\', "'": "\\'", '"': '\\"' }

function dateText(date: Date): string {
  return [date.getFullYear(), date.getMonth() + 1, date.getDate()].map((part) => String(part).padStart(2, '0')).join('-')
}

/** Values with a blank between two that are no texts, or between all. */
function spaced(values: readonly GoValue[], always: boolean, budget: WorkBudget): Text[] {
  return values.flatMap((value, index) => {
    const isApart = index > 0 && (always || (plainText(value) === undefined && plainText(values[index - 1]) === undefined))
    budget.countStep()
    const text = printed(value, budget)
    budget.spend(text.length)
    return isApart ? [new Text(' '), text] : [text]
  })
}

function itemOf(of: GoValue, key: GoValue): GoValue {
  if (isMap(of)) {
    const name = plainText(key)
    if (name === undefined) throw new Error(`a ${kindOf(key)} as a key of a map`)
    return Object.hasOwn(of, name) ? of[name] : undefined
  }
  const text = plainText(of)
  const items = text === undefined ? of : new TextEncoder().encode(text)
  if (!Array.isArray(items) && !(items instanceof Uint8Array)) throw new Error(`index of a ${kindOf(of)}`)
  return items[place(key, items.length - 1)]
}

/** A place in a list or text, up to the last that there is. */
function place(value: GoValue, last: number): number {
  if (typeof value !== 'number') throw new Error(`a ${kindOf(value)} as an index, expected an int`)
  if (value < 0 || value > last) throw new Error(`index out of range: ${value}`)
  return value
}

function slice(value: GoValue, bounds: readonly GoValue[], budget: WorkBudget): GoValue {
  const plain = plainText(value)
  if (!Array.isArray(value) && plain === undefined) throw new Error(`slice of a ${kindOf(value)}`)
  if (plain !== undefined && bounds.length > 2) throw new Error('slice of a string with three indices')
  if (plain !== undefined) budget.spend(plain.length)
  // A text has at least as many bytes as units, so that its bytes are seldom counted.
  const isLong = plain !== undefined && bounds.some((bound) => typeof bound === 'number' && bound > plain.length)
  const length = Array.isArray(value) ? value.length : isLong ? new TextEncoder().encode(plain).length : plain!.length
  const [from = 0, to] = bounds.map((bound) => place(bound, length))
  if (to !== undefined && from > to) throw new Error(`invalid slice index: ${from} > ${to}`)
  if (Array.isArray(value)) {
    const part = value.slice(from, to)
    budget.spend(ITEM * part.length)
    return part
  }
  const text = textOf(value)
  const unit = (byte: number) => {
    let [bytes, at] = [0, 0]
    while (at < text.length && bytes < byte) {
      const point = text.value.codePointAt(at)!
      bytes += point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4
      at += point < 0x10000 ? 1 : 2
    }
    return at
  }
  return text.slice(unit(from), to === undefined ? text.length : unit(to))
}

const VERB = /%([-+# 0]*)(\d+)?(?:\.(\d+))?([\s\S]?)/g

/** Go's Sprintf, with the verbs for texts, numbers and booleans. */
function printf(format: Text, values: readonly GoValue[], budget: WorkBudget): Text {
  const parts: Text[] = []
  let [at, next] = [0, 0]
  for (const found of format.value.matchAll(VERB)) {
    budget.countStep()
    const [whole, flags = '', width = '0', precision, verb = ''] = found
    parts.push(format.slice(at, found.index))
    at = found.index + whole.length
    if (verb === '%') parts.push(new Text('%'))
    else if (next >= values.length) parts.push(new Text(`%!${verb}(MISSING)`))
    else
      parts.push(
        padded(
          verbText(verb, values[next++], flags, precision === undefined ? undefined : Number(precision), budget),
          Number(width),
          flags,
        ),
      )
  }
  parts.push(format.slice(at))
  budget.make(parts.reduce((sum, part) => sum + part.length, 0))
  return Text.concat(parts).madeBy(format)
}

function verbText(verb: string, value: GoValue, flags: string, precision: number | undefined, budget: WorkBudget): Text {
  const text = plainText(value)
  if (verb === 'q' && text !== undefined) return goJson(value, budget, false)
  if (verb === 'v' || verb === 's' || verb === 't') {
    const whole = printed(value, budget)
    return verb === 's' && precision !== undefined ? whole.slice(0, Math.min(precision, whole.length)) : whole
  }
  // A number may come from a text, and the digits of a text's bytes do: neither is the template's own.
  if (typeof value === 'number' && verb === 'c') return Text.of(numberText(verb, value, flags, precision), DATA_ORIGIN)
  if (value instanceof GoFloat && 'eEfFgG'.includes(verb) && verb !== '') return new Text(numberText(verb, value.value, flags, precision))
  if (typeof value === 'number' && 'dxXobcU'.includes(verb) && verb !== '') return new Text(numberText(verb, value, flags, precision))
  if (text !== undefined && (verb === 'x' || verb === 'X')) {
    budget.make(6 * text.length)
    return hexText(new TextEncoder().encode(text), verb === 'X' ? '0123456789ABCDEF' : '0123456789abcdef').madeBy(textOf(value))
  }
  return Text.concat([new Text(`%!${verb}(`), printed(value, budget), new Text(')')])
}

/** The bytes in two digits each, made in pieces of bounded size. */
function hexText(bytes: Uint8Array, digits: string): Text {
  let text = ''
  const units = new Uint8Array(2 * 4096)
  for (let at = 0; at < bytes.length; at += 4096) {
    const part = bytes.subarray(at, at + 4096)
    part.forEach((byte, index) => {
      units[2 * index] = digits.charCodeAt(byte >> 4)
      units[2 * index + 1] = digits.charCodeAt(byte & 15)
    })
    text += String.fromCharCode(...units.subarray(0, 2 * part.length))
  }
  return new Text(text)
}

function numberText(verb: string, value: number, flags: string, precision = 6): string {
  const sign = flags.includes('+') && value >= 0 ? '+' : ''
  const digits = Math.min(precision, 100)
  switch (verb) {
    case 'c':
      return value >= 0 && value <= 0x10ffff ? String.fromCodePoint(Math.trunc(value)) : '\ufffd'
    case 'U':
      return `U+${Math.trunc(value).toString(16).toUpperCase().padStart(4, '0')}`
    case 'x':
      return sign + Math.trunc(value).toString(16)
    case 'X':
      return sign + Math.trunc(value).toString(16).toUpperCase()
    case 'o':
      return sign + Math.trunc(value).toString(8)
    case 'b':
      return sign + Math.trunc(value).toString(2)
    case 'f':
    case 'F':
      return sign + value.toFixed(digits)
    case 'e':
    case 'E':
      return sign + value.toExponential(digits).replace(/e([+-])(\d)$/, 'e$10$2')
    default:
      return sign + String(verb === 'd' ? Math.trunc(value) : value)
  }
}

function padded(text: Text, width: number, flags: string): Text {
  if (width > WIDEST) throw new Error(`a text of ${width} characters, in a format`)
  const missing = width - [...text.value].length
  if (missing <= 0) return text
  const fill = new Text((flags.includes('0') && !flags.includes('-') ? '0' : ' ').repeat(missing))
  return Text.concat(flags.includes('-') ? [text, fill] : [fill, text])
}
