// Keeps the text of messages apart from the text of a template while both go through it: in messages, every character that occurs in a
// special token is replaced by a stand-in from the private use area. Whatever the template does with them, no message can spell a
// special token; afterwards the stand-ins are taken off. One character for one, and white space stays, so that length and trim still hold.

import { MixtralError } from '../errors.js'

const FIRST_STAND_IN = 0xe000
const LAST_STAND_IN = 0xf8ff

export class Disguise {
  readonly #standIns = new Map<string, string>()
  readonly #originals = new Map<string, string>()

  /** `specialTexts`: of the special tokens. `taken`: texts whose own private characters must not serve as stand-ins. */
  constructor(specialTexts: Iterable<string>, taken: Iterable<string>) {
    const avoided = new Set<string>()
    for (const text of taken) for (const character of text.match(/[\ue000-\uf8ff]/g) ?? []) avoided.add(character)
    let code = FIRST_STAND_IN
    for (const original of new Set([...specialTexts].join('').replace(/\s/g, '').split(''))) {
      while (avoided.has(String.fromCharCode(code))) code++
      if (code > LAST_STAND_IN) throw new MixtralError('TEMPLATE', 'the messages use too many private characters to tell them from the template')
      const standIn = String.fromCharCode(code++)
      this.#standIns.set(original, standIn)
      this.#originals.set(standIn, original)
    }
  }

  cover(text: string): string {
    return replaceEach(text, this.#standIns)
  }

  reveal(text: string): string {
    return replaceEach(text, this.#originals)
  }

  /** Whether any of the text came from a message. */
  isCovered(text: string): boolean {
    return this.reveal(text) !== text
  }
}

function replaceEach(text: string, replacements: ReadonlyMap<string, string>): string {
  const units = text.split('')
  return units.map((unit) => replacements.get(unit) ?? unit).join('')
}
