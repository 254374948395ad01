// Texts from outside on their way to a terminal: the only place that knows what a terminal obeys. Owns the set of such
// characters and their escapes; does not know where a text is written. Pure.

/**
 * What a terminal may obey, or misplace: C0 but tab and line feed, delete, C1, the controls of writing directions, line
 * and paragraph separators, and the other invisible characters of format but joiners, which words and emoji need.
 */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
const OBEYED = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ufeff\ufff9-\ufffb]/g

const escaped = (c: string) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`

/** A text of several lines: tabs and line breaks stay, what a terminal may obey becomes its escape, as `\u001b`. */
export function plainText(text: string): string {
  return text.toWellFormed().replaceAll('\r\n', '\n').replaceAll(OBEYED, escaped)
}

/** A text that must stay on its line: tabs and line breaks become escapes, too. */
export function plainLine(text: string): string {
  return plainText(text).replaceAll(/[\n\t]/g, escaped)
}

/** A text in quotes, escaped as JSON is, cut to about `most` characters. */
export function quotedText(text: string, most = 72): string {
  const cut = text.length > most ? `${text.slice(0, most - 3)}...` : text
  return plainJson(JSON.stringify(cut.toWellFormed()))
}

/** JSON of the same value, in which what a terminal may obey is escaped. */
export function plainJson(json: string): string {
  return json.replaceAll(OBEYED, escaped) // JSON has such characters inside strings only
}

/** A text that comes in pieces: a carriage return at the end of one is kept until the next tells what it is. */
export class PlainStream {
  #held = ''

  /** The next piece, as `plainText` writes it. */
  next(piece: string): string {
    const text = this.#held + piece
    this.#held = text.endsWith('\r') ? '\r' : ''
    return plainText(text.slice(0, text.length - this.#held.length))
  }
}

/** A text of at most `most` characters: of a longer one the beginning and the end, which says what was expected. */
export function shortened(text: string, most: number): string {
  if (text.length <= most) return text
  const end = Math.floor(most / 4)
  return `${text.slice(0, most - end - 5)} ... ${text.slice(text.length - end)}`.toWellFormed()
}
