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

/** About the length of a tree's text. */
export function treeLength(tree: JsonTree): number {
  if (typeof tree === 'string') return tree.length + 2
  if (tree instanceof JsonNumber) return tree.text.length
  if (tree instanceof Map) return [...tree].reduce((sum, [key, value]) => sum + key.length + 6 + treeLength(value), 2)
  return Array.isArray(tree) ? tree.reduce((sum, item) => sum + 2 + treeLength(item), 2) : 5
}

/** The value of a JSON text, its strings well-formed. The text has been checked, and so has its depth. */
export function jsonTree(text: string): JsonTree {
  return new Reader(text).value()
}

const [QUOTE, BACKSLASH, COMMA, COLON] = [0x22, 0x5c, 0x2c, 0x3a]
const [OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT] = [0x5b, 0x5d, 0x7b, 0x7d]
/** White space is up to here, and nothing else that is outside of strings. */
const SPACE = 0x20

class Reader {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  value(): JsonTree {
    const sign = this.#sign()
    if (sign === QUOTE) return this.#string()
    if (sign === OPEN_LIST) return this.#list()
    if (sign === OPEN_OBJECT) return this.#object()
    const start = this.#at
    while (isOfWord(this.#text.charCodeAt(this.#at))) this.#at++
    const word = this.#text.slice(start, this.#at)
    return word === 'null' ? null : word === 'true' ? true : word === 'false' ? false : new JsonNumber(word)
  }

  #list(): JsonTree[] {
    const items: JsonTree[] = []
    this.#at++
    for (let sign = this.#sign(); sign !== CLOSE_LIST; sign = this.#sign()) {
      if (sign === COMMA) this.#at++
      else items.push(this.value())
    }
    this.#at++
    return items
  }

  /** Of two members with one key, the last counts, at the place of the first: as in Python. */
  #object(): JsonObjectTree {
    const members = new Map<string, JsonTree>()
    this.#at++
    for (let sign = this.#sign(); sign !== CLOSE_OBJECT; sign = this.#sign()) {
      if (sign === COMMA) this.#at++
      else {
        const key = this.#string()
        if (this.#sign() === COLON) this.#at++
        members.set(key, this.value())
      }
    }
    this.#at++
    return members
  }

  #string(): string {
    let [end, hasEscapes] = [this.#at + 1, false]
    for (let unit = this.#text.charCodeAt(end); unit !== QUOTE; unit = this.#text.charCodeAt(++end)) {
      if (unit !== BACKSLASH) continue
      hasEscapes = true
      end++
    }
    const token = this.#text.slice(this.#at, ++end)
    this.#at = end
    return (hasEscapes ? (JSON.parse(token) as string) : token.slice(1, -1)).toWellFormed()
  }

  /** The next sign that is no white space. It stays. */
  #sign(): number {
    while (this.#text.charCodeAt(this.#at) <= SPACE) this.#at++
    return this.#text.charCodeAt(this.#at)
  }
}

/** Whether a unit belongs to a number or a name; NaN, behind the end, does not. */
function isOfWord(unit: number): boolean {
  return unit > SPACE && unit !== COMMA && unit !== CLOSE_LIST && unit !== CLOSE_OBJECT
}
