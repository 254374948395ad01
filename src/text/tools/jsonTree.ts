// JSON as it is written: numbers with their digits, and the members of objects in their order. What JSON.parse makes of
// it has neither: 1.0 becomes 1, long numbers lose digits, and keys that are numbers come first.

/** A number, as its digits are written. */
export class JsonNumber {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }

  /** Whether it is whole for Python, which reads 1.0 as a float. */
  get isWhole(): boolean {
    return !/[.eE]/.test(this.text)
  }
}

export type JsonTree = string | boolean | null | JsonNumber | readonly JsonTree[] | JsonObjectTree
export type JsonObjectTree = ReadonlyMap<string, JsonTree>

/** The value of a JSON text, its strings well-formed. The text has been checked, and so has its depth. */
export function jsonTree(text: string): JsonTree {
  return new Reader(text).value()
}

class Reader {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  value(): JsonTree {
    const sign = this.#sign()
    if (sign === '"') return this.#string()
    if (sign === '[') return this.#list()
    if (sign === '{') return this.#object()
    const start = this.#at
    while (/[-+\w.]/.test(this.#text[this.#at] ?? '')) this.#at++
    const word = this.#text.slice(start, this.#at)
    return word === 'null' ? null : word === 'true' ? true : word === 'false' ? false : new JsonNumber(word)
  }

  #list(): JsonTree[] {
    const items: JsonTree[] = []
    this.#at++
    for (let sign = this.#sign(); sign !== ']'; sign = this.#sign()) {
      if (sign === ',') this.#at++
      else items.push(this.value())
    }
    this.#at++
    return items
  }

  /** Of two members with one key, the last counts, at the place of the first: as in Python. */
  #object(): JsonObjectTree {
    const members = new Map<string, JsonTree>()
    this.#at++
    for (let sign = this.#sign(); sign !== '}'; sign = this.#sign()) {
      if (sign === ',') this.#at++
      else {
        const key = this.#string()
        this.#sign()
        this.#at++ // the colon
        members.set(key, this.value())
      }
    }
    this.#at++
    return members
  }

  #string(): string {
    let [end, escapes] = [this.#at + 1, false]
    for (; this.#text[end] !== '"'; end++) {
      if (this.#text[end] !== '\\') continue
      escapes = true
      end++
    }
    const token = this.#text.slice(this.#at, ++end)
    this.#at = end
    return (escapes ? (JSON.parse(token) as string) : token.slice(1, -1)).toWellFormed()
  }

  /** The next sign that is no white space. It stays. */
  #sign(): string {
    while (/[ \t\n\r]/.test(this.#text[this.#at]!)) this.#at++
    return this.#text[this.#at]!
  }
}
