// The layout of what commands print: aligned columns, speeds, lines, JSON. What comes from outside is escaped by
// base/terminalText.ts. Pure, except that colors and escapes depend on the stream.

import pc from 'picocolors'
import { limits } from '../../base/limits.js'
import { PlainStream, plainJson, plainLine, plainText, shortened, textWidth } from '../../base/terminalText.js'
import { StreamWrap, wrapLines } from './wordWrap.js'

/** Standard output or standard error, as far as its abilities go. */
interface Stream {
  readonly isTTY?: boolean
  readonly columns?: number
}

/** Whether a stream is a terminal that moves its cursor and clears lines. */
export function hasCursor({ isTTY }: Stream): boolean {
  return isTTY === true && process.env.TERM !== 'dumb'
}

/** Columns of a terminal; endless where there is none, or it does not tell. */
export function widthOf({ isTTY, columns }: Stream): number {
  return (isTTY === true && columns) || Number.POSITIVE_INFINITY
}

/** Colors for a stream; none where it is not a terminal, is a dumb one, or NO_COLOR is set. */
export function colorsOf(stream: Stream) {
  return pc.createColors(hasColors(stream))
}

export const hasColors = (stream: Stream) => hasCursor(stream) && !process.env.NO_COLOR

/**
 * Rows as lines of aligned columns, two spaces between; `right` lists the columns that align to the right. Cells may
 * hold text from anywhere.
 */
export function columns(table: readonly (readonly string[])[], right: readonly number[] = []): string {
  const rows = table.map((row) => row.map(plainLine))
  const widths: number[] = []
  for (const row of rows) for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, textWidth(cell))
  const pad = (cell: string, i: number) => {
    const space = ' '.repeat(widths[i]! - textWidth(cell))
    return right.includes(i) ? space + cell : cell + space
  }
  return rows.map((row) => `${row.map(pad).join('  ').trimEnd()}\n`).join('')
}

/** A speed in three digits, such as `350 tokens/s`. */
export function speed(tokensPerSecond: number): string {
  const digits = tokensPerSecond >= 99.95 ? 0 : tokensPerSecond >= 9.995 ? 1 : 2
  return `${tokensPerSecond.toFixed(digits)} tokens/s`
}

/** One line of JSON; bigints become strings. */
export function jsonLine(value: unknown): string {
  return `${plainJson(JSON.stringify(value, (_, item) => (typeof item === 'bigint' ? String(item) : item)))}\n`
}

/** The line in which a command reports an error, escaped and cut: it may hold text from anywhere. */
export function errorLine(message: string): string {
  return `mixtral: ${shortened(plainText(message.trim()).replaceAll(/\s*\n\s*/g, ' '), limits.errorText.most)}\n`
}

/** Writes what is wrong to stderr, in one line, as `errorLine` makes it. */
export function complain(message: string): void {
  process.stderr.write(wrapped(process.stderr, errorLine(message)))
}

/** Writes a line to stderr, dim if asked. It may hold text from anywhere. */
export function say(text: string, { dim = false } = {}): void {
  const plain = wrapped(process.stderr, plainText(text))
  process.stderr.write(`${dim ? colorsOf(process.stderr).dim(plain) : plain}\n`)
}

/** Writes a result to stdout; on a terminal, lines that are too long for it are broken between words. */
export function print(text: string): void {
  process.stdout.write(wrapped(process.stdout, text))
}

const wrapped = (stream: Stream, text: string) => wrapLines(text, widthOf(stream))

/** Text from anywhere as a stream wants it: escaped on a terminal, as it is in a file or a pipe. */
export function textFor(stream: Stream, text: string): string {
  return stream.isTTY === true ? plainText(text) : text
}

/**
 * A function that writes text to a stream piece by piece: escaped and broken between words on a terminal, as it is in a
 * file or a pipe.
 * @param before what is in the line already
 */
export function streamedTo(stream: Stream & { write(text: string): unknown }, before = ''): (piece: string) => void {
  if (stream.isTTY !== true) return (piece) => void stream.write(piece)
  const plain = new PlainStream()
  const wrap = new StreamWrap(() => (hasCursor(stream) ? (stream.columns ?? 0) : 0))
  wrap.next(before)
  return (piece) => void stream.write(wrap.next(plain.next(piece)))
}
