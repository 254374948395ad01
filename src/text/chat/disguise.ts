// Keeps the text of messages apart from the text of a template while both go through it. In messages, every character
// that occurs in a special token is replaced by a stand-in from the private use area. So no message can spell a special
// token, whatever the template does with it. Afterwards the stand-ins are replaced by their characters. A stand-in is
// one character for one, and white space stays, so that lengths and trimming are right. Quotes and backslashes stay as
// well, so that JSON is escaped where it must be, unless a special token has nothing else in it.

import { MixtralError } from '../../base/errors.js'

const FIRST_STAND_IN = 0xe000
const LAST_STAND_IN = 0xf8ff

export class Disguise {
  readonly #standIns = new Map<string, string>()
  readonly #originals = new Map<string, string>()
  readonly #anyOriginal: RegExp
  readonly #anyStandIn: RegExp
  /** A stand-in for nothing: it marks the end of a text in a template, and is gone when it is revealed. */
  readonly mark: string

  /**
   * @param specialTexts the texts of the special tokens
   * @param taken texts with private characters of their own, which must not serve as stand-ins; the same holds for
   * specialTexts
   */
  constructor(specialTexts: readonly string[], taken: readonly string[]) {
    const avoided = new Set<string>()
    for (const text of [...taken, ...specialTexts]) for (const character of text.match(/[\ue000-\uf8ff]/g) ?? []) avoided.add(character)
    let code = FIRST_STAND_IN
    const next = () => {
      while (avoided.has(String.fromCharCode(code))) code++
      if (code > LAST_STAND_IN)
        throw new MixtralError('TEMPLATE', 'too many private characters in the messages and special tokens to tell them from the template')
      return String.fromCharCode(code++)
    }
    for (const original of coveredUnits(specialTexts)) {
      const standIn = next()
      this.#standIns.set(original, standIn)
      this.#originals.set(standIn, original)
    }
    this.mark = next()
    this.#originals.set(this.mark, '')
    this.#anyOriginal = anyOf(this.#standIns.keys())
    this.#anyStandIn = anyOf(this.#originals.keys())
  }

  cover(text: string): string {
    return text.replace(this.#anyOriginal, (unit) => this.#standIns.get(unit)!)
  }

  reveal(text: string): string {
    return text.replace(this.#anyStandIn, (unit) => this.#originals.get(unit)!)
  }

  /** Whether a part of the text came from a message. */
  isCovered(text: string): boolean {
    return text.search(this.#anyStandIn) >= 0
  }
}

/** The units of which every special text has at least one, unless it is white space. */
function coveredUnits(specialTexts: readonly string[]): Set<string> {
  const units = specialTexts.flatMap((text) => {
    const plain = text.replace(/[\s"\\]/g, '')
    return (plain || text.replace(/\s/g, '')).split('')
  })
  return new Set(units)
}

/** A pattern that matches each of the UTF-16 units, everywhere in a text; with no units, it matches nothing. */
function anyOf(units: Iterable<string>): RegExp {
  const escaped = Array.from(units, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
  return new RegExp(`[${escaped.join('')}]`, 'g')
}
