// A file that a command writes: whole, or not at all. Knows nothing of what is in it.

import { stat, writeFile } from 'node:fs/promises'
import { MixtralError } from '../errors.js'
import { DraftFile } from '../gguf/draftFile.js'

/** Writes the pieces one after the other. A file gets its name when all are written; a pipe or a device gets them as they are. Throws `IO`. */
export async function writeOutput(path: string, pieces: Iterable<Uint8Array>): Promise<void> {
  const list = [...pieces]
  const there = await stat(path).catch(() => undefined)
  if (there && !there.isFile()) {
    await writeFile(path, list).catch((cause: Error) => {
      throw new MixtralError('IO', `${path}: cannot be written: ${cause.message}`, { cause })
    })
    return
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
