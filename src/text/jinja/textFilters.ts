// The filters of Jinja that make texts of texts.

import { Text } from '../templates/markedText.js'
import type { WorkBudget } from '../templates/workBudget.js'
import { aligned, joined } from './composing.js'
import { SPACE } from './lexer.js'
import { type FilterFunction, Parameters, type Surroundings } from './parameters.js'
import { plain, textOf } from './printing.js'
import { capitalized, changed, linesOf, lower, replaced, stripped, upper } from './textMethods.js'
import { type Arguments, charactersOf, Dict, itemsOf, List, lengthOf, typeName, Undefined, type Value } from './values.js'

const BETWEEN_WORDS = new RegExp(`[-${SPACE}({\\[<]+`, 'g')

export const TEXT_FILTERS: ReadonlyMap<string, FilterFunction> = new Map<string, FilterFunction>([
  ['upper', (value, _, { budget }) => changed(textOf(value, budget), upper, budget)],
  ['lower', (value, _, { budget }) => changed(textOf(value, budget), lower, budget)],
  ['capitalize', (value, _, { budget }) => capitalized(textOf(value, budget), budget)],
  ['title', (value, _, { budget }) => titled(textOf(value, budget), budget)],
  [
    'trim',
    (value, args, { budget }) => stripped(textOf(value, budget), new Parameters('trim', args, ['chars']).text('chars'), 'both', budget),
  ],
  ['replace', (value, args, { budget }) => replaced(textOf(value, budget), asTexts(args, budget), budget)],
  ['indent', indented],
  ['truncate', truncated],
  ['wordcount', (value, _, { budget }) => textOf(value, budget).value.match(/[\p{L}\p{N}_]+/gu)?.length ?? 0],
  ['wordwrap', wrapped],
  [
    'center',
    (value, args, { budget }) =>
      aligned(textOf(value, budget), new Parameters('center', args, ['width']).whole('width') ?? 80, plain(' '), 'center', budget),
  ],
  ['escape', escaped],
  ['e', escaped],
  ['forceescape', escaped],
  [
    'striptags',
    (value, _, { budget }) => {
      const text = textOf(value, budget)
      const plainText = text.map((part) => withoutComments(part).replace(/<[^<>]*>/g, ''))
      const words = plainText.value.matchAll(new RegExp(`[^${SPACE}]+`, 'g'))
      return joined(
        Array.from(words, (word) => plainText.slice(word.index, word.index + word[0].length)),
        plain(' '),
        budget,
      )
    },
  ],
  ['urlencode', urlEncoded],
  ['xmlattr', attributes],
])

/** Leaves out comments of HTML. One without an end stays. */
function withoutComments(text: string): string {
  let [kept, at] = ['', 0]
  for (let open = text.indexOf('<!--'); open >= 0; open = text.indexOf('<!--', at)) {
    const close = text.indexOf('-->', open)
    if (close < 0) break
    kept += text.slice(at, open)
    at = close + 3
  }
  return kept + text.slice(at)
}

/** `replace` takes the texts of values that are none. */
function asTexts({ list, named }: Arguments, budget: WorkBudget): Arguments {
  return { list: list.map((value, index) => (index < 2 ? textOf(value, budget) : value)), named }
}

/** The text of a value that is one, or absent. */
function onlyText(value: Value): Text {
  if (value instanceof Undefined) return Text.empty
  if (!(value instanceof Text)) throw new Error(`a ${typeName(value)}, expected a text`)
  return value
}

function titled(text: Text, budget: WorkBudget): Text {
  budget.make(text.length)
  const parts: Text[] = []
  let at = 0
  const word = (end: number) => {
    if (end > at) parts.push(capitalized(text.slice(at, end), budget))
  }
  for (const found of text.value.matchAll(BETWEEN_WORDS)) {
    word(found.index)
    at = found.index + found[0].length
    parts.push(text.slice(found.index, at))
  }
  word(text.length)
  return Text.concat(parts)
}

function indented(value: Value, args: Arguments, { budget }: Surroundings): Value {
  const given = new Parameters('indent', args, ['width', 'first', 'blank'])
  const width = given.value('width')
  const count = width instanceof Text ? 0 : (given.whole('width') ?? 4)
  budget.checkLength(count)
  const margin = width instanceof Text ? width : plain(' '.repeat(Math.max(0, count)))
  // The line end makes Python keep the last line, even an empty one.
  const lines = linesOf(Text.concat([onlyText(value), plain('\n')]), budget)
  const isMoved = (line: Text, index: number) => (index === 0 ? given.flag('first') : line.length > 0 || given.flag('blank'))
  budget.make(lines.reduce((sum, line, index) => sum + line.length + 1 + (isMoved(line, index) ? margin.length : 0), 0))
  return joined(
    lines.map((line, index) => (isMoved(line, index) ? Text.concat([margin, line]) : line)),
    plain('\n'),
    budget,
  )
}

function truncated(value: Value, args: Arguments, { budget }: Surroundings): Value {
  const given = new Parameters('truncate', args, ['length', 'killwords', 'end', 'leeway'])
  const [length, end, leeway] = [given.whole('length') ?? 255, given.text('end') ?? plain('...'), given.whole('leeway') ?? 5]
  const endLength = lengthOf(end, budget)
  if (length < endLength || leeway < 0) throw new Error(`truncate to ${length} characters, expected at least ${endLength}`)
  if (lengthOf(value, budget) <= length + leeway) return value
  const text = onlyText(value)
  let kept = Text.concat(charactersOf(text, budget).slice(0, length - endLength))
  const blank = kept.value.lastIndexOf(' ')
  if (!given.flag('killwords') && blank >= 0) kept = kept.slice(0, blank)
  return Text.concat([kept, end])
}

/** Lines of a greatest width, broken at blanks, and within words that are longer. */
function wrapped(value: Value, args: Arguments, { budget }: Surroundings): Value {
  const given = new Parameters('wordwrap', args, ['width', 'break_long_words', 'wrapstring', 'break_on_hyphens'])
  const width = given.whole('width') ?? 79
  if (width < 1) throw new Error(`wordwrap with the width ${width}`)
  const breaks = given.flag('break_long_words', true)
  const lines = linesOf(onlyText(value), budget).flatMap((line) => {
    const rows: Text[] = []
    let [start, end] = [0, 0]
    const close = () => {
      if (end > start) rows.push(stripped(line.slice(start, end), undefined, 'right', budget))
    }
    for (const found of line.value.matchAll(/\s+|\S+/g)) {
      budget.countStep()
      const isBlank = /^\s/.test(found[0])
      const behind = found.index + found[0].length
      if (behind - start > width && (!isBlank || end === start)) {
        close()
        start = isBlank ? behind : found.index
        while (breaks && !isBlank && behind - start > width) {
          rows.push(line.slice(start, start + width))
          start += width
        }
      }
      end = Math.max(behind, start)
    }
    close()
    budget.makeItems(rows.length)
    return rows.length === 0 ? [Text.empty] : rows
  })
  return joined(lines, given.text('wrapstring') ?? plain('\n'), budget)
}

const HTML: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', "'": '&#39;', '"': '&#34;' }

function html(text: Text, budget: WorkBudget): Text {
  budget.make(5 * (text.value.match(/[&<>'"]/g)?.length ?? 0) + text.length)
  return text.map((part) => part.replace(/[&<>'"]/g, (sign) => HTML[sign]!))
}

function escaped(value: Value, _: Arguments, { budget }: Surroundings): Value {
  return html(textOf(value, budget), budget)
}

function urlEncoded(value: Value, _: Arguments, { budget }: Surroundings): Value {
  const quote = (of: Value, keepsSlash: boolean) => {
    const text = textOf(of, budget)
    budget.make(9 * text.length)
    const encode = (part: string) =>
      encodeURIComponent(part).replace(/[!'()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`)
    return text.map((part) =>
      keepsSlash ? encode(part.toWellFormed()).replaceAll('%2F', '/') : encode(part.toWellFormed()).replaceAll('%20', '+'),
    )
  }
  if (!(value instanceof Dict) && !(value instanceof List)) return quote(value, true)
  const pairs = value instanceof Dict ? value.entries : value.items.map((pair) => itemsOf(pair, budget))
  return joined(
    pairs.map(([key = null, item = null]) => Text.concat([quote(key, false), plain('='), quote(item, false)])),
    plain('&'),
    budget,
  )
}

function attributes(value: Value, args: Arguments, { budget }: Surroundings): Value {
  if (!(value instanceof Dict)) throw new Error('xmlattr of a value that is not a dict')
  const isSpaced = new Parameters('xmlattr', args, ['autospace']).flag('autospace', true)
  const pairs = value.entries.filter(([, item]) => item !== null && !(item instanceof Undefined))
  const texts = pairs.map(([key, item]) =>
    Text.concat([html(textOf(key, budget), budget), plain('="'), html(textOf(item, budget), budget), plain('"')]),
  )
  const all = joined(texts, plain(' '), budget)
  return isSpaced && all.length > 0 ? Text.concat([plain(' '), all]) : all
}
