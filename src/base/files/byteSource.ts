// Random access to bytes: the interface, and its implementation for files. Tells by the first bytes what is often found
// in a file's place: the pointer of a clone without Git LFS, and the page of a site that was asked for the file. Does
// not know what else the bytes mean.

import fs from 'node:fs/promises'
import { MixtralError, reasonOf } from '../errors.js'

/** Random access to bytes that do not change. */
export interface ByteSource {
  /** A path or an address, for messages. */
  readonly name: string
  /** How many bytes there are. */
  readonly bytes: number
  /** Exactly `length` bytes from `offset`; callers stay within `bytes`. */
  read(offset: number, length: number): Promise<Uint8Array>
}

/** The error of a file that the system would not open, read or write, with its reason. */
export function ioError(doing: string, path: string, cause: unknown): MixtralError {
  return new MixtralError('IO', `cannot ${doing} ${path}: ${reasonOf(cause)}`, { cause })
}

/**
 * Opens a regular file for reading. A pipe is refused: to open one may wait for ever, and keep the process from ending.
 */
export async function openRegular(path: string): Promise<fs.FileHandle> {
  if (!(await fs.stat(path)).isFile()) throw new Error('not a file')
  return fs.open(path, 'r')
}

/** A file opened for reading. Close it. */
export class FileSource implements ByteSource {
  readonly name: string
  readonly bytes: number
  readonly #handle: fs.FileHandle

  private constructor(path: string, bytes: number, handle: fs.FileHandle) {
    this.name = path
    this.bytes = bytes
    this.#handle = handle
  }

  /** Throws `IO` if there is no such file, it is not a regular file (a pipe would block), or it may not be read. */
  static async open(path: string): Promise<FileSource> {
    try {
      const handle = await openRegular(path)
      return new FileSource(path, (await handle.stat()).size, handle)
    } catch (cause) {
      throw ioError('open', path, cause)
    }
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(length)
    for (let done = 0; done < length; ) {
      const { bytesRead } = await this.#handle.read(bytes, done, length - done, offset + done).catch((cause: unknown) => {
        throw ioError('read', this.name, cause)
      })
      if (bytesRead === 0) throw ioError('read', this.name, new Error(`it ends at byte ${offset + done}, expected ${this.bytes} bytes`))
      done += bytesRead
    }
    return bytes
  }

  async close(): Promise<void> {
    await this.#handle.close()
  }
}

/** The words for a file that is none of what was asked for; undefined for others. At least four bytes are needed. */
export function impostorOf(bytes: Uint8Array): string | undefined {
  const start = String.fromCharCode(...bytes.subarray(0, 8)).toLowerCase()
  if ('version '.startsWith(start.slice(0, 8)) && start.length >= 4)
    return 'a Git LFS pointer in place of the file: `git lfs pull` fetches it'
  const isPage = ['<!do', '<htm', '<?xm'].some((tag) => start.trimStart().startsWith(tag))
  return isPage ? 'a web page in place of the file: it was not downloaded from where the file is' : undefined
}
