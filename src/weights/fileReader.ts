// Blocking reads for the threads: straight from a file into a view of a bank. Owns file descriptors and says which file fails.

import fs from 'node:fs'
import { MixtralError } from '../errors.js'

export class FileReader {
  readonly #paths: readonly string[]
  readonly #descriptors: (number | undefined)[] = []

  constructor(paths: readonly string[]) {
    this.#paths = paths
  }

  /** Reads exactly `bytes` from `offset` of a file to target[at]. Throws `IO` if the file cannot be read or is shorter than it was. */
  read(file: number, target: Uint8Array, at: number, bytes: number, offset: number): void {
    const path = this.#paths[file]!
    try {
      this.#descriptors[file] ??= fs.openSync(path, 'r')
      const descriptor = this.#descriptors[file]
      for (let done = 0; done < bytes; ) {
        const got = fs.readSync(descriptor, target, at + done, bytes - done, offset + done)
        if (!got)
          throw new MixtralError(
            'IO',
            `${path}: ends at byte ${offset + done}, expected ${bytes - done} more: the file has become shorter since it was opened`,
          )
        done += got
      }
    } catch (error) {
      if (error instanceof MixtralError) throw error
      throw new MixtralError('IO', `${path}: ${(error as Error).message}`, { cause: error })
    }
  }

  close(): void {
    for (const descriptor of this.#descriptors) if (descriptor !== undefined) fs.closeSync(descriptor)
    this.#descriptors.length = 0
  }
}
