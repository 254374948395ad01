// Texts on their way to a terminal: the only place that knows what a terminal obeys, and how many columns a text takes.
// Owns the set of characters that are obeyed, with their escapes, and the ranges of wide and of invisible ones, which
// are those of Unicode's East Asian Width and of its categories; does not know where a text is written. Pure.

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

const invisible = /[\p{Mn}\p{Me}\p{Cf}]/u
const wide =
  /[\p{Emoji_Presentation}\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97c\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{1b000}-\u{1b2ff}\u{20000}-\u{3fffd}]/u

/** Columns of a text without line breaks, tabs and escape sequences. */
export function textWidth(text: string): number {
  if (/^[\x20-\x7e]*$/.test(text)) return text.length
  let columns = 0
  for (const character of text) columns += invisible.test(character) ? 0 : wide.test(character) ? 2 : 1
  return columns
}
