// Cuts the source of a Jinja template into texts and the tokens of its tags, as Jinja2's lexer does with the settings
// of transformers: a line that holds only a block loses its indentation (`lstrip_blocks`), and a block its line end
// (`trim_blocks`). Owns white space, line ends, `raw` and comments. Language: https://jinja.palletsprojects.com

import { limits } from '../../base/limits.js'

export interface Token {
  readonly kind: 'name' | 'string' | 'integer' | 'float' | 'operator' | 'end'
  /** The text of a string is its value. */
  readonly text: string
}

export type Piece =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'print' | 'block'; readonly tokens: readonly Token[]; readonly line: number }

const LONGEST_TEMPLATE = limits.templateSource.most

/** What Python counts as white space. */
export const SPACE = '\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000'
const ALL_SPACE = new RegExp(`^[${SPACE}]*$`)
const ANY_SPACE = new RegExp(`[${SPACE}]`)
const SPACES = new RegExp(`[${SPACE}]+`, 'y')
const RAW = new RegExp(`[-+]?[${SPACE}]*raw[${SPACE}]*(-?)%\\}`, 'y')
const END_RAW = new RegExp(`\\{%([-+]?)[${SPACE}]*endraw[${SPACE}]*([-+]?)%\\}`, 'g')
const NUMBER = /(?:\d+_)*\d+(?:(?:\.(?:\d+_)*\d+)?e[+-]?(?:\d+_)*\d+|\.(?:\d+_)*\d+)/iy
const INTEGER = /0b(?:_?[01])+|0o(?:_?[0-7])+|0x(?:_?[\da-f])+|[1-9](?:_?\d)*|0(?:_?0)*/iy
const NAME = /[\p{L}_][\p{L}\p{N}_]*/uy
const STRING = /'(?:[^'\\]|\\[\s\S])*'|"(?:[^"\\]|\\[\s\S])*"/y
const OPERATOR = /\*\*|\/\/|==|!=|>=|<=|[-+/*%~[\](){}><=.:|,;]/y

/** Texts and tags in turn. Throws an Error for what no tag has, and for a template larger than any real one. */
export function piecesOf(template: string): Piece[] {
  if (template.length > LONGEST_TEMPLATE) throw new Error(`it is ${template.length} characters long, expected at most ${LONGEST_TEMPLATE}`)
  return new Lexer(template.replace(/\r\n?/g, '\n').replace(/\n$/, '')).pieces()
}

class Lexer {
  readonly #source: string
  readonly #found: Piece[] = []
  #at = 0
  #line = 1
  #counted = 0
  /** Whether the text at hand begins a line. */
  #beginsLine = true

  constructor(source: string) {
    this.#source = source
  }

  pieces(): Piece[] {
    const tag = /\{[{%#]/g
    for (;;) {
      tag.lastIndex = this.#at
      const found = tag.exec(this.#source)
      if (!found) break
      const kind = found[0][1]!
      const behind = found.index + 2
      const sign = /[-+]/.test(this.#source[behind] ?? '') ? this.#source[behind]! : ''
      this.#text(this.#source.slice(this.#at, found.index), sign, kind !== '{')
      RAW.lastIndex = behind
      const raw = kind === '%' ? RAW.exec(this.#source) : null
      this.#at = behind + (raw ? raw[0].length : sign.length)
      if (raw) this.#raw(raw[1] === '-')
      else if (kind === '#') this.#comment()
      else this.#tag(kind === '%' ? 'block' : 'print')
    }
    this.#text(this.#source.slice(this.#at), '', false)
    return this.#found
  }

  /** Adds a text that stands before a tag with a sign. */
  #text(text: string, sign: string, isBlock: boolean): void {
    let kept = text
    if (sign === '-') kept = text.slice(0, endWithoutSpace(text))
    else if (sign !== '+' && isBlock) {
      const line = text.lastIndexOf('\n') + 1
      if ((line > 0 || this.#beginsLine) && ALL_SPACE.test(text.slice(line))) kept = text.slice(0, line)
    }
    if (kept !== '') this.#found.push({ kind: 'text', text: kept })
  }

  #raw(trims: boolean): void {
    if (trims) this.#skipSpace()
    this.#beginsLine = this.#source[this.#at - 1] === '\n'
    END_RAW.lastIndex = this.#at
    const end = END_RAW.exec(this.#source)
    if (!end) throw new Error('a raw block without its endraw')
    this.#text(this.#source.slice(this.#at, end.index), end[1]!, true)
    this.#at = end.index + end[0].length
    this.#endTag(end[2]!, true)
  }

  #comment(): void {
    const end = this.#source.indexOf('#}', this.#at)
    if (end < 0) throw new Error('a comment without its end')
    const sign = end > this.#at && /[-+]/.test(this.#source[end - 1]!) ? this.#source[end - 1]! : ''
    this.#at = end + 2
    this.#endTag(sign, true)
  }

  /** What follows a tag: with `-` white space is skipped, behind a block its line end. */
  #endTag(sign: string, isBlock: boolean): void {
    if (sign === '-') this.#skipSpace()
    else if (sign === '' && isBlock && this.#source[this.#at] === '\n') this.#at++
    this.#beginsLine = this.#source[this.#at - 1] === '\n'
  }

  #skipSpace(): void {
    SPACES.lastIndex = this.#at
    this.#at += SPACES.exec(this.#source)?.[0].length ?? 0
  }

  #tag(kind: 'print' | 'block'): void {
    const close = kind === 'block' ? '%}' : '}}'
    const line = this.#lineAt(this.#at)
    const tokens: Token[] = []
    const open: string[] = []
    for (;;) {
      this.#skipSpace()
      if (open.length === 0) {
        const sign = this.#source.startsWith(close, this.#at + 1) ? this.#source[this.#at]! : ''
        if (sign === '-' || (sign === '+' && kind === 'block') || this.#source.startsWith(close, this.#at)) {
          const used = this.#source.startsWith(close, this.#at) ? '' : sign
          this.#at += used.length + 2
          this.#endTag(used, kind === 'block')
          this.#found.push({ kind, tokens, line })
          return
        }
      }
      const token = this.#token(line)
      if (token.kind === 'operator') balance(open, token.text)
      tokens.push(token)
    }
  }

  /** The line of a position behind those that were asked for before. */
  #lineAt(position: number): number {
    for (; this.#counted < position; this.#counted++) if (this.#source[this.#counted] === '\n') this.#line++
    return this.#line
  }

  #token(line: number): Token {
    const match = (pattern: RegExp) => {
      pattern.lastIndex = this.#at
      const text = pattern.exec(this.#source)?.[0]
      if (text) this.#at += text.length
      return text
    }
    const number = match(NUMBER)
    if (number) return { kind: 'float', text: number.replaceAll('_', '') }
    const integer = match(INTEGER)
    if (integer) return { kind: 'integer', text: integer.replaceAll('_', '') }
    const name = match(NAME)
    if (name) return { kind: 'name', text: name }
    const string = match(STRING)
    if (string) return { kind: 'string', text: unescaped(string.slice(1, -1)) }
    const operator = match(OPERATOR)
    if (operator) return { kind: 'operator', text: operator }
    const rest = this.#source.slice(this.#at, this.#at + 10)
    throw new Error(rest === '' ? `a tag in line ${line} without its end` : `${JSON.stringify(rest)} in a tag in line ${line}`)
  }
}

const CLOSING: Readonly<Record<string, string>> = { ')': '(', ']': '[', '}': '{' }

function balance(open: string[], operator: string): void {
  if ('([{'.includes(operator)) open.push(operator)
  else if (operator in CLOSING && open.pop() !== CLOSING[operator]) throw new Error(`a ${operator} without its ${CLOSING[operator]}`)
}

/** The length of a text without the white space at its end. */
export function endWithoutSpace(text: string): number {
  let end = text.length
  while (end > 0 && ANY_SPACE.test(text[end - 1]!)) end--
  return end
}

/** The length of the white space at the beginning of a text. */
export function startBehindSpace(text: string): number {
  SPACES.lastIndex = 0
  return SPACES.exec(text)?.[0].length ?? 0
}

const ESCAPES: Readonly<Record<string, string>> = {
  n: '\n',
  t: '\t',
  r: '\r',
  a: '\x07',
  b: '\b',
  f: '\f',
  v: '\v',
  '\\': '\\',
  "'": "'",
  '"': '"',
  '\n': '',
}

/** A string as Python reads it. An unknown escape stays as it is. */
function unescaped(text: string): string {
  if (!text.includes('\\')) return text
  return text.replace(
    /\\(?:x([\da-fA-F]{2})|u([\da-fA-F]{4})|U([\da-fA-F]{8})|([0-7]{1,3})|([\s\S]))/g,
    (whole, x, u, long, octal, other) => {
      if (octal) return String.fromCodePoint(Number.parseInt(octal, 8))
      const code = x ?? u ?? long
      if (code === undefined) return ESCAPES[other] ?? whole
      const point = Number.parseInt(code, 16)
      if (point > 0x10ffff) throw new Error(`the escape ${whole} in a string`)
      return String.fromCodePoint(point)
    },
  )
}
