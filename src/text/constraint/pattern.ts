// Regular expressions in ECMAScript's syntax, as terms over code points. Owns the syntax and the anchors; what a match
// is of (a whole text, or any part of it) the caller says. Look-around, back-references, word boundaries and Unicode
// properties are refused.

import { NO_LINE_END, readClass, readEscape } from './patternClasses.js'
import { ANY_CODE_POINT, intersection, type Ranges } from './ranges.js'
import type { Term, Terms } from './terms.js'
import { type RepeatBounds, repeatBounds, TextCursor } from './textCursor.js'

/**
 * Longer patterns are lists of words, which an enum says better; the bound keeps the parser's recursion and the terms
 * small.
 */
const LONGEST_PATTERN = 20_000
/** Groups in groups. People write fewer than ten; the parser recurses. */
const DEEPEST_GROUP = 100
/** An anchor in a repeat is written out, which is for `(^|x)?` and the like. */
const MOST_ANCHORED_REPEATS = 3
/** What reading an item takes beside its terms, which patterns that are alike share. */
const STEPS_PER_ITEM = 4

const START = 1
const END = 2
/** By flags: the texts that match anywhere, at the start, at the end, and as a whole. */
type Anchored = readonly [anywhere: Term, atStart: Term, atEnd: Term, whole: Term]

/** The texts that the pattern matches from first to last character. `what` names it in errors. */
export function wholeMatch(terms: Terms, source: string, what: string): Term {
  return terms.choice(new PatternParser(terms, source, what).parse())
}

/** The texts of which the pattern matches some part, as JSON Schema's `pattern` asks. */
export function partMatch(terms: Terms, source: string, what: string): Term {
  const any = terms.repeat(terms.set(ANY_CODE_POINT), 0, Infinity)
  const anchored = new PatternParser(terms, source, what).parse()
  return terms.choice(
    anchored.map((term, flags) => terms.sequence([flags & START ? terms.empty : any, term, flags & END ? terms.empty : any])),
  )
}

class PatternParser {
  readonly #terms: Terms
  readonly #cursor: TextCursor
  #depth = 0

  constructor(terms: Terms, source: string, what: string) {
    this.#terms = terms
    const shown = source.length > 60 ? `${source.slice(0, 60)}...` : source
    this.#cursor = new TextCursor(source, `${what} ${JSON.stringify(shown)}`)
    if (source.length > LONGEST_PATTERN) throw this.#cursor.unsupported(`a pattern of more than ${LONGEST_PATTERN} characters`)
  }

  parse(): Anchored {
    const result = this.#alternatives()
    if (!this.#cursor.atEnd) throw this.#cursor.malformed('expected its end, found )')
    return result
  }

  #alternatives(): Anchored {
    if (++this.#depth > DEEPEST_GROUP) throw this.#cursor.unsupported(`more than ${DEEPEST_GROUP} groups in each other`)
    const alternatives = [this.#sequence()]
    while (this.#cursor.skip('|')) alternatives.push(this.#sequence())
    this.#depth--
    return byFlags((flags) => this.#terms.choice(alternatives.map((alternative) => alternative[flags]!)))
  }

  #sequence(): Anchored {
    const items: Anchored[] = []
    while (!this.#cursor.atEnd && this.#cursor.peek() !== '|' && this.#cursor.peek() !== ')') {
      this.#terms.budget.spend(STEPS_PER_ITEM)
      items.push(this.#quantified())
    }
    // from the end, since sequences lean to the right
    return items.reduceRight((rest, item) => this.#join(item, rest), this.#free(this.#terms.empty))
  }

  #quantified(): Anchored {
    const isAnchor = this.#cursor.peek() === '^' || this.#cursor.peek() === '$'
    const item = this.#item()
    const [min, max] = this.#quantifier() ?? [1, 1]
    if (isAnchor && (min !== 1 || max !== 1)) throw this.#cursor.malformed('a repeated anchor')
    if (this.#isFree(item)) return this.#free(this.#terms.repeat(item[0], min, max))
    if (max > MOST_ANCHORED_REPEATS) throw this.#cursor.unsupported('an anchor inside a repeat')
    let result = this.#free(this.#terms.empty)
    for (let count = max; count > 0; count--) {
      const more = this.#join(item, result)
      result =
        count > min ? byFlags((flags) => this.#terms.choice([more[flags]!, flags === 0 ? this.#terms.empty : this.#terms.none])) : more
    }
    return result
  }

  /** The bounds of a repeat, if one stands here. Lazy ones match the same texts. */
  #quantifier(): RepeatBounds | undefined {
    const cursor = this.#cursor
    const bounds: RepeatBounds | undefined = cursor.skip('*')
      ? [0, Infinity]
      : cursor.skip('+')
        ? [1, Infinity]
        : cursor.skip('?')
          ? [0, 1]
          : this.#counts()
    if (bounds === undefined) return undefined
    cursor.skip('?')
    if (/[*+?]/.test(cursor.peek())) throw cursor.malformed('a repeat of a repeat')
    return bounds
  }

  /** `{2}`, `{2,}` or `{2,5}`; a brace that begins none of them is a character. */
  #counts(): RepeatBounds | undefined {
    const cursor = this.#cursor
    const start = cursor.at
    if (!cursor.skip('{')) return undefined
    const min = cursor.takeWhile(/[0-9]/)
    const comma = cursor.skip(',')
    const max = comma ? cursor.takeWhile(/[0-9]/) : min
    if (min === '' || !cursor.skip('}')) {
      cursor.back(start)
      return undefined
    }
    return repeatBounds(cursor, min, max)
  }

  #item(): Anchored {
    const cursor = this.#cursor
    const terms = this.#terms
    const character = cursor.take('an item')
    if (character === '(') return this.#group()
    if (character === '^') return byFlags((flags) => (flags === START ? terms.empty : terms.none))
    if (character === '$') return byFlags((flags) => (flags === END ? terms.empty : terms.none))
    if (/[*+?]/.test(character)) throw cursor.malformed(`nothing to repeat before ${character}`)
    if (character === '.') return this.#set(NO_LINE_END)
    if (character === '[') return this.#set(readClass(cursor))
    if (character === '\\') return this.#set(readEscape(cursor, false))
    const point = character.codePointAt(0)!
    return this.#set([point, point])
  }

  #group(): Anchored {
    const cursor = this.#cursor
    if (cursor.skip('?')) {
      if (cursor.skip('=') || cursor.skip('!') || cursor.skip('<=') || cursor.skip('<!')) throw cursor.unsupported('look-around')
      if (cursor.skip('<')) {
        if (cursor.takeWhile(/[\w$]/) === '' || !cursor.skip('>')) throw cursor.malformed('expected the name of a group')
      } else if (!cursor.skip(':')) throw cursor.unsupported('a group of this kind')
    }
    const inner = this.#alternatives()
    if (!cursor.skip(')')) throw cursor.malformed('expected )')
    return inner
  }

  /** One after the other. Behind a text's end, and before its start, there is only the empty text. */
  #join(a: Anchored, b: Anchored): Anchored {
    const terms = this.#terms
    if (this.#isFree(a) && this.#isFree(b)) return this.#free(terms.sequence([a[0], b[0]]))
    const found: [Term[], Term[], Term[], Term[]] = [[], [], [], []]
    const emptyIf = (term: Term) => (term.nullable ? terms.empty : terms.none)
    for (let left = 0; left < 4; left++) {
      if (a[left] === terms.none) continue
      for (let right = 0; right < 4; right++) {
        if (b[right] === terms.none) continue
        const first = right & START ? emptyIf(a[left]!) : a[left]!
        const second = left & END ? emptyIf(b[right]!) : b[right]!
        found[left | right]!.push(terms.sequence([first, second]))
      }
    }
    return byFlags((flags) => terms.choice(found[flags]!))
  }

  /** Surrogates are in no text. */
  #set(points: Ranges): Anchored {
    return this.#free(this.#terms.set(intersection(points, ANY_CODE_POINT)))
  }

  #free(term: Term): Anchored {
    const { none } = this.#terms
    return [term, none, none, none]
  }

  /** Whether there is no anchor in it. */
  #isFree([, atStart, atEnd, whole]: Anchored): boolean {
    const { none } = this.#terms
    return atStart === none && atEnd === none && whole === none
  }
}

function byFlags(make: (flags: number) => Term): Anchored {
  return [make(0), make(START), make(END), make(START | END)]
}
