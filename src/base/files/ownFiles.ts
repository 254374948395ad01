// Files and folders that this program makes in folders of its own, where others may have been: a link is never
// followed to what is written, and a new file gets the rights of its folder. Does not know what the files are.

import { randomBytes } from 'node:crypto'
import type { Stats } from 'node:fs'
import fs from 'node:fs/promises'
import path from 'node:path'
import { ioError } from './byteSource.js'

/** Rights that a folder gives to what is made in it: a private one makes private files and folders. */
const rightsOf = ({ mode }: Stats) => mode & 0o777

/** Makes a folder for its owner only, unless it is there: then its rights stay. Those above it get the usual rights. */
export async function makePrivateFolder(folder: string): Promise<void> {
  const isThere = async () => (await fs.stat(folder).catch(() => undefined))?.isDirectory() === true
  if (await isThere()) return // also where nothing may be written
  await fs.mkdir(path.dirname(folder), { recursive: true })
  await fs.mkdir(folder, { mode: 0o700 }).catch(async (cause: unknown) => {
    if (!(await isThere())) throw cause // another process may have made it meanwhile
  })
}

/** Makes a folder, and those above it, with the rights of the nearest one that is there. */
export async function makeFolder(folder: string): Promise<void> {
  let above = folder
  let stats = await fs.stat(above).catch(() => undefined)
  while (!stats && path.dirname(above) !== above) {
    above = path.dirname(above)
    stats = await fs.stat(above).catch(() => undefined)
  }
  await fs.mkdir(folder, { recursive: true, ...(stats && { mode: rightsOf(stats) }) })
}

/** Creates a file for reading and writing, in place of whatever has its name; of a link, the link is replaced. */
export async function createFile(file: string): Promise<fs.FileHandle> {
  await fs.rm(file, { force: true })
  const mode = rightsOf(await fs.stat(path.dirname(file))) & 0o666
  return fs.open(file, 'wx+', mode)
}

/** Opens a file that is there. Undefined if it is none, a link, or has a second name elsewhere. */
export async function reopenFile(file: string, flags: 'r+' | 'a'): Promise<fs.FileHandle | undefined> {
  const named = await fs.lstat(file).catch(() => undefined)
  if (!named?.isFile() || named.nlink > 1) return undefined
  const handle = await fs.open(file, flags)
  const opened = await handle.stat()
  if (opened.ino === named.ino && opened.dev === named.dev) return handle
  await handle.close()
  return undefined
}

/**
 * Writes a file so that it is whole or absent. Hold a lock: drafts that others have left are removed. `~` is in no tag
 * and in no file's ending, so that no draft passes for a manifest. Throws `IO`.
 */
export async function writeWhole(file: string, text: string): Promise<void> {
  const [folder, start] = [path.dirname(file), `${path.basename(file)}~draft`]
  const draft = path.join(folder, `${start}.${randomBytes(8).toString('hex')}`)
  try {
    await makeFolder(folder)
    for (const name of await fs.readdir(folder)) if (name.startsWith(start)) await fs.rm(path.join(folder, name), { force: true })
  } catch (cause) {
    throw ioError('write', file, cause)
  }
  await placeFile(file, text, draft)
}

/** Writes a file so that it is whole or absent, also where others write it. Throws `IO`. */
export async function placeFile(file: string, text: string, draft = `${file}~${randomBytes(4).toString('hex')}`): Promise<void> {
  try {
    const handle = await createFile(draft)
    try {
      const bytes = Buffer.from(text)
      for (let done = 0; done < bytes.length; ) done += (await handle.write(bytes, done)).bytesWritten
      await handle.sync()
    } finally {
      await handle.close()
    }
    await fs.rename(draft, file)
  } catch (cause) {
    await fs.rm(draft, { force: true }).catch(() => {})
    throw ioError('write', file, cause)
  }
}
