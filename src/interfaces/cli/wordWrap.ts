// Breaks lines between words, where a terminal would break them at its edge, within a word. Knows neither what is
// written nor to which stream.

import { textWidth } from '../../base/terminalText.js'

// biome-ignore lint/suspicious/noControlCharactersInRegex: the escape sequences of colors
const COLORS = /\x1b\[[\d;]*m/g
/** Below it, wrapping would leave a column of single words. */
const NARROWEST = 20

/** Columns that a text takes, colors apart. */
export const visibleWidth = (text: string) => textWidth(text.replace(COLORS, ''))

/**
 * Each line of a text, broken at spaces where it is wider than `width`. What follows is indented like its line, and by
 * `hang` more. A word that is wider than a line keeps its form.
 */
export function wrapLines(text: string, width: number, hang = 2): string {
  if (width < NARROWEST) return text
  return text
    .split('\n')
    .map((line) => (visibleWidth(line) <= width ? line : wrapLine(line, width, hang)))
    .join('\n')
}

function wrapLine(line: string, width: number, hang: number): string {
  const indent = ' '.repeat(Math.min(line.length - line.trimStart().length + hang, width >> 1))
  const lines: string[] = []
  let current = ''
  for (const [, gap, word] of line.matchAll(/(\s*)(\S+)/g)) {
    const longer = current + gap + word
    if (visibleWidth(longer) <= width || current.trim() === '') current = longer
    else {
      lines.push(current)
      current = indent + word
    }
  }
  return [...lines, current].join('\n')
}

/** A text that comes in pieces: a word that crosses the edge is taken back, and written again in the next line. */
export class StreamWrap {
  readonly #width: () => number
  #column = 0
  /** What has been written of the last word. */
  #word = ''

  /** @param width columns of the terminal, which may change; 0 where it does not tell */
  constructor(width: () => number) {
    this.#width = width
  }

  /** What to write for the next piece: the piece itself, with the moves of the cursor that it needs. */
  next(piece: string): string {
    let out = ''
    for (const character of piece) {
      if (/\s/.test(character)) out += this.#space(character)
      else out += this.#letter(character)
    }
    return out
  }

  #space(character: string): string {
    this.#word = ''
    if (character === '\n') this.#column = 0
    else if (character === '\t') this.#column = ((this.#column >> 3) << 3) + 8
    else this.#column++
    const width = this.#width()
    if (this.#column <= width || width < NARROWEST || character === '\n') return character
    this.#column = 0
    return '\n' // the space at which a line is broken is not seen
  }

  #letter(character: string): string {
    const width = this.#width()
    const columns = textWidth(character)
    if (width < NARROWEST) return character
    if (this.#column > width) [this.#column, this.#word] = [this.#column % width, ''] // the terminal has become narrower
    const [word, start] = [this.#word, this.#column - textWidth(this.#word)]
    this.#word += character
    this.#column += columns
    if (this.#column <= width) return character
    if (start === 0) {
      // A word that is wider than a line is broken by the terminal.
      this.#word = character
      this.#column = columns
      return character
    }
    this.#column -= start
    return `\x1b[${start + 1}G\x1b[K\n${word}${character}`
  }
}
