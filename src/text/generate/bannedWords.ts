// Texts that must not be written: which tokens would complete one of them. Works on bytes, so that a word is found at
// any position in tokens. Owns the end of the text so far.

import type { Tokenizer } from '../tokenizer/tokenizer.js'

export class BannedWords {
  /** The banned words, as strings of one character a byte. */
  readonly #words: readonly string[]
  readonly #longest: number
  /** Tokens with a whole word in them. */
  readonly #always = new Set<number>()
  /** The tokens that begin with the end of a banned word, by that end. */
  readonly #byEnding = new Map<string, number[]>()
  #written = ''

  constructor(words: readonly string[], tokenizer: Tokenizer) {
    this.#words = words.map((word) => byteString(new TextEncoder().encode(word)))
    this.#longest = Math.max(0, ...this.#words.map((word) => word.length))
    if (this.#words.length === 0) return
    for (const word of this.#words) for (let at = 1; at < word.length; at++) this.#byEnding.set(word.slice(at), [])
    for (let id = 0; id < tokenizer.vocabSize; id++) {
      const token = byteString(tokenizer.bytes(id))
      if (this.#words.some((word) => token.includes(word))) this.#always.add(id)
      for (let length = 1; length <= Math.min(token.length, this.#longest); length++) this.#byEnding.get(token.slice(0, length))?.push(id)
    }
  }

  /** Notes the bytes of a token that was written. */
  push(bytes: Uint8Array): void {
    if (this.#longest > 0) this.#written = (this.#written + byteString(bytes)).slice(-this.#longest)
  }

  /** The tokens that would complete a word. */
  *forbidden(): Generator<number> {
    yield* this.#always
    for (const word of this.#words) {
      for (let length = Math.min(word.length - 1, this.#written.length); length > 0; length--) {
        if (this.#written.endsWith(word.slice(0, length))) yield* this.#byEnding.get(word.slice(length)) ?? []
      }
    }
  }
}

function byteString(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes)
}
