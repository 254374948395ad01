// The lines of a file that is too large for memory: one after the other, with their places, so that a line can be read
// again. Owns the bound of a line and the words for one that is longer. Does not know what lines hold.

import type { FileHandle } from 'node:fs/promises'
import { abortedError, MixtralError } from '../../base/errors.js'
import { ioError, openRegular } from '../../base/files/byteSource.js'
import { type ByteLine, cutLines } from '../../base/files/textLines.js'

const PIECE = 2 ** 20
const RETURN = 0x0d

export type FileLine = ByteLine

interface Reading {
  readonly file: string
  /** Most bytes of a line. */
  readonly most: number
  readonly signal?: AbortSignal | undefined
  /** Takes all bytes in their order. */
  readonly onBytes?: (bytes: Uint8Array) => void
}

/** Opens a file, which is read more than once. Throws `IO`, also for a pipe. */
export async function openFile(file: string): Promise<FileHandle> {
  return openRegular(file).catch((cause) => {
    throw ioError('open', file, cause)
  })
}

/** The lines from the beginning on. Throws `OPTION` for one that is too long, `IO`, and `ABORTED`. */
export async function* linesOf(handle: FileHandle, { file, most, signal, onBytes }: Reading): AsyncGenerator<FileLine> {
  const pieces = async function* () {
    for (let at = 0; ; ) {
      if (signal?.aborted) throw abortedError(signal)
      const piece = await readAt(handle, file, at, PIECE)
      if (piece.length === 0) return
      onBytes?.(piece)
      at += piece.length
      yield piece
    }
  }
  for await (const line of cutLines(pieces(), most, (number) => tooLong(file, number, most))) {
    yield line.ends && line.bytes.at(-1) === RETURN ? { ...line, bytes: line.bytes.subarray(0, -1) } : line
  }
}

/** Up to `length` bytes from `offset` on: less at the end of the file only. Throws `IO`. */
export async function readAt(handle: FileHandle, file: string, offset: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length)
  let done = 0
  while (done < length) {
    const { bytesRead } = await handle.read(bytes, done, length - done, offset + done).catch((cause) => {
      throw ioError('read', file, cause)
    })
    if (bytesRead === 0) break
    done += bytesRead
  }
  return bytes.subarray(0, done)
}

function tooLong(file: string, line: number, most: number): MixtralError {
  return new MixtralError('OPTION', `${file}:${line}: the line has more than ${most} bytes, which is the most`)
}
