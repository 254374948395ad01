// The layout of what commands print: aligned columns, speeds, lines, JSON. What comes from outside is escaped by
// base/terminalText.ts. Pure, except that colors and escapes depend on the stream.

import pc from 'picocolors'
import { limits } from '../../base/limits.js'
import { PlainStream, plainJson, plainLine, plainText, shortened } from '../../base/terminalText.js'

/** Colors for a stream; none where it is not a terminal or NO_COLOR is set. */
export function colorsOf(stream: { readonly isTTY?: boolean }) {
  return pc.createColors(stream.isTTY === true && pc.isColorSupported)
}

/**
 * Rows as lines of aligned columns, two spaces between; `right` lists the columns that align to the right. Cells may
 * hold text from anywhere.
 */
export function columns(table: readonly (readonly string[])[], right: readonly number[] = []): string {
  const rows = table.map((row) => row.map(plainLine))
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

/** One line of JSON; bigints become strings. */
export function jsonLine(value: unknown): string {
  return `${plainJson(JSON.stringify(value, (_, item) => (typeof item === 'bigint' ? String(item) : item)))}\n`
}

/** The line in which a command reports an error, escaped and cut: it may hold text from anywhere. */
export function errorLine(message: string): string {
  return `mixtral: ${shortened(plainText(message.trim()).replaceAll(/\s*\n\s*/g, ' '), limits.errorText.most)}\n`
}

/** Writes a line to stderr, dim if asked. It may hold text from anywhere. */
export function say(text: string, { dim = false } = {}): void {
  const plain = plainText(text)
  process.stderr.write(`${dim ? colorsOf(process.stderr).dim(plain) : plain}\n`)
}

/** Text from anywhere as a stream wants it: escaped on a terminal, as it is in a file or a pipe. */
export function textFor(stream: { readonly isTTY?: boolean }, text: string): string {
  return stream.isTTY === true ? plainText(text) : text
}

/** A function that writes text to a stream piece by piece: escaped on a terminal, as it is in a file or a pipe. */
export function streamedTo(stream: { readonly isTTY?: boolean; write(text: string): unknown }): (piece: string) => void {
  const plain = new PlainStream()
  return (piece) => void stream.write(stream.isTTY === true ? plain.next(piece) : piece)
}
