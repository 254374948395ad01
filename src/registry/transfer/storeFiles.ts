// Reading what may not be there: files of limited size, folders and their trees. An absence is undefined or empty, any other failure an error.

import fs from 'node:fs/promises'
import path from 'node:path'
import { MixtralError } from '../../base/errors.js'
import { ioError } from '../../base/files/byteSource.js'

/** The size of a regular file, links followed; undefined if there is none. */
export async function fileBytes(file: string): Promise<number | undefined> {
  const stats = await orAbsent('look at', file, fs.stat(file))
  return stats?.isFile() ? stats.size : undefined
}

/** A text file; undefined if there is none. Throws `IO` if it is larger than `mostBytes`. */
export async function readText(file: string, mostBytes: number): Promise<string | undefined> {
  const bytes = await fileBytes(file)
  if (bytes === undefined) return undefined
  if (bytes > mostBytes) throw new MixtralError('IO', `${file}: ${bytes} bytes, expected at most ${mostBytes}`)
  return orAbsent('read', file, fs.readFile(file, 'utf8'))
}

/** All files under a folder, as paths relative to it with `/`, sorted; at most `depth` folders deep. */
export async function filesUnder(folder: string, depth: number): Promise<string[]> {
  const entries = (await orAbsent('read', folder, fs.readdir(folder, { withFileTypes: true }))) ?? []
  const files: string[] = []
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (!entry.isDirectory()) files.push(entry.name)
    else if (depth > 0) for (const file of await filesUnder(path.join(folder, entry.name), depth - 1)) files.push(`${entry.name}/${file}`)
  }
  return files
}

/** Writes a file so that it is whole or absent. Hold a lock: the draft has one name, so that the next attempt takes the place of one that was killed. */
export async function writeWhole(file: string, text: string): Promise<void> {
  const draft = draftOf(file)
  try {
    await fs.mkdir(path.dirname(file), { recursive: true })
    await fs.writeFile(draft, text, { flush: true })
    await fs.rename(draft, file)
  } catch (cause) {
    await fs.rm(draft, { force: true }).catch(() => {})
    throw ioError('write', file, cause)
  }
}

/** With a character that is in no tag and in no file's ending, so that nothing takes a draft for a manifest. */
const draftOf = (file: string) => `${file}~draft`

async function orAbsent<T>(doing: string, file: string, result: Promise<T>): Promise<T | undefined> {
  try {
    return await result
  } catch (cause) {
    // Another user's store, such as the Ollama service's, is as good as absent.
    if (['ENOENT', 'ENOTDIR', 'EACCES', 'EPERM'].includes((cause as NodeJS.ErrnoException).code ?? '')) return undefined
    throw ioError(doing, file, cause)
  }
}
