// The lines of a file, one at a time, so that a file of any size can be read. Does not know what the lines mean.

import { MixtralError } from '../errors.js'
import type { ByteSource } from './byteSource.js'

export interface TextLine {
  /** From 1. */
  readonly number: number
  readonly text: string
  /** The place of the byte behind it and its line break. */
  readonly end: number
  /** Whether a line break ends it: the last line of a file may have none. */
  readonly isEnded: boolean
}

const CHUNK = 1024 * 1024
const LINE_BREAK = 10

/**
 * Reads lines of UTF-8 without their line breaks; a byte order mark at the beginning is left out. Throws `IO` for a
 * line of more than `longest` bytes, and for one that is no UTF-8.
 */
export async function* textLines(source: ByteSource, longest: number): AsyncGenerator<TextLine> {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  let number = 0
  let position = 0
  /** Parts of a line that goes on. */
  let parts: Uint8Array[] = []
  let length = 0
  const add = (part: Uint8Array) => {
    length += part.length
    if (length > longest) throw new MixtralError('IO', `${source.name}, line ${number + 1}: has more than ${longest} bytes`)
    parts.push(part)
  }
  const line = (end: number, isEnded: boolean): TextLine => {
    const bytes = parts.length === 1 ? parts[0]! : Buffer.concat(parts)
    parts = []
    length = 0
    number++
    try {
      const text = decoder.decode(bytes)
      return { number, text: number === 1 ? text.replace(/^\ufeff/, '') : text, end, isEnded }
    } catch (cause) {
      throw new MixtralError('IO', `${source.name}, line ${number}: is not UTF-8`, { cause })
    }
  }
  while (position < source.bytes) {
    const chunk = await source.read(position, Math.min(CHUNK, source.bytes - position))
    for (let start = 0; start < chunk.length; ) {
      const at = chunk.indexOf(LINE_BREAK, start)
      add(chunk.subarray(start, at < 0 ? chunk.length : at))
      start = at < 0 ? chunk.length : at + 1
      if (at >= 0) yield line(position + start, true)
    }
    position += chunk.length
  }
  if (length > 0) yield line(position, false)
}
