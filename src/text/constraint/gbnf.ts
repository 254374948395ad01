// llama.cpp's grammar notation, GBNF: text to rules. Owns the notation; what may be left to a lexeme's automaton is
// gbnfGrammar's business.

import { MixtralError } from '../../base/errors.js'
import { ANY_CODE_POINT, type Ranges, rangesOf, without } from './ranges.js'
import { type RepeatBounds, repeatBounds, TextCursor } from './textCursor.js'

export type GbnfNode =
  | { readonly kind: 'set'; readonly points: Ranges }
  | { readonly kind: 'token'; readonly token: string | number; readonly negated: boolean }
  | { readonly kind: 'rule'; readonly name: string }
  | { readonly kind: 'sequence' | 'choice'; readonly parts: readonly GbnfNode[] }
  | { readonly kind: 'repeat'; readonly part: GbnfNode; readonly min: number; readonly max: number }

/** The largest grammars in circulation have some 100 KB; this bounds the time to read one. */
const LONGEST_GRAMMAR = 1_000_000
/** Groups in groups, and repeats of repeats: people write fewer than ten; the parser, and what follows it, recurses. */
const DEEPEST_GROUP = 100

const NAME = /[a-zA-Z0-9-]/
const ESCAPES: Readonly<Record<string, string>> = { t: '\t', r: '\r', n: '\n', '\\': '\\', '"': '"', '[': '[', ']': ']', '-': '-' }
const HEX_ESCAPES: Readonly<Record<string, number>> = { x: 2, u: 4, U: 8 }

/**
 * The rules by name, in their order. Throws a MixtralError `OPTION` that names the place; a rule `root` and every rule
 * used must be there.
 */
export function parseGbnf(text: string): Map<string, GbnfNode> {
  if (text.length > LONGEST_GRAMMAR) {
    throw new MixtralError('UNSUPPORTED', `the grammar has ${text.length} characters, expected at most ${LONGEST_GRAMMAR}`)
  }
  return new GbnfParser(text).parse()
}

class GbnfParser {
  readonly #cursor: TextCursor
  readonly #rules = new Map<string, GbnfNode>()
  readonly #used = new Set<string>()
  #depth = 0

  constructor(text: string) {
    this.#cursor = new TextCursor(text, 'the grammar')
  }

  parse(): Map<string, GbnfNode> {
    this.#space(true)
    while (!this.#cursor.atEnd) this.#rule()
    if (!this.#rules.has('root')) throw new MixtralError('OPTION', 'the grammar has no rule root, expected one to begin with')
    for (const name of this.#used) {
      if (!this.#rules.has(name)) throw new MixtralError('OPTION', `the grammar uses the rule ${name} but does not define it`)
    }
    return this.#rules
  }

  #rule(): void {
    const name = this.#name()
    this.#space(false)
    if (!this.#cursor.skip('::=')) throw this.#cursor.malformed(`expected ::= after ${name}`)
    this.#space(true)
    if (this.#rules.has(name)) throw this.#cursor.malformed(`a second rule ${name}`)
    this.#rules.set(name, this.#choice(false))
    if (!this.#cursor.atEnd && !this.#cursor.skip('\r\n') && !this.#cursor.skip('\n'))
      throw this.#cursor.malformed('expected the end of the line')
    this.#space(true)
  }

  /** `inside`: in parentheses, where a line's end does not end the rule. */
  #choice(inside: boolean): GbnfNode {
    if (++this.#depth > DEEPEST_GROUP) throw this.#cursor.unsupported(`more than ${DEEPEST_GROUP} groups in each other`)
    const parts = [this.#sequence(inside)]
    while (this.#cursor.skip('|')) {
      this.#space(true)
      parts.push(this.#sequence(inside))
    }
    this.#depth--
    return parts.length === 1 ? parts[0]! : { kind: 'choice', parts }
  }

  #sequence(inside: boolean): GbnfNode {
    const parts: GbnfNode[] = []
    for (;;) {
      const item = this.#item(inside)
      if (item === undefined) return parts.length === 1 ? parts[0]! : { kind: 'sequence', parts }
      parts.push(this.#repeats(item, inside))
    }
  }

  #item(inside: boolean): GbnfNode | undefined {
    const cursor = this.#cursor
    let item: GbnfNode
    if (cursor.skip('"')) item = this.#literal()
    else if (cursor.skip('[')) item = { kind: 'set', points: this.#class() }
    else if (cursor.skip('.')) item = { kind: 'set', points: ANY_CODE_POINT }
    else if (cursor.skip('(')) {
      this.#space(true)
      item = this.#choice(true)
      if (!cursor.skip(')')) throw cursor.malformed('expected )')
    } else if (cursor.peek() === '<' || (cursor.peek() === '!' && cursor.peek(1) === '<')) item = this.#token()
    else if (NAME.test(cursor.peek())) {
      const name = this.#name()
      this.#used.add(name)
      item = { kind: 'rule', name }
    } else return undefined
    this.#space(inside)
    return item
  }

  #repeats(part: GbnfNode, inside: boolean): GbnfNode {
    const cursor = this.#cursor
    for (let depth = 0; ; depth++) {
      if (depth > DEEPEST_GROUP) throw cursor.unsupported(`more than ${DEEPEST_GROUP} repeats of each other`)
      let bounds: RepeatBounds
      if (cursor.skip('*')) bounds = [0, Infinity]
      else if (cursor.skip('+')) bounds = [1, Infinity]
      else if (cursor.skip('?')) bounds = [0, 1]
      else if (cursor.skip('{')) bounds = this.#counts()
      else return part
      part = { kind: 'repeat', part, min: bounds[0], max: bounds[1] }
      this.#space(inside)
    }
  }

  #counts(): RepeatBounds {
    const cursor = this.#cursor
    const number = () => {
      this.#space(false)
      const digits = cursor.takeWhile(/[0-9]/)
      this.#space(false)
      return digits
    }
    const first = number()
    const comma = cursor.skip(',')
    const second = comma ? number() : first
    if (first === '' || !cursor.skip('}')) throw cursor.malformed('expected {m}, {m,} or {m,n}')
    return repeatBounds(cursor, first, second)
  }

  #literal(): GbnfNode {
    const parts: GbnfNode[] = []
    while (!this.#cursor.skip('"')) {
      const point = this.#character('" to close the text')
      parts.push({ kind: 'set', points: [point, point] })
    }
    return { kind: 'sequence', parts }
  }

  #class(): Ranges {
    const cursor = this.#cursor
    const negated = cursor.skip('^')
    const pairs: [number, number][] = []
    while (!cursor.skip(']')) {
      const from = this.#character('] to close the class')
      const ranged = cursor.peek() === '-' && cursor.peek(1) !== ']'
      if (ranged) cursor.skip('-')
      const to = ranged ? this.#character('] to close the class') : from
      if (to < from) throw cursor.malformed('a range of characters whose end is before its start')
      pairs.push([from, to])
    }
    return negated ? without(ANY_CODE_POINT, rangesOf(pairs)) : rangesOf(pairs)
  }

  #character(expected: string): number {
    const cursor = this.#cursor
    const character = cursor.take(expected)
    if (character !== '\\') return character.codePointAt(0)!
    const escaped = cursor.take('a character after the backslash')
    const digits = HEX_ESCAPES[escaped]
    if (digits !== undefined) {
      const point = cursor.hex(digits)
      if (point > 0x10ffff) throw cursor.malformed('expected a code point up to 10FFFF')
      return point
    }
    const plain = ESCAPES[escaped]
    if (plain === undefined) throw cursor.malformed(`unknown escape \\${escaped}`)
    return plain.charCodeAt(0)
  }

  /** `<[1000]>`, `<text>`, and with `!` before it any other token. */
  #token(): GbnfNode {
    const cursor = this.#cursor
    const negated = cursor.skip('!')
    cursor.skip('<')
    const byId = cursor.skip('[')
    const text = cursor.takeWhile(byId ? /[0-9]/ : /[^<>\n]/)
    if (text === '' || !cursor.skip(byId ? ']>' : '>')) throw cursor.malformed('expected a token as <[id]> or <text>')
    return { kind: 'token', token: byId ? Number(text) : `<${text}>`, negated }
  }

  #name(): string {
    const name = this.#cursor.takeWhile(NAME)
    if (name === '') throw this.#cursor.malformed('expected the name of a rule')
    return name
  }

  /** Blanks and comments, and line ends where they mean nothing. */
  #space(lines: boolean): void {
    const cursor = this.#cursor
    for (;;) {
      if (cursor.peek() === '#') cursor.takeWhile(/[^\r\n]/)
      else if (cursor.takeWhile(lines ? /[ \t\r\n]/ : /[ \t]/) === '') return
    }
  }
}
