// Keeps the text of messages apart from the text of a template while both go through it. In messages, every character
// that occurs in a special token is replaced by a stand-in from the private use area. So no message can spell a special
// token, whatever the template does with it. Afterwards the stand-ins are replaced by their characters. A stand-in is
// one character for one, and white space stays, so that lengths and trimming are right.

import { MixtralError } from '../../base/errors.js'

const FIRST_STAND_IN = 0xe000
const LAST_STAND_IN = 0xf8ff

export class Disguise {
  readonly #standIns = new Map<string, string>()
  readonly #originals = new Map<string, string>()
  readonly #anyOriginal: RegExp
  readonly #anyStandIn: RegExp

  /**
   * @param specialTexts the texts of the special tokens
   * @param taken texts with private characters of their own, which must not serve as stand-ins; the same holds for
   * specialTexts
   */
  constructor(specialTexts: readonly string[], taken: readonly string[]) {
    const avoided = new Set<string>()
    for (const text of [...taken, ...specialTexts]) for (const character of text.match(/[\ue000-\uf8ff]/g) ?? []) avoided.add(character)
    let code = FIRST_STAND_IN
    for (const original of new Set(specialTexts.join('').replace(/\s/g, '').split(''))) {
      while (avoided.has(String.fromCharCode(code))) code++
      if (code > LAST_STAND_IN)
        throw new MixtralError('TEMPLATE', 'too many private characters in the messages and special tokens to tell them from the template')
      const standIn = String.fromCharCode(code++)
      this.#standIns.set(original, standIn)
      this.#originals.set(standIn, original)
    }
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

/** A pattern that matches each of the UTF-16 units, everywhere in a text; with no units, it matches nothing. */
function anyOf(units: Iterable<string>): RegExp {
  const escaped = Array.from(units, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
  return new RegExp(`[${escaped.join('')}]`, 'g')
}
