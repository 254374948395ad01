// A file that a command writes: completely, or not at all. Knows nothing of its contents.

import { stat, writeFile } from 'node:fs/promises'
import { ioError } from '../../base/files/byteSource.js'
import { DraftFile } from '../../base/files/draftFile.js'

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
