// What a terminal shows of what is written to it: as much of one as the command uses. Not a test.

const wide = /[\u3000-\u9fff]/u

/** The rows, without spaces at their ends. An escape sequence that the command should not use is an error. */
export function shownOn(written: string, width: number): string[] {
  const rows: string[][] = [[]]
  let [row, column] = [0, 0]
  // biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences begin with one
  const sequences = /\x1b\[(\d*)([A-Za-z])|\x1b\[\?7[lh]|\x1b\[[\d;]*m|([\s\S])/gu
  for (const [, count, letter, character] of written.matchAll(sequences)) {
    if (letter === 'A') row -= Number(count || 1)
    else if (letter === 'G') column = Number(count) - 1
    else if (letter === 'K') rows[row]!.length = Math.min(rows[row]!.length, column)
    else if (letter === 'J') {
      rows[row]!.length = Math.min(rows[row]!.length, column)
      rows.length = row + 1
    } else if (letter !== undefined && letter !== 'm') throw new Error(`escape sequence ${letter}`)
    else if (character === '\r') column = 0
    else if (character === '\n') [row, column] = [row + 1, 0]
    else if (character !== undefined) {
      const columns = wide.test(character) ? 2 : 1
      if (column + columns > width) [row, column] = [row + 1, 0]
      rows[row] ??= []
      rows[row]!.length = Math.max(rows[row]!.length, column)
      rows[row]!.splice(column, columns, character, ...Array(columns - 1).fill(''))
      column += columns
    }
    rows[row] ??= []
  }
  return rows.map((cells) =>
    Array.from(cells, (cell) => cell ?? ' ')
      .join('')
      .trimEnd(),
  )
}
