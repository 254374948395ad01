// The methods of Python's texts. Each is given its budget before it makes a text or searches one.

import { placesOf, Text } from '../templates/markedText.js'
import type { WorkBudget } from '../templates/workBudget.js'
import { align, aligned, joined } from './composing.js'
import { formatBraces } from './format.js'
import { endWithoutSpace, SPACE, startBehindSpace } from './lexer.js'
import { Parameters } from './parameters.js'
import { type Arguments, charactersOf, itemsOf, List, lengthOf, typeName, type Value } from './values.js'

type Method = (text: Text, args: Arguments, budget: WorkBudget, memberOf: MemberOf) => Value
type MemberOf = (value: Value, name: string, isItem: boolean) => Value

const SEPARATORS = '\\x1c-\\x1e\\x85\\u2028\\u2029'
const LINE_END = new RegExp(`\\r\\n|[\\n\\r\\v\\f${SEPARATORS}]`, 'g')
const SPACES = new RegExp(`[${SPACE}]+`, 'g')

/** Takes characters, or white space, off the ends. */
export function stripped(text: Text, characters: Text | undefined, sides: 'both' | 'left' | 'right', budget: WorkBudget): Text {
  budget.spend(text.length)
  let [start, end] = [0, text.length]
  if (!characters) {
    if (sides !== 'right') start = startBehindSpace(text.value)
    if (sides !== 'left') end = endWithoutSpace(text.value)
    return text.slice(Math.min(start, end), end)
  }
  const set = new Set(characters.value)
  const points = [...text.value]
  let [first, last] = [0, points.length]
  if (sides !== 'right') while (first < last && set.has(points[first]!)) start += points[first++]!.length
  if (sides !== 'left') while (last > first && set.has(points[last - 1]!)) end -= points[--last]!.length
  return text.slice(start, end)
}

export function replaced(text: Text, args: Arguments, budget: WorkBudget): Text {
  const given = new Parameters('replace', args, ['old', 'new', 'count'])
  const [old, by, count] = [given.requiredText('old'), given.requiredText('new'), given.whole('count') ?? -1]
  budget.checkSearch(text.value, old.value)
  const places = placesOf(text.value, old.value, count < 0 ? undefined : count).length
  budget.spend(16 * places)
  budget.make(text.length + places * (by.length - old.length))
  return text.replace(old.value, by, count < 0 ? undefined : count)
}

/** The text in lines, without their ends. */
export function linesOf(text: Text, budget: WorkBudget, keepsEnds = false): Text[] {
  budget.spend(text.length + 16 * text.runs.length)
  const lines: Text[] = []
  let at = 0
  for (const found of text.value.matchAll(LINE_END)) {
    const end = found.index + found[0].length
    lines.push(text.slice(at, keepsEnds ? end : found.index))
    at = end
  }
  if (at < text.length) lines.push(text.slice(at))
  budget.makeItems(lines.length)
  return lines
}

function split(text: Text, args: Arguments, budget: WorkBudget, fromRight: boolean): Text[] {
  const given = new Parameters('split', args, ['sep', 'maxsplit'])
  const [separator, limit] = [given.text('sep'), given.whole('maxsplit') ?? -1]
  if (separator?.value === '') throw new Error('a split at an empty text')
  budget.checkSearch(text.value, separator?.value ?? '')
  const source = separator ? text : stripped(text, undefined, 'both', budget)
  if (!separator && source.length === 0) return []
  let cuts: { start: number; end: number }[]
  if (separator) {
    const places = fromRight ? placesFromRight(source.value, separator.value) : placesOf(source.value, separator.value)
    cuts = places.map((start) => ({ start, end: start + separator.length }))
  } else cuts = Array.from(source.value.matchAll(SPACES), (found) => ({ start: found.index, end: found.index + found[0].length }))
  if (limit >= 0) cuts = fromRight ? cuts.slice(Math.max(0, cuts.length - limit)) : cuts.slice(0, limit)
  budget.makeItems(cuts.length + 1)
  budget.spend(16 * text.runs.length)
  const starts = [0, ...cuts.map(({ end }) => end)]
  const parts = starts.map((start, index) => source.slice(start, cuts[index]?.start ?? source.length))
  if (separator || limit < 0) return parts
  // What is left at the end that was not split keeps its white space there.
  const whole = stripped(text, undefined, fromRight ? 'right' : 'left', budget)
  const kept = whole.length - source.length
  if (fromRight) parts[0] = whole.slice(0, parts[0]!.length + kept)
  else parts[parts.length - 1] = whole.slice(whole.length - parts.at(-1)!.length - kept)
  return limit >= parts.length ? split(text, { list: [], named: new Map() }, budget, fromRight) : parts
}

function placesFromRight(text: string, pattern: string): number[] {
  const places: number[] = []
  for (let at = text.lastIndexOf(pattern); at >= 0; at = at < pattern.length ? -1 : text.lastIndexOf(pattern, at - pattern.length))
    places.push(at)
  return places.reverse()
}

function partition(text: Text, args: Arguments, budget: WorkBudget, fromRight: boolean): Value {
  const separator = new Parameters('partition', args, ['sep']).requiredText('sep')
  if (separator.value === '') throw new Error('a partition at an empty text')
  budget.checkSearch(text.value, separator.value)
  const at = fromRight ? text.value.lastIndexOf(separator.value) : text.value.indexOf(separator.value)
  if (at < 0) return new List(fromRight ? [Text.empty, Text.empty, text] : [text, Text.empty, Text.empty], 'tuple')
  const end = at + separator.length
  return new List([text.slice(0, at), text.slice(at, end), text.slice(end)], 'tuple')
}

/** The part of a text between two code points that the arguments name. */
function bounded(text: Text, given: Parameters, budget: WorkBudget): { text: Text; start: number; isBeyond: boolean } {
  const length = lengthOf(text, budget)
  const clamp = (index: number) => Math.min(Math.max(index < 0 ? index + length : index, 0), length)
  const [asked, end] = [given.whole('start') ?? 0, clamp(given.whole('end') ?? length)]
  const start = clamp(asked)
  if (start === 0 && end === length) return { text, start, isBeyond: asked > length }
  const points = charactersOf(text, budget)
  const unit = (index: number) => points.slice(0, index).reduce((sum, point) => sum + point.length, 0)
  return { text: text.slice(unit(start), unit(end)), start, isBeyond: asked > length || start > end }
}

function find(name: string, last: boolean, mustBe: boolean): Method {
  return (text, args, budget) => {
    const given = new Parameters(name, args, ['sub', 'start', 'end'])
    const pattern = given.requiredText('sub')
    const part = bounded(text, given, budget)
    budget.checkSearch(part.text.value, pattern.value)
    const at = part.isBeyond ? -1 : last ? part.text.value.lastIndexOf(pattern.value) : part.text.value.indexOf(pattern.value)
    if (at < 0 && mustBe) throw new Error('a text that is not in another')
    return at < 0 ? -1 : part.start + lengthOf(part.text.slice(0, at), budget)
  }
}

function begins(name: string, test: (text: string, part: string) => boolean): Method {
  return (text, args, budget) => {
    const given = new Parameters(name, args, ['prefix', 'start', 'end'])
    const wanted = given.required('prefix')
    const part = bounded(text, given, budget)
    const all = wanted instanceof List && wanted.kind === 'tuple' ? wanted.items : [wanted]
    return all.some((each) => {
      if (!(each instanceof Text)) throw new Error(`${name} with a ${typeName(each)}, expected a text`)
      budget.spend(each.length)
      return !part.isBeyond && test(part.text.value, each.value)
    })
  }
}

/** Whether all characters of a text are of a kind, and there is one. */
function all(pattern: RegExp): Method {
  return (text, _, budget) => {
    budget.spend(text.length)
    return text.length > 0 && !new RegExp(`(?!${pattern.source}).`, 'su').test(text.value)
  }
}

/** A test of a whole text. */
function whole(test: (text: string) => boolean): (text: Text, args: Arguments, budget: WorkBudget) => boolean {
  return (text, _, budget) => {
    budget.spend(text.length)
    return test(text.value)
  }
}

/** Whether a text has letters of a case, and none of the other. */
export function isOfCase(text: string, isUpper: boolean): boolean {
  return /[\p{Lu}\p{Ll}\p{Lt}]/u.test(text) && !(isUpper ? /[\p{Ll}\p{Lt}]/u : /[\p{Lu}\p{Lt}]/u).test(text)
}

export function changed(text: Text, change: (part: string) => string, budget: WorkBudget): Text {
  budget.make(text.length)
  return text.map(change)
}

export const upper = (part: string) => part.toUpperCase()
export const lower = (part: string) => part.toLowerCase()

export function capitalized(text: Text, budget: WorkBudget): Text {
  const first = text.length > 0 && text.value.codePointAt(0)! > 0xffff ? 2 : 1
  return Text.concat([
    changed(text.slice(0, Math.min(first, text.length)), upper, budget),
    changed(text.slice(Math.min(first, text.length)), lower, budget),
  ])
}

/** Words with a capital: a word begins at each letter behind something else. */
function titled(text: Text, budget: WorkBudget): Text {
  budget.make(text.length)
  const parts: Text[] = []
  let at = 0
  for (const found of text.value.matchAll(/\p{L}+/gu)) {
    parts.push(text.slice(at, found.index), capitalized(text.slice(found.index, found.index + found[0].length), budget))
    at = found.index + found[0].length
  }
  return Text.concat([...parts, text.slice(at)])
}

function strip(name: string, sides: 'both' | 'left' | 'right'): Method {
  return (text, args, budget) => stripped(text, new Parameters(name, args, ['chars']).text('chars'), sides, budget)
}

export const TEXT_METHODS: ReadonlyMap<string, Method> = new Map<string, Method>([
  ['strip', strip('strip', 'both')],
  ['lstrip', strip('lstrip', 'left')],
  ['rstrip', strip('rstrip', 'right')],
  ['replace', replaced],
  ['split', (text, args, budget) => new List(split(text, args, budget, false))],
  ['rsplit', (text, args, budget) => new List(split(text, args, budget, true))],
  [
    'splitlines',
    (text, args, budget) => new List(linesOf(text, budget, new Parameters('splitlines', args, ['keepends']).flag('keepends'))),
  ],
  ['partition', (text, args, budget) => partition(text, args, budget, false)],
  ['rpartition', (text, args, budget) => partition(text, args, budget, true)],
  ['startswith', begins('startswith', (text, part) => text.startsWith(part))],
  ['endswith', begins('endswith', (text, part) => text.endsWith(part))],
  ['find', find('find', false, false)],
  ['rfind', find('rfind', true, false)],
  ['index', find('index', false, true)],
  ['rindex', find('rindex', true, true)],
  [
    'count',
    (text, args, budget) => {
      const given = new Parameters('count', args, ['sub', 'start', 'end'])
      const pattern = given.requiredText('sub')
      const part = bounded(text, given, budget)
      budget.checkSearch(part.text.value, pattern.value)
      return part.isBeyond ? 0 : placesOf(part.text.value, pattern.value).length
    },
  ],
  [
    'join',
    (text, args, budget) => {
      const items = itemsOf(new Parameters('join', args, ['iterable']).required('iterable'), budget)
      const wrong = items.find((item) => !(item instanceof Text))
      if (wrong !== undefined) throw new Error(`join with a ${typeName(wrong)}, expected texts`)
      return joined(items as readonly Text[], text, budget)
    },
  ],
  ['upper', (text, _, budget) => changed(text, upper, budget)],
  ['lower', (text, _, budget) => changed(text, lower, budget)],
  ['casefold', (text, _, budget) => changed(text, (part) => part.toLowerCase().replaceAll('ß', 'ss'), budget)],
  [
    'swapcase',
    (text, _, budget) =>
      changed(text, (part) => part.replace(/\p{L}/gu, (letter) => (/\p{Lu}/u.test(letter) ? lower(letter) : upper(letter))), budget),
  ],
  ['capitalize', (text, _, budget) => capitalized(text, budget)],
  ['title', (text, _, budget) => titled(text, budget)],
  ['center', align('center', 'center')],
  ['ljust', align('ljust', 'left')],
  ['rjust', align('rjust', 'right')],
  [
    'zfill',
    (text, args, budget) => {
      const width = new Parameters('zfill', args, ['width']).whole('width') ?? 0
      const sign = /^[+-]/.test(text.value) ? 1 : 0
      return Text.concat([text.slice(0, sign), aligned(text.slice(sign), width - sign, new Text('0'), 'right', budget)])
    },
  ],
  [
    'expandtabs',
    (text, args, budget) =>
      replaced(
        text,
        {
          list: [new Text('\t'), new Text(' '.repeat(Math.min(64, new Parameters('expandtabs', args, ['tabsize']).whole('tabsize') ?? 8)))],
          named: new Map(),
        },
        budget,
      ),
  ],
  [
    'removeprefix',
    (text, args) => {
      const prefix = new Parameters('removeprefix', args, ['prefix']).requiredText('prefix')
      return text.value.startsWith(prefix.value) ? text.slice(prefix.length) : text
    },
  ],
  [
    'removesuffix',
    (text, args) => {
      const suffix = new Parameters('removesuffix', args, ['suffix']).requiredText('suffix')
      return text.value.endsWith(suffix.value) ? text.slice(0, text.length - suffix.length) : text
    },
  ],
  ['format', (text, args, budget, memberOf) => formatBraces(text, args, budget, memberOf)],
  ['isalpha', all(/\p{L}/u)],
  ['isalnum', all(/[\p{L}\p{N}]/u)],
  ['isdigit', all(/[\p{Nd}²³¹⁰-⁹₀-₉]/u)],
  ['isdecimal', all(/\p{Nd}/u)],
  ['isnumeric', all(/\p{N}/u)],
  ['isspace', all(new RegExp(`[${SPACE}]`, 'u'))],
  ['isascii', whole((text) => !/[^\0-\x7f]/.test(text))],
  ['isidentifier', whole((text) => /^[\p{L}_][\p{L}\p{N}_]*$/u.test(text))],
  ['isupper', whole((text) => isOfCase(text, true))],
  ['islower', whole((text) => isOfCase(text, false))],
  [
    'istitle',
    (text, args, budget) => whole((each) => /\p{L}/u.test(each))(text, args, budget) && titled(text, budget).value === text.value,
  ],
])
