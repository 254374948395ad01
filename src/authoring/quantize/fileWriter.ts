// Blocking writes for the threads, from their memory to a place in an existing file. Owns the file descriptors and
// names the file that fails.

import fs from 'node:fs'
import { ioError } from '../../base/files/byteSource.js'

export class FileWriter {
  readonly #paths: readonly string[]
  readonly #descriptors: (number | undefined)[] = []

  constructor(paths: readonly string[]) {
    this.#paths = paths
  }

  /** Writes exactly `bytes` bytes, from source[at] on, to `offset` of a file. Throws `IO`. */
  write(file: number, source: Uint8Array, at: number, bytes: number, offset: number): void {
    const path = this.#paths[file]!
    try {
      this.#descriptors[file] ??= fs.openSync(path, 'r+')
      const descriptor = this.#descriptors[file]
      for (let done = 0; done < bytes; ) done += fs.writeSync(descriptor, source, at + done, bytes - done, offset + done)
    } catch (cause) {
      throw ioError('write', path, cause)
    }
  }

  close(): void {
    for (const descriptor of this.#descriptors) if (descriptor !== undefined) fs.closeSync(descriptor)
    this.#descriptors.length = 0
  }
}
