// What a terminal sends when a text is pasted: between two marks, if it was asked to mark pastes. Line ends inside the
// marks become a visible sign, so that the text is one line for the line editor; `joined` makes line ends of them.

export const ASK_FOR_MARKS = '\x1b[?2004h'
export const NO_MARKS = '\x1b[?2004l'

const BEGIN = '\x1b[200~'
const END = '\x1b[201~'
/** Stands for a line end. */
const SIGN = '\u240a'

export class PastedText {
  #inside = false
  #held = ''

  /** Takes what the terminal sends, and returns it without marks. A mark may come in two parts. */
  push(sent: string): string {
    const text = this.#held + sent
    let [read, at] = ['', 0]
    for (;;) {
      const mark = this.#inside ? END : BEGIN
      const found = text.indexOf(mark, at)
      const end = found >= 0 ? found : text.length - begun(text.slice(at), mark)
      const part = text.slice(at, end)
      read += this.#inside ? part.replace(/\r\n?|\n/g, SIGN) : part
      if (found < 0) {
        this.#held = text.slice(end)
        return read
      }
      at = found + mark.length
      this.#inside = !this.#inside
    }
  }
}

/** The length of the beginning of a mark at the end of a text. An escape alone is a key. */
function begun(text: string, mark: string): number {
  for (let length = mark.length - 1; length > 1; length--) if (text.endsWith(mark.slice(0, length))) return length
  return 0
}

/** A line as it was typed or pasted. */
export function joined(line: string): string {
  return line.replaceAll(SIGN, '\n').replace(/\n+$/, '')
}
