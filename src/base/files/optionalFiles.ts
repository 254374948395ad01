// Files that may be absent: their size, their text, the files under a folder. Absence is undefined or an empty list,
// any other failure an error. Writes nothing.

import fs from 'node:fs/promises'
import path from 'node:path'
import { MixtralError } from '../errors.js'
import { ioError } from './byteSource.js'

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

async function orAbsent<T>(doing: string, file: string, result: Promise<T>): Promise<T | undefined> {
  try {
    return await result
  } catch (cause) {
    // A store that this user may not read, such as that of the Ollama service, counts as absent.
    if (['ENOENT', 'ENOTDIR', 'EACCES', 'EPERM'].includes((cause as NodeJS.ErrnoException).code ?? '')) return undefined
    throw ioError(doing, file, cause)
  }
}
