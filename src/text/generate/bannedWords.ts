// Texts that must not be written: which tokens would complete one of them. Works on bytes, so that a word is found at
// any position in tokens. Owns the end of the text so far.

import type { Tokenizer } from '../tokenizer/tokenizer.js'

export class BannedWords {
  /** The banned words, as strings of one character a byte. */
  readonly #words: readonly string[]
  readonly #longest: number
  /** Bytes of the longest token: a word must have come so far that no more are missing. */
  readonly #longestToken: number
  /** Tokens with a whole word in them. */
  readonly #always = new Set<number>()
  /** The tokens that begin with the end of a banned word, by that end. */
  readonly #byEnding = new Map<string, number[]>()
  #written = ''

  constructor(words: readonly string[], tokenizer: Tokenizer) {
    this.#words = words.map((word) => byteString(new TextEncoder().encode(word)))
    this.#longest = this.#words.reduce((longest, word) => Math.max(longest, word.length), 0)
    this.#longestToken = 0
    if (this.#words.length === 0) return
    const tokens = Array.from({ length: tokenizer.vocabSize }, (_, id) => byteString(tokenizer.bytes(id)))
    for (const token of tokens) this.#longestToken = Math.max(this.#longestToken, token.length)
    for (const word of this.#words) for (let at = this.#leastBefore(word); at < word.length; at++) this.#byEnding.set(word.slice(at), [])
    const all = new Set(this.#words)
    const shortest = this.#words.reduce((least, word) => Math.min(least, word.length), Infinity)
    for (const [id, token] of tokens.entries()) {
      if (hasPart(token, all, shortest)) this.#always.add(id)
      for (let length = 1; length <= Math.min(token.length, this.#longest); length++) this.#byEnding.get(token.slice(0, length))?.push(id)
    }
  }

  /** Notes the bytes of a token that was written. */
  push(bytes: Uint8Array): void {
    if (this.#longest > 0) this.#written = (this.#written + byteString(bytes)).slice(-this.#longest)
  }

  /** The fewest bytes of a word that must have come before one token can complete it. */
  #leastBefore(word: string): number {
    return Math.max(1, word.length - this.#longestToken)
  }

  /** The tokens that would complete a word. */
  *forbidden(): Generator<number> {
    yield* this.#always
    for (const word of this.#words) {
      for (let length = Math.min(word.length - 1, this.#written.length); length >= this.#leastBefore(word); length--) {
        if (this.#written.endsWith(word.slice(0, length))) yield* this.#byEnding.get(word.slice(length)) ?? []
      }
    }
  }
}

/** Whether a text has one of `words` in it: asked by the parts of the text, which are few, and not by word. */
function hasPart(text: string, words: ReadonlySet<string>, shortest: number): boolean {
  for (let start = 0; start < text.length; start++) {
    for (let end = start + shortest; end <= text.length; end++) if (words.has(text.slice(start, end))) return true
  }
  return false
}

function byteString(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')
}
