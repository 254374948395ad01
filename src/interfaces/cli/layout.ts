// The layout of what commands print: aligned columns, speeds, texts from untrusted files, JSON. Pure, except that
// colors depend on the stream.

import pc from 'picocolors'

/** Colors for a stream; none where it is not a terminal or NO_COLOR is set. */
export function colorsOf(stream: { readonly isTTY?: boolean }) {
  return pc.createColors(stream.isTTY === true && pc.isColorSupported)
}

/** Rows as lines of aligned columns, two spaces between; `right` lists the columns that align to the right. */
export function columns(rows: readonly (readonly string[])[], right: readonly number[] = []): string {
  const widths: number[] = []
  for (const row of rows) for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length)
  const pad = (cell: string, i: number) => (right.includes(i) ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!))
  return rows.map((row) => `${row.map(pad).join('  ').trimEnd()}\n`).join('')
}

/** A speed in three digits, such as `350 t/s`. */
export function speed(tokensPerSecond: number): string {
  const digits = tokensPerSecond >= 99.95 ? 0 : tokensPerSecond >= 9.995 ? 1 : 2
  return `${tokensPerSecond.toFixed(digits)} t/s`
}

/** Characters that JSON leaves as they are and a terminal may obey or misplace: C1 controls, directions of writing. */
const OBEYED = /[\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g

/** A text from an untrusted file for the terminal: escaped, in quotes, cut to about `most` characters. */
export function quotedText(text: string, most = 72): string {
  const cut = text.length > most ? `${text.slice(0, most - 3)}...` : text
  return JSON.stringify(cut.toWellFormed()).replaceAll(OBEYED, escaped)
}

const escaped = (c: string) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`

/**
 * A text of several lines from an untrusted file for the terminal. Line breaks and tabs stay; what a terminal may obey
 * is escaped.
 */
export function plainLines(text: string): string {
  const lines = text.toWellFormed().split(/\r?\n/)
  return lines.map((line) => line.replaceAll(/[^\P{Cc}\t]/gu, escaped).replaceAll(OBEYED, escaped)).join('\n')
}

/** One line of JSON; bigints become strings. */
export function jsonLine(value: unknown): string {
  return `${JSON.stringify(value, (_, item) => (typeof item === 'bigint' ? String(item) : item))}\n`
}

const LONGEST_ERROR = 4000

/**
 * The line in which a command reports an error. A message may hold text of servers and templates, so it is escaped and
 * cut.
 */
export function errorLine(message: string): string {
  const cut = message.length > LONGEST_ERROR ? `${message.slice(0, LONGEST_ERROR)}...` : message
  return `mixtral: ${plainLines(cut.trim().replaceAll(/\s*\n\s*/g, ' '))}\n`
}
