// A place in a text that is being parsed, character by character, the errors that name the place, and the bounds of a
// repeat there. Owns the largest count of a repeat. Does not know the language of the text, nor how it spells a repeat.

import { MixtralError } from '../../base/errors.js'

export class TextCursor {
  readonly #characters: readonly string[]
  readonly #what: string
  #at = 0

  /** `what` is the subject of errors, as `pattern "a+" at #/items`. */
  constructor(text: string, what: string) {
    this.#characters = [...text]
    this.#what = what
  }

  get atEnd(): boolean {
    return this.#at >= this.#characters.length
  }

  /** The place, for `back`. */
  get at(): number {
    return this.#at
  }

  back(at: number): void {
    this.#at = at
  }

  /** The character some places ahead, empty at the end. */
  peek(ahead = 0): string {
    return this.#characters[this.#at + ahead] ?? ''
  }

  take(expected: string): string {
    if (this.atEnd) throw this.malformed(`it ends, expected ${expected}`)
    return this.#characters[this.#at++]!
  }

  /** Goes past `text` if it stands here. */
  skip(text: string): boolean {
    if (text.length === 1) {
      const isHere = this.peek() === text
      if (isHere) this.#at++
      return isHere
    }
    const characters = [...text]
    if (!characters.every((character, i) => this.peek(i) === character)) return false
    this.#at += characters.length
    return true
  }

  takeWhile(allowed: RegExp): string {
    let taken = ''
    while (!this.atEnd && allowed.test(this.peek())) taken += this.#characters[this.#at++]!
    return taken
  }

  /** The number that exactly `digits` hex digits spell. */
  hex(digits: number): number {
    let text = ''
    while (text.length < digits && /^[0-9A-Fa-f]$/.test(this.peek())) text += this.#characters[this.#at++]!
    if (text.length < digits) throw this.malformed(`expected ${digits} hex digits`)
    return Number.parseInt(text, 16)
  }

  malformed(problem: string): MixtralError {
    return new MixtralError('OPTION', `${this.#what}: ${problem}, at character ${this.#at}`)
  }

  unsupported(feature: string): MixtralError {
    return new MixtralError('UNSUPPORTED', `${this.#what}: ${feature} at character ${this.#at} is not supported`)
  }
}

/** The length of a text longer than any context. */
const MOST_REPEATS = 1_000_000

export type RepeatBounds = readonly [min: number, max: number]

/**
 * The bounds that two numbers spell; without a second one there is no upper bound.
 * @param cursor stands behind them, for the place in errors
 */
export function repeatBounds(cursor: TextCursor, min: string, max: string): RepeatBounds {
  const bounds: RepeatBounds = [Number(min), max === '' ? Infinity : Number(max)]
  if (bounds[0] > bounds[1]) throw cursor.malformed(`a repeat from ${bounds[0]} to ${bounds[1]}`)
  if (bounds.some((count) => count !== Infinity && count > MOST_REPEATS)) throw cursor.unsupported(`a repeat of more than ${MOST_REPEATS}`)
  return bounds
}
