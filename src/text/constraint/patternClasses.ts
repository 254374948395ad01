// The character classes and escapes of ECMAScript's regular expressions, as sets of code points. Not Unicode
// properties: their members differ from one engine's version to the next, and a constraint must be the same everywhere.

import { ANY_CODE_POINT, MAX_CODE_POINT, type Ranges, rangesOf, without } from './ranges.js'
import type { TextCursor } from './textCursor.js'

const DIGIT: Ranges = [0x30, 0x39]
const WORD: Ranges = [0x30, 0x39, 0x41, 0x5a, 0x5f, 0x5f, 0x61, 0x7a]
const LINE_END: Ranges = [0x0a, 0x0a, 0x0d, 0x0d, 0x2028, 0x2029]
/** White space and line ends as ECMAScript lists them. */
const SPACE: Ranges = rangesOf([
  [0x09, 0x0d],
  [0x20, 0x20],
  [0xa0, 0xa0],
  [0x1680, 0x1680],
  [0x2000, 0x200a],
  [0x2028, 0x2029],
  [0x202f, 0x202f],
  [0x205f, 0x205f],
  [0x3000, 0x3000],
  [0xfeff, 0xfeff],
])

/** What the dot matches. */
export const NO_LINE_END: Ranges = without(ANY_CODE_POINT, LINE_END)

const CLASS_ESCAPES: Readonly<Record<string, Ranges>> = {
  d: DIGIT,
  D: without(ANY_CODE_POINT, DIGIT),
  w: WORD,
  W: without(ANY_CODE_POINT, WORD),
  s: SPACE,
  S: without(ANY_CODE_POINT, SPACE),
}
const CONTROL_ESCAPES: Readonly<Record<string, number>> = { t: 9, n: 10, v: 11, f: 12, r: 13 }

/** Reads what stands behind a backslash. `inClass`: between brackets, where \b is a backspace. */
export function readEscape(cursor: TextCursor, inClass: boolean): Ranges {
  const character = cursor.take('a character after the backslash')
  const set = CLASS_ESCAPES[character]
  if (set) return set
  const control = CONTROL_ESCAPES[character] ?? (inClass && character === 'b' ? 8 : undefined)
  if (control !== undefined) return [control, control]
  if (character === 'x') return single(cursor.hex(2))
  if (character === 'u') return single(readUnit(cursor))
  if (character === 'c') return single(cursor.take('a letter').charCodeAt(0) % 32)
  if (character === '0' && !/[0-9]/.test(cursor.peek())) return [0, 0]
  if (/[0-9]/.test(character) || character === 'k') throw cursor.unsupported('a back-reference')
  if (character === 'b' || character === 'B') throw cursor.unsupported('a word boundary')
  if (character === 'p' || character === 'P') throw cursor.unsupported('a Unicode property')
  if (/[A-Za-z]/.test(character)) throw cursor.malformed(`unknown escape \\${character}`)
  return single(character.codePointAt(0)!)
}

/** `\u0041`, `\u{1F600}`, or a pair of surrogates. */
function readUnit(cursor: TextCursor): number {
  if (cursor.skip('{')) {
    const digits = cursor.takeWhile(/[0-9A-Fa-f]/)
    const point = Number.parseInt(digits, 16)
    if (!(point <= MAX_CODE_POINT) || !cursor.skip('}')) throw cursor.malformed('expected \\u{...} with the hex digits of a code point')
    return point
  }
  const unit = cursor.hex(4)
  if (unit < 0xd800 || unit > 0xdbff || !cursor.skip('\\u')) return unit
  const low = cursor.hex(4)
  if (low < 0xdc00 || low > 0xdfff) throw cursor.malformed('half of a surrogate pair')
  return 0x10000 + (unit - 0xd800) * 0x400 + (low - 0xdc00)
}

/** Reads a class up to its closing bracket; the opening one is taken. */
export function readClass(cursor: TextCursor): Ranges {
  const negated = cursor.skip('^')
  const pairs: [number, number][] = []
  while (!cursor.skip(']')) {
    const from = readClassAtom(cursor)
    if (cursor.peek() === '-' && cursor.peek(1) !== ']' && from.length === 2 && from[0] === from[1]) {
      cursor.take('-')
      const to = readClassAtom(cursor)
      if (to.length !== 2 || to[0] !== to[1] || to[0]! < from[0]!)
        throw cursor.malformed('a range of characters whose end is before its start')
      pairs.push([from[0]!, to[0]!])
    } else for (let i = 0; i < from.length; i += 2) pairs.push([from[i]!, from[i + 1]!])
  }
  const ranges = rangesOf(pairs)
  return negated ? without(ANY_CODE_POINT, ranges) : ranges
}

function readClassAtom(cursor: TextCursor): Ranges {
  const character = cursor.take('] to close the class')
  return character === '\\' ? readEscape(cursor, true) : single(character.codePointAt(0)!)
}

function single(point: number): Ranges {
  return [point, point]
}
