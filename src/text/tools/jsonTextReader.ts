// Follows JSON unit by unit: how deep the brackets are, whether a string is open, and what the text of a string is. The
// JSON is well-formed, since a constraint wrote it.

const ESCAPES: Readonly<Record<string, string>> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' }

export class JsonTextReader {
  /** Open brackets. */
  depth = 0
  inString = false
  /** Whether a string that was read with `text` has ended. */
  isEnded = false
  #escape = ''
  #high = ''

  /** The next unit of a value. */
  take(unit: string): void {
    if (this.inString) {
      if (this.#escape !== '') this.#escape = ''
      else if (unit === '\\') this.#escape = unit
      else if (unit === '"') this.inString = false
    } else if (unit === '"') this.inString = true
    else if (unit === '{' || unit === '[') this.depth++
    else if (unit === '}' || unit === ']') this.depth--
  }

  /** The next unit of a string, behind its opening quote: the text that it adds. Half of a surrogate pair waits. */
  text(unit: string): string {
    if (this.#escape === '') {
      if (unit === '"') this.isEnded = true
      else if (unit === '\\') this.#escape = unit
      else return unit
      return ''
    }
    this.#escape += unit
    if (this.#escape[1] === 'u' && this.#escape.length < 6) return ''
    const escaped = this.#escape
    this.#escape = ''
    if (escaped[1] !== 'u') return ESCAPES[escaped[1]!] ?? escaped[1]!
    const character = this.#high + String.fromCharCode(Number.parseInt(escaped.slice(2), 16))
    this.#high = /^[\ud800-\udbff]$/.test(character) ? character : ''
    return this.#high === '' ? character : ''
  }
}
