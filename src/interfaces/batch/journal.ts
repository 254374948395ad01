// A file of results that is its own journal: lines are only ever added, and a line counts when it is whole. What a
// killed process has left of its last line is cut. Owns writing, flushing and cutting; does not know what a line says.

import fs, { type FileHandle } from 'node:fs/promises'
import { MixtralError } from '../../base/errors.js'
import { ioError } from '../../base/files/byteSource.js'
import { limits } from '../../base/limits.js'
import { type FileLine, linesOf } from './fileLines.js'

/** A power cut costs the work of so much time. */
const FLUSH_MS = 1000

export class Journal {
  readonly file: string
  readonly #handle: FileHandle
  /** Bytes of whole lines. */
  #bytes: number
  /** The last of the writes that are under way: they follow each other. */
  #writing: Promise<void> = Promise.resolve()
  #flushed = performance.now()
  #failed: Error | undefined

  private constructor(file: string, handle: FileHandle, bytes: number) {
    this.file = file
    this.#handle = handle
    this.#bytes = bytes
  }

  /**
   * Opens the file, or makes it; `take` gets the lines that are there, and a
   * last one without an end, which is cut then. Throws `IO`, `OPTION` for a line that is too
   * long, and what `take` throws.
   */
  static async open(file: string, take: (line: FileLine) => Promise<void> | void): Promise<Journal> {
    const handle = await fs.open(file, 'a+').catch((cause) => {
      throw ioError('write', file, cause)
    })
    try {
      if (!(await handle.stat()).isFile()) throw new MixtralError('IO', `${file} is no file, expected one, or a new name`)
      let bytes = 0
      for await (const line of linesOf(handle, { file, most: limits.batchResult.most })) {
        await take(line)
        if (!line.ends) break
        bytes = line.offset + line.bytes.length + 1
      }
      await handle.truncate(bytes).catch((cause) => {
        throw ioError('write', file, cause)
      })
      return new Journal(file, handle, bytes)
    } catch (error) {
      await handle.close()
      throw error
    }
  }

  /** Adds a line. Resolves when it is written, and throws `IO` if it cannot be: then nothing of it is left. */
  append(line: string): Promise<void> {
    const bytes = Buffer.from(`${line}\n`)
    const written = this.#writing.then(() => this.#write(bytes))
    this.#writing = written.catch(() => {})
    return written
  }

  /** Flushes and closes the file, and deletes an empty one if asked. Throws `IO`. */
  async close({ keepsEmpty = true } = {}): Promise<void> {
    await this.#writing
    try {
      if (!this.#failed) await this.#handle.sync()
      if (!keepsEmpty && this.#bytes === 0) await fs.rm(this.file, { force: true })
    } catch (cause) {
      throw ioError('write', this.file, cause)
    } finally {
      await this.#handle.close()
    }
  }

  async #write(bytes: Uint8Array): Promise<void> {
    if (this.#failed) throw this.#failed
    try {
      for (let done = 0; done < bytes.length; ) {
        done += (await this.#handle.write(bytes, done, bytes.length - done)).bytesWritten
      }
      this.#bytes += bytes.length
      if (performance.now() - this.#flushed < FLUSH_MS) return
      await this.#handle.sync()
      this.#flushed = performance.now()
    } catch (cause) {
      await this.#handle.truncate(this.#bytes).catch(() => {}) // a torn line would be cut at the next start
      this.#failed = ioError('write', this.file, cause)
      throw this.#failed
    }
  }
}
