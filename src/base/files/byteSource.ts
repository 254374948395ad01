// Random access to bytes: the interface, and its implementation for files. Does not know what the bytes mean.

import fs from 'node:fs/promises'
import { MixtralError } from '../errors.js'

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
  return new MixtralError('IO', `cannot ${doing} ${path}: ${(cause as Error).message}`, { cause })
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
      const stats = await fs.stat(path)
      if (!stats.isFile()) throw new Error('not a file')
      return new FileSource(path, stats.size, await fs.open(path, 'r'))
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
