// Code points as bytes: plain UTF-8, and the inside of a JSON string. Makes of a term over code points the term over
// bytes. Each text has one spelling, so that a complement over code points is one over bytes.

import { remembered } from './memo.js'
import { ANY_CODE_POINT, intersection, pairsOf, type Ranges, rangesOf, without } from './ranges.js'
import { type Machine, spineOf, type Term, type Terms } from './terms.js'

/** What JSON strings must escape: controls, the quote and the backslash. */
const ESCAPED: Ranges = [0, 0x1f, 0x22, 0x22, 0x5c, 0x5c]
const SHORT_ESCAPES: Readonly<Record<number, string>> = {
  8: 'b',
  9: 't',
  10: 'n',
  12: 'f',
  13: 'r',
  34: '"',
  92: '\\',
}

/** The bytes of an ASCII text, one after the other. */
export function ascii(terms: Terms, text: string): Term {
  return terms.sequence(Array.from(text, (character) => terms.set([character.charCodeAt(0), character.charCodeAt(0)])))
}

/** The UTF-8 of any code point of the set; surrogates have none. */
export function utf8(terms: Terms, points: Ranges): Term {
  const sequences: Term[] = []
  for (const [from, to] of pairsOf(intersection(points, ANY_CODE_POINT))) utf8Range(terms, from, to, sequences)
  return terms.choice(sequences)
}

/** The largest code point of 1, 2, 3 and 4 bytes. */
const LENGTH_ENDS = [0x7f, 0x7ff, 0xffff, 0x10ffff]

function utf8Range(terms: Terms, from: number, to: number, sequences: Term[]): void {
  const length = LENGTH_ENDS.findIndex((end) => from <= end) + 1
  const end = LENGTH_ENDS[length - 1]!
  if (to > end) {
    utf8Range(terms, from, end, sequences)
    utf8Range(terms, end + 1, to, sequences)
    return
  }
  // cut until each trailing byte is either fixed or takes all its values
  for (let trailing = 1; trailing < length; trailing++) {
    const size = 2 ** (6 * trailing)
    if (Math.floor(from / size) === Math.floor(to / size)) continue
    const cut = from % size !== 0 ? Math.ceil(from / size) * size : (to + 1) % size !== 0 ? Math.floor(to / size) * size : undefined
    if (cut === undefined) continue
    utf8Range(terms, from, cut - 1, sequences)
    utf8Range(terms, cut, to, sequences)
    return
  }
  const first = utf8Bytes(from, length)
  const last = utf8Bytes(to, length)
  sequences.push(terms.sequence(first.map((byte, i) => terms.set([byte, last[i]!]))))
}

function utf8Bytes(point: number, length: number): number[] {
  if (length === 1) return [point]
  const bytes: number[] = []
  for (let left = length - 1; left > 0; left--) {
    bytes.unshift(0x80 | (point & 0x3f))
    point >>>= 6
  }
  return [[0xc0, 0xe0, 0xf0][length - 2]! | point, ...bytes]
}

/** A code point inside a JSON string as `JSON.stringify` writes it. */
export function jsonCharacter(terms: Terms, points: Ranges): Term {
  const spellings = [utf8(terms, without(points, ESCAPED))]
  for (const [from, to] of pairsOf(intersection(points, ESCAPED))) {
    for (let point = from; point <= to; point++) {
      const short = SHORT_ESCAPES[point]
      spellings.push(ascii(terms, `\\${short ?? `u${point.toString(16).padStart(4, '0')}`}`))
    }
  }
  return terms.choice(spellings)
}

/** One code point inside a JSON string in any of JSON's spellings; escaped surrogates only as a pair. */
export function anyJsonCharacter(terms: Terms): Term {
  const hex = terms.set([0x30, 0x39, 0x41, 0x46, 0x61, 0x66])
  const digits = (from: string) => terms.set(rangesOf(Array.from(from, (digit) => [digit.charCodeAt(0), digit.charCodeAt(0)])))
  const unit = terms.choice([
    terms.sequence([terms.set([0x30, 0x39, 0x41, 0x43, 0x45, 0x46, 0x61, 0x63, 0x65, 0x66]), hex, hex, hex]),
    terms.sequence([digits('Dd'), terms.set([0x30, 0x37]), hex, hex]),
  ])
  const pair = terms.sequence([digits('Dd'), digits('89ABab'), hex, hex, ascii(terms, '\\u'), digits('Dd'), digits('CDEFcdef'), hex, hex])
  return terms.choice([
    utf8(terms, without(ANY_CODE_POINT, ESCAPED)),
    terms.sequence([ascii(terms, '\\'), terms.choice(Array.from('"\\/bfnrt', (character) => ascii(terms, character)))]),
    terms.sequence([ascii(terms, '\\u'), terms.choice([unit, pair])]),
  ])
}

/** A term over code points as one over bytes, each set of code points by `spell`. */
export class Encoder {
  readonly #terms: Terms
  readonly #spell: (terms: Terms, points: Ranges) => Term
  readonly #encoded = new WeakMap<Term, Term>()
  readonly #machines = new WeakMap<Machine, Machine>()

  constructor(terms: Terms, spell: (terms: Terms, points: Ranges) => Term) {
    this.#terms = terms
    this.#spell = spell
  }

  encode(term: Term): Term {
    return remembered(this.#encoded, term, () => this.#make(term))
  }

  #make(term: Term): Term {
    const terms = this.#terms
    switch (term.kind) {
      case 'set':
        return this.#spell(terms, term.ranges)
      case 'sequence':
        return terms.sequence(spineOf(term).map((part) => this.encode(part)))
      case 'choice':
        return terms.choice(term.parts.map((part) => this.encode(part)))
      case 'repeat':
        return terms.repeat(this.encode(term.parts[0]!), term.min, term.max)
      case 'machine':
        return terms.machine(this.#machineOf(term.machine!), term.state)
      default:
        return term
    }
  }

  /**
   * A machine over code points, one byte at a time. Reduction by characters is one by bytes, as each character has at
   * least one.
   */
  #machineOf(machine: Machine): Machine {
    return remembered(this.#machines, machine, () => ({
      accepts: (state) => machine.accepts(state),
      moves: (state, terms) => {
        const ways = machine.moves(state, terms).map(({ set, to }) => terms.sequence([this.encode(set), this.encode(to)]))
        return ways.flatMap((way) => terms.moves(way))
      },
      reduced: (state, length) => machine.reduced(state, length),
    }))
  }
}
