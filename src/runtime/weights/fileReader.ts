// Blocking reads for the threads: from a file straight into a view of a bank, past the page cache where that is asked
// for and possible. Owns file descriptors, the name of the file in errors, and the check that a file has not changed
// since the model was opened. Does not know what the bytes mean.

import fs from 'node:fs'
import { MixtralError, reasonOf } from '../../base/errors.js'

/** Properties of a file when the model was opened. */
export interface KnownFile {
  readonly path: string
  readonly bytes: number
  /** When it was last written, in milliseconds since 1970. */
  readonly modified: number
  /** When anything about it last changed: unlike the other time, it cannot be put back. */
  readonly changed: number
}

/** Offset, length and address of a direct read must be multiples of this. */
export const DIRECT_BLOCK = 4096

/** The properties of the files now. Throws `IO` for one that cannot be read, or has another length than `bytes`. */
export function knownFiles(files: readonly { path: string; bytes: number }[]): KnownFile[] {
  return files.map(({ path, bytes }) => {
    const { size, mtimeMs, ctimeMs } = guard(path, () => fs.statSync(path))
    if (size !== bytes) throw changed(path, `${size} bytes`, `${bytes}`)
    return { path, bytes, modified: mtimeMs, changed: ctimeMs }
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

  /** direct: whether `readAligned` bypasses the page cache, if the system lets it. */
  constructor(files: readonly KnownFile[], direct: boolean) {
    this.#files = files
    this.#direct = direct
  }

  /**
   * Reads exactly `bytes` from `offset` of a file to target[at]. Throws `IO` if the file cannot be read, or has changed
   * since the model was opened.
   */
  read(file: number, target: Uint8Array, at: number, bytes: number, offset: number): void {
    const { path } = this.#files[file]!
    guard(path, () => {
      const { descriptor } = this.#opened(file, false)
      this.#readFully(path, descriptor, target, at, bytes, offset)
      this.#check(file)
    })
  }

  /**
   * Reads like `read`, in whole blocks if the reader is direct: `at` must be a multiple of DIRECT_BLOCK, with two
   * blocks to spare behind `bytes`. Returns where in `target` the bytes begin.
   */
  readAligned(file: number, target: Uint8Array, at: number, bytes: number, offset: number): number {
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
    const flag = direct ? fs.constants.O_DIRECT : undefined // undefined where the system has no such flag
    const opened = this.#open[file] ?? openFile(this.#files[file]!.path, flag)
    this.#open[file] = opened
    return opened
  }

  /**
   * Reads at least `bytes` in whole blocks, fewer only at the end of the file. If the system refuses, later reads are
   * plain.
   */
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
    const { path, bytes, modified, changed: changedBefore } = this.#files[file]!
    const { size, mtimeMs, ctimeMs } = fs.fstatSync(this.#open[file]!.descriptor)
    if (size !== bytes) throw changed(path, `${size} bytes`, `${bytes}`)
    if (mtimeMs !== modified) throw changed(path, `last written ${isoTime(mtimeMs)}`, isoTime(modified))
    if (ctimeMs !== changedBefore) throw changed(path, `content, name or rights last changed ${isoTime(ctimeMs)}`, isoTime(changedBefore))
  }
}

/** Opens with the flag, if one is given and the file system accepts it. */
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
    throw new MixtralError('IO', `${path}: ${reasonOf(error)}`, { cause: error })
  }
}

const isoTime = (ms: number) => new Date(ms).toISOString()

const short = (path: string, end: number, missing: number) =>
  new MixtralError('IO', `${path}: ends at byte ${end}, expected ${missing} more: the file has become shorter since it was opened`)

const changed = (path: string, found: string, expected: string) =>
  new MixtralError('IO', `${path}: ${found}, expected ${expected}: the file has changed since it was opened`)
