// The files that commands are given by name. A text to measure or to learn by: what is no text is refused, since its
// bytes would become replacement characters, and the result would look like any other. An output: written completely,
// or not at all, whatever its contents.

import { access, constants, readFile, stat, writeFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { MixtralError, reasonOf } from '../../base/errors.js'
import { ioError } from '../../base/files/byteSource.js'
import { DraftFile } from '../../base/files/draftFile.js'

/** Bytes of a character that a cut may leave of it. */
const LONGEST_REST = 3

/** The text of a file, without a character that is cut at its end. Throws `IO` if it cannot be read or is no UTF-8. */
export async function readTextFile(file: string): Promise<string> {
  const bytes = await readFile(file).catch((cause: Error) => {
    throw new MixtralError('IO', `${file}: cannot be read: ${reasonOf(cause)}`, { cause })
  })
  if (bytes.includes(0)) throw new MixtralError('IO', `${file} has a byte 0, as binary files have, expected a text in UTF-8`)
  const text = bytes.toString('utf8')
  const whole = Buffer.from(text) // a replacement character is not what was decoded
  if (whole.equals(bytes)) return text
  const at = bytes.findIndex((byte, index) => byte !== whole[index])
  if (bytes.length - at <= LONGEST_REST && bytes[at]! >= 0xc0) return bytes.toString('utf8', 0, at)
  const line = bytes.toString('latin1', 0, at).split('\n').length
  throw new MixtralError(
    'IO',
    `${file} is not UTF-8 in line ${line} (byte ${at} is 0x${bytes[at]!.toString(16)}), expected a text in UTF-8`,
  )
}

/**
 * Throws `OPTION` for an output named `-`: many programs mean standard output by it, here it would be a file; and for
 * two outputs of one name.
 */
export function checkOutputs(...paths: readonly (string | undefined)[]): void {
  if (paths.includes('-')) throw new MixtralError('OPTION', 'the output is -, expected the name of a file; one of that name is ./-')
  const places = paths.flatMap((path) => (path === undefined ? [] : [resolve(path)]))
  const twice = places.find((place, i) => places.indexOf(place) < i)
  if (twice !== undefined) throw new MixtralError('OPTION', `${twice} is the name of two outputs, expected one for each`)
}

/**
 * Throws `IO` for outputs that could not be written when the work is done: that are folders, or in none that may be
 * written.
 */
export async function checkPlaces(...paths: readonly (string | undefined)[]): Promise<void> {
  for (const path of paths) {
    if (path === undefined) continue
    try {
      const there = await stat(path).catch(() => undefined)
      if (there?.isDirectory()) throw new Error('it is a folder, expected a file')
      if (there?.isFile() === false) continue // a pipe or a device is written directly
      const folder = dirname(path)
      if (!(await stat(folder).catch(() => undefined))?.isDirectory()) throw new Error(`there is no folder ${folder}`)
      await access(folder, constants.W_OK)
    } catch (cause) {
      throw ioError('write', path, cause)
    }
  }
}

/**
 * Writes parts of a file in order. The file gets its name when all are written; a pipe or a device gets them directly.
 * Throws `IO`.
 */
export async function writeOutput(path: string, pieces: Iterable<Uint8Array>): Promise<void> {
  const list = [...pieces]
  const there = await stat(path).catch(() => undefined)
  if (there && !there.isFile()) {
    return writeFile(path, list).catch((cause) => {
      throw ioError('write', path, cause)
    })
  }
  const draft = await DraftFile.create(
    path,
    list.reduce((sum, { length }) => sum + length, 0),
  )
  try {
    let at = 0
    for (const piece of list) {
      await draft.write(piece, at)
      at += piece.length
    }
    await draft.seal()
    await draft.publish()
  } finally {
    await draft.discard()
  }
}
