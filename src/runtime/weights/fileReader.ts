// Blocking reads for the threads: straight from a file into a view of a bank, past the page cache where asked for and possible. Owns file descriptors, says which file fails, and notices
// when a file is not the one that was opened.

import fs from 'node:fs'
import { MixtralError } from '../../base/errors.js'

/** A file as it was when the model was opened. */
export interface KnownFile {
  readonly path: string
  readonly bytes: number
  /** Milliseconds since 1970. */
  readonly modified: number
}

/** Direct reads want offset, length and address to be multiples of this. */
export const DIRECT_BLOCK = 4096

/** What the files are now. Throws `IO` for one that cannot be read, or has another length than `bytes`. */
export function knownFiles(files: readonly { path: string; bytes: number }[]): KnownFile[] {
  return files.map(({ path, bytes }) => {
    const { size, mtimeMs } = guard(path, () => fs.statSync(path))
    if (size !== bytes) throw changed(path, `${size} bytes`, `${bytes}`)
    return { path, bytes, modified: mtimeMs }
  })
}

interface OpenFile {
  readonly descriptor: number
  direct: boolean
}

export class FileReader {
  readonly #files: readonly KnownFile[]
  readonly #direct: boolean
  readonly #open: (OpenFile | undefined)[] = []

  /** direct: whether `stage` goes past the page cache, if the system lets it. */
  constructor(files: readonly KnownFile[], direct: boolean) {
    this.#files = files
    this.#direct = direct
  }

  /** Reads exactly `bytes` from `offset` of a file to target[at]. Throws `IO` if the file cannot be read, or has changed since the model was opened. */
  read(file: number, target: Uint8Array, at: number, bytes: number, offset: number): void {
    const { path } = this.#files[file]!
    guard(path, () => {
      const { descriptor } = this.#opened(file, false)
      this.#readFully(path, descriptor, target, at, bytes, offset)
      this.#check(file)
    })
  }

  /**
   * The same, for a place in memory that is a multiple of DIRECT_BLOCK and has two blocks to spare: returns where in it the bytes begin.
   */
  stage(file: number, target: Uint8Array, at: number, bytes: number, offset: number): number {
    const { path } = this.#files[file]!
    return guard(path, () => {
      const opened = this.#opened(file, this.#direct)
      const lead = opened.direct ? offset % DIRECT_BLOCK : 0
      if (opened.direct) this.#readBlocks(file, opened, target, at, lead + bytes, offset - lead)
      else this.#readFully(path, opened.descriptor, target, at, bytes, offset)
      this.#check(file)
      return at + lead
    })
  }

  close(): void {
    for (const opened of this.#open) if (opened) fs.closeSync(opened.descriptor)
    this.#open.length = 0
  }

  #opened(file: number, direct: boolean): OpenFile {
    const flag = direct ? fs.constants.O_DIRECT : undefined // undefined where the system has no such thing
    const opened = this.#open[file] ?? openFile(this.#files[file]!.path, flag)
    this.#open[file] = opened
    return opened
  }

  /** At least `bytes` in whole blocks, but for the end of the file. A system that refuses gets plain reads from then on. */
  #readBlocks(file: number, opened: OpenFile, target: Uint8Array, at: number, bytes: number, offset: number): void {
    const { path } = this.#files[file]!
    const whole = Math.ceil(bytes / DIRECT_BLOCK) * DIRECT_BLOCK
    let done = 0
    try {
      while (done < bytes) {
        const got = fs.readSync(opened.descriptor, target, at + done, whole - done, offset + done)
        if (!got) throw short(path, offset + done, bytes - done)
        done += got
        if (done < bytes && got % DIRECT_BLOCK) break // the rest would not be aligned
      }
      if (done >= bytes) return
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EINVAL') throw error
    }
    const plain = openFile(path, undefined)
    fs.closeSync(opened.descriptor)
    this.#open[file] = plain
    this.#readFully(path, plain.descriptor, target, at, bytes, offset)
  }

  #readFully(path: string, descriptor: number, target: Uint8Array, at: number, bytes: number, offset: number): void {
    for (let done = 0; done < bytes; ) {
      const got = fs.readSync(descriptor, target, at + done, bytes - done, offset + done)
      if (!got) throw short(path, offset + done, bytes - done)
      done += got
    }
  }

  #check(file: number): void {
    const { path, bytes, modified } = this.#files[file]!
    const { size, mtimeMs } = fs.fstatSync(this.#open[file]!.descriptor)
    if (size !== bytes) throw changed(path, `${size} bytes`, `${bytes}`)
    if (mtimeMs !== modified) throw changed(path, `last written ${new Date(mtimeMs).toISOString()}`, new Date(modified).toISOString())
  }
}

/** With the flag if there is one and the file system takes it. */
function openFile(path: string, flag: number | undefined): OpenFile {
  if (flag !== undefined) {
    try {
      return { descriptor: fs.openSync(path, fs.constants.O_RDONLY | flag), direct: true }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EINVAL') throw error
    }
  }
  return { descriptor: fs.openSync(path, 'r'), direct: false }
}

function guard<T>(path: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    if (error instanceof MixtralError) throw error
    throw new MixtralError('IO', `${path}: ${(error as Error).message}`, { cause: error })
  }
}

const short = (path: string, end: number, missing: number) =>
  new MixtralError('IO', `${path}: ends at byte ${end}, expected ${missing} more: the file has become shorter since it was opened`)

const changed = (path: string, found: string, expected: string) =>
  new MixtralError('IO', `${path}: ${found}, expected ${expected}: the file has changed since it was opened`)
