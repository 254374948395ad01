// The texts of a string shape, as a term over code points. One pattern alone stays a term; several conditions together
// become an automaton.

import { LOOK } from '../budget.js'
import { both, type Dfa, determinize, except } from '../dfa.js'
import { remembered } from '../memo.js'
import { ANY_CODE_POINT, contains } from '../ranges.js'
import { spineOf, type Term, type Terms } from '../terms.js'
import type { StringShape } from './shapes.js'

export class StringLanguages {
  readonly #terms: Terms
  readonly #any: Term
  readonly #automata = new Map<Term, Dfa>()
  readonly #languages = new WeakMap<StringShape, Term>()
  readonly #lists = new WeakMap<readonly string[], ReadonlySet<string>>()

  constructor(terms: Terms) {
    this.#terms = terms
    this.#any = terms.set(ANY_CODE_POINT)
  }

  /** Any text of `min` to `max` characters. */
  ofLength(min: number, max: number): Term {
    return this.#terms.repeat(this.#any, min, max)
  }

  /** The texts; `none` if there are none. */
  of(shape: StringShape): Term {
    return remembered(this.#languages, shape, () => this.#make(shape))
  }

  has(shape: StringShape, text: string): boolean {
    return (shape.values === undefined || this.#among(shape.values, text)) && this.#meets(shape, text)
  }

  /** Whether a text is in the language, as far as conditions say and not a list of values. */
  #meets(shape: StringShape, text: string): boolean {
    this.#terms.budget.spend(1 / 4 + LOOK * text.length)
    const { length } = [...text]
    if (length < shape.min || length > shape.max || this.#among(shape.excluded, text)) return false
    return shape.patterns.every((term) => this.matches(term, text)) && !shape.notPatterns.some((term) => this.matches(term, text))
  }

  /** Whether a text is in a list, which is made a set once: it may be asked for as many texts as it has. */
  #among(texts: readonly string[], text: string): boolean {
    return remembered(this.#lists, texts, () => new Set(texts)).has(text)
  }

  /** Whether a text is in the language of a term. */
  matches(term: Term, text: string): boolean {
    let states: readonly Term[] = [term]
    for (const character of text) {
      const point = character.codePointAt(0)!
      const moves = states.flatMap((state) => this.#terms.moves(state))
      this.#terms.budget.spend(1 + moves.length)
      states = [...new Set(moves.filter(({ set }) => contains(set.ranges, point)).map(({ to }) => to))]
    }
    return states.some((state) => state.nullable)
  }

  /** The texts of one that are not, or are, in another. */
  except(a: Term, b: Term): Term {
    return except(this.#terms.budget, this.#automaton(a), this.#automaton(b)).term(this.#terms)
  }

  both(a: Term, b: Term): Term {
    return both(this.#terms.budget, this.#automaton(a), this.#automaton(b)).term(this.#terms)
  }

  /** These texts. What several begin with is written once, so that a place in a long list is one term and not many. */
  literals(texts: readonly string[]): Term {
    const sorted = texts
      .filter((text) => text.isWellFormed())
      .map((text) => Array.from(text, (character) => character.codePointAt(0)!))
      .sort(byPoints)
    return this.#literals(sorted, 0, sorted.length, 0)
  }

  /** The texts from one place to another in the sorted list, behind the characters that they share. */
  #literals(texts: readonly number[][], from: number, to: number, shared: number): Term {
    const terms = this.#terms
    if (from >= to) return terms.none
    const [first, last] = [texts[from]!, texts[to - 1]!]
    let length = shared
    while (length < first.length && first[length] === last[length]) length++
    const start = terms.sequence(first.slice(shared, length).map((point) => terms.set([point, point])))
    if (from + 1 === to) return start
    const ways: Term[] = first.length === length ? [terms.empty] : []
    for (let at = first.length === length ? from + 1 : from; at < to; ) {
      const point = texts[at]![length]!
      let end = at
      while (end < to && texts[end]![length] === point) end++
      ways.push(terms.sequence([terms.set([point, point]), this.#literals(texts, at, end, length + 1)]))
      at = end
    }
    return terms.sequence([start, terms.choice(ways)])
  }

  #make(shape: StringShape): Term {
    const { min, max, patterns, notPatterns, excluded } = shape
    if (shape.values) return this.literals(shape.values.filter((value) => this.#meets(shape, value)))
    const [only] = patterns
    let language = this.ofLength(min, max)
    if (only && patterns.length === 1) {
      const [shortest, longest] = lengthsOf(only)
      const single = only.kind === 'repeat' && only.parts[0]!.kind === 'set' ? only : undefined
      if (shortest > max || longest < min) return this.#terms.none
      if (shortest >= min && longest <= max) language = only
      else if (single) language = this.#repeatWithin(single, min, max)
      else language = this.both(only, language)
    } else for (const pattern of patterns) language = this.both(language, pattern)
    for (const pattern of notPatterns) language = this.except(language, pattern)
    return excluded.length > 0 ? this.except(language, this.literals(excluded)) : language
  }

  /** A repeat of one set of characters within bounds of its length needs no automaton. */
  #repeatWithin(repeat: Term, min: number, max: number): Term {
    const [least, most] = [Math.max(repeat.min, min), Math.min(repeat.max, max)]
    return least > most ? this.#terms.none : this.#terms.repeat(repeat.parts[0]!, least, most)
  }

  #automaton(term: Term): Dfa {
    return remembered(this.#automata, term, () => determinize(this.#terms, term))
  }
}

function byPoints(a: readonly number[], b: readonly number[]): number {
  let at = 0
  while (at < a.length && a[at] === b[at]) at++
  return (a[at] ?? -1) - (b[at] ?? -1)
}

/** Bounds of the lengths of a term's texts, in symbols. */
function lengthsOf(term: Term): [shortest: number, longest: number] {
  switch (term.kind) {
    case 'set':
      return [1, 1]
    case 'sequence':
      return spineOf(term)
        .map(lengthsOf)
        .reduce(([min, max], [least, most]) => [min + least, max + most], [0, 0])
    case 'choice': {
      const parts = term.parts.map(lengthsOf)
      return [Math.min(...parts.map(([min]) => min)), Math.max(...parts.map(([, max]) => max))]
    }
    case 'repeat': {
      const [min, max] = lengthsOf(term.parts[0]!)
      return [min * term.min, max === 0 ? 0 : max * term.max]
    }
    case 'machine':
      return [0, Infinity]
    default:
      return [0, 0]
  }
}
