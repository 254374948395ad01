// Reads the tokens of one tag in turn.

import type { Token } from './lexer.js'

/** Deepest nesting of expressions and blocks, well within the stack of every runtime. */
const DEEPEST = 100

const END: Token = { kind: 'end', text: '' }

export class TokenReader {
  readonly #tokens: readonly Token[]
  readonly #line: number
  #next = 0
  #depth = 0

  constructor(tokens: readonly Token[], line: number) {
    this.#tokens = tokens
    this.#line = line
  }

  get token(): Token {
    return this.#tokens[this.#next] ?? END
  }

  get following(): Token {
    return this.#tokens[this.#next + 1] ?? END
  }

  take(): Token {
    const { token } = this
    this.#next++
    return token
  }

  isAt(text: string): boolean {
    const { token } = this
    return token.text === text && (token.kind === 'operator' || token.kind === 'name')
  }

  /** Takes a token if it is the one. */
  skip(text: string): boolean {
    const found = this.isAt(text)
    if (found) this.#next++
    return found
  }

  expect(text: string): void {
    if (!this.skip(text)) throw this.wrong(JSON.stringify(text))
  }

  name(): string {
    if (this.token.kind !== 'name') throw this.wrong('a name')
    return this.take().text
  }

  end(): void {
    if (this.token.kind !== 'end') throw this.wrong('the end of the tag')
  }

  wrong(expected: string): Error {
    const found = this.token.kind === 'end' ? 'the end of the tag' : JSON.stringify(this.token.text)
    return new Error(`line ${this.#line} has ${found}, expected ${expected}`)
  }

  /** Reads what may hold another of its kind. */
  nested<T>(read: () => T): T {
    if (++this.#depth > DEEPEST) throw new Error(`line ${this.#line}: nested deeper than ${DEEPEST}`)
    try {
      return read()
    } finally {
      this.#depth--
    }
  }
}
