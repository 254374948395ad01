// A file that is being made, and what is checked before it is: that it is none of the inputs, and that the disk has
// room for it. Its bytes lie in FILE.draft.PID.NONCE, beside the future file, until all are written; then one rename
// gives the draft its name, at once and complete. A draft is removed when the work fails or the process exits; the
// draft of a killed process is removed by the next one. Processes that make the same file have a draft each, and the
// last to finish wins. Does not know what the bytes are.

import { randomBytes } from 'node:crypto'
import { rmSync, statSync } from 'node:fs'
import fs, { realpath, statfs } from 'node:fs/promises'
import path from 'node:path'
import { byteCount } from '../amounts.js'
import { MixtralError } from '../errors.js'
import { ioError } from './byteSource.js'
import { processState } from './processState.js'

/** Throws `OPTION` if `target` is one of the `inputs`, under this name or another. */
export async function refuseInput(target: string, inputs: readonly string[]): Promise<void> {
  const existing = await realpath(target).catch(() => undefined)
  if (existing === undefined) return
  for (const input of inputs) {
    if (existing === (await realpath(input).catch(() => undefined))) {
      throw new MixtralError('OPTION', `${target} is an input, expected another name for the output: the original would be lost`)
    }
  }
}

/**
 * Throws `IO` if the disk of `folder` has less than `needed` bytes free. Passes where the system does not tell, or
 * tells a disk of no size: then writing fails.
 */
export async function checkDiskSpace(name: string, folder: string, needed: number): Promise<void> {
  const stats = await statfs(folder).catch(() => undefined)
  if (!stats || stats.blocks === 0 || needed <= stats.bavail * stats.bsize) return
  const free = stats.bavail * stats.bsize
  throw new MixtralError('IO', `${name} needs ${byteCount(needed)} more at ${path.resolve(folder)}, where ${byteCount(free)} are free`)
}

/** The drafts of this process. */
const drafts = new Set<DraftFile>()
const removeDrafts = () => {
  for (const draft of drafts) draft.remove()
}

export class DraftFile {
  /** The path of the finished file. */
  readonly target: string
  /** The path of the draft. */
  readonly path: string
  readonly bytes: number
  readonly #handle: fs.FileHandle
  /**
   * Tells our draft from a later file of its name: another machine that shares the folder may have removed ours as that
   * of a killed process.
   */
  readonly #inode: number
  #isPublished = false

  private constructor(target: string, draft: string, bytes: number, handle: fs.FileHandle, inode: number) {
    this.target = target
    this.path = draft
    this.bytes = bytes
    this.#handle = handle
    this.#inode = inode
    if (drafts.size === 0) process.on('exit', removeDrafts)
    drafts.add(this)
  }

  /**
   * Removes the drafts of killed processes, and creates one of `bytes` zeros. Throws `IO` if it cannot, if the disk has
   * too little room for it, or if the target exists and is no file.
   * @example
   * const draft = await DraftFile.create('model.gguf', bytes.length)
   * try { await draft.write(bytes, 0); await draft.seal(); await draft.publish() } finally { await draft.discard() }
   */
  static async create(target: string, bytes: number): Promise<DraftFile> {
    const draft = `${target}.draft.${process.pid}.${randomBytes(4).toString('hex')}`
    await removeAbandoned(target)
    await checkDiskSpace(target, path.dirname(target), bytes)
    let handle: fs.FileHandle | undefined
    try {
      const there = await fs.stat(target).catch(() => undefined)
      if (there && !there.isFile()) throw new Error('there is something of that name that is no file')
      handle = await fs.open(draft, 'wx')
      await handle.truncate(bytes)
      return new DraftFile(target, draft, bytes, handle, (await handle.stat()).ino)
    } catch (cause) {
      // The first error tells more than those of tidying up.
      await handle?.close().catch(() => {})
      if (handle) await fs.rm(draft, { force: true }).catch(() => {})
      throw ioError('write', target, cause)
    }
  }

  /** Writes all of `bytes` at `offset`. Throws `IO`. */
  async write(bytes: Uint8Array, offset: number): Promise<void> {
    try {
      for (let done = 0; done < bytes.length; ) {
        done += (await this.#handle.write(bytes, done, bytes.length - done, offset + done)).bytesWritten
      }
    } catch (cause) {
      throw ioError('write', this.target, cause)
    }
  }

  /**
   * Flushes every byte to the disk and closes the draft, so that these steps cannot fail after a rename. Throws `IO`.
   */
  async seal(): Promise<void> {
    try {
      await this.#handle.sync()
      await this.#handle.close()
    } catch (cause) {
      throw ioError('write', this.target, cause)
    }
  }

  /** Renames the sealed draft to the target, replacing a file of that name. Throws `IO`. */
  async publish(): Promise<void> {
    try {
      if (!this.#isOurs()) throw new Error(`another process has removed ${this.path} meanwhile`)
      await fs.rename(this.path, this.target)
      this.#isPublished = true
      this.#forget()
    } catch (cause) {
      throw ioError('write', this.target, cause)
    }
  }

  /**
   * Removes the draft, unless it was published. Never throws: one that cannot be removed now is tried again when the
   * process exits.
   */
  async discard(): Promise<void> {
    await this.#handle.close().catch(() => {}) // closed already when sealed
    if (this.#isPublished || this.remove()) this.#forget()
  }

  /** Removes the draft synchronously, as the exit of a process requires. Returns whether it is gone; never throws. */
  remove(): boolean {
    try {
      if (this.#isOurs()) rmSync(this.path, { force: true })
      return true
    } catch {
      return false
    }
  }

  #forget(): void {
    drafts.delete(this)
    if (drafts.size === 0) process.off('exit', removeDrafts)
  }

  #isOurs(): boolean {
    return statSync(this.path, { throwIfNoEntry: false })?.ino === this.#inode
  }
}

/** Removes the drafts of a file whose processes have ended, as far as that is possible. */
export async function removeAbandoned(target: string): Promise<void> {
  const folder = path.dirname(target)
  const start = `${path.basename(target)}.draft.`
  for (const name of await fs.readdir(folder).catch(() => [])) {
    const [, pid] = (name.startsWith(start) && /^(\d{1,10})\.[0-9a-f]{8}$/.exec(name.slice(start.length))) || []
    if (pid !== undefined && processState(Number(pid)) === 'gone') await fs.rm(path.join(folder, name)).catch(() => {})
  }
}
