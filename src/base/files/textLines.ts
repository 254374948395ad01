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

/** Bytes of a line, without its line break. */
export interface ByteLine {
  /** From 1. */
  readonly number: number
  readonly offset: number
  readonly bytes: Uint8Array
  /** Whether a line break ends it: the last line of a file may have none. */
  readonly ends: boolean
}

const CHUNK = 1024 * 1024
const LINE_BREAK = 10

/** Cuts the pieces of a file into lines. Throws what `tooLong` gives for the number of a line of over `most` bytes. */
export async function* cutLines(
  pieces: AsyncIterable<Uint8Array>,
  most: number,
  tooLong: (number: number) => MixtralError,
): AsyncGenerator<ByteLine> {
  /** Parts of a line that goes on. */
  let parts: Uint8Array[] = []
  let length = 0
  let number = 1
  let offset = 0
  const add = (part: Uint8Array) => {
    length += part.length
    if (length > most) throw tooLong(number)
    parts.push(part)
  }
  const line = (ends: boolean): ByteLine => {
    const whole = { number, offset, bytes: parts.length === 1 ? parts[0]! : Buffer.concat(parts), ends }
    number++
    offset += length + 1
    parts = []
    length = 0
    return whole
  }
  for await (const piece of pieces) {
    let start = 0
    for (let end = piece.indexOf(LINE_BREAK); end >= 0; end = piece.indexOf(LINE_BREAK, start)) {
      add(piece.subarray(start, end))
      yield line(true)
      start = end + 1
    }
    if (start < piece.length) add(piece.subarray(start))
  }
  if (length > 0) yield line(false)
}

/**
 * Reads lines of UTF-8 without their line breaks; a byte order mark at the beginning is left out. Throws `IO` for a
 * line of more than `longest` bytes, and for one that is no UTF-8.
 */
export async function* textLines(source: ByteSource, longest: number): AsyncGenerator<TextLine> {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  const place = (number: number) => `${source.name}, line ${number}`
  const tooLong = (number: number) => new MixtralError('IO', `${place(number)}: has more than ${longest} bytes`)
  for await (const { number, offset, bytes, ends } of cutLines(piecesOf(source), longest, tooLong)) {
    let text: string
    try {
      text = decoder.decode(bytes)
    } catch (cause) {
      throw new MixtralError('IO', `${place(number)}: is not UTF-8`, { cause })
    }
    if (number === 1) text = text.replace(/^\ufeff/, '')
    yield { number, text, end: offset + bytes.length + Number(ends), isEnded: ends }
  }
}

async function* piecesOf(source: ByteSource): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < source.bytes; at += CHUNK) yield await source.read(at, Math.min(CHUNK, source.bytes - at))
}
