// Records of one kind: each an object in a file of its own, all of them in memory. Owns their ids, which grow with
// time, so that their order is that of their making, and a place in a list is known also when its record is gone. A
// change counts in memory at once, and on disk when it is awaited.

import { randomBytes } from 'node:crypto'
import fs from 'node:fs/promises'
import path from 'node:path'
import type { z } from 'zod'
import { ioError } from '../../base/files/byteSource.js'
import { readText } from '../../base/files/optionalFiles.js'
import { placeFile } from '../../base/files/ownFiles.js'
import { limits } from '../../base/limits.js'

export interface Stored {
  readonly id: string
  /** Whose it is, as Keys has it. */
  readonly owner: string
}

export class Records<T extends Stored> {
  readonly #folder: string
  readonly #prefix: string
  readonly #all = new Map<string, T>()
  /** Ids of records that cannot be read: what belongs to them stays. */
  readonly #damaged = new Set<string>()
  /** Writes follow each other. */
  #writing: Promise<void> = Promise.resolve()
  #last = 0

  private constructor(folder: string, prefix: string) {
    this.#folder = folder
    this.#prefix = prefix
  }

  /** Reads all; one that is damaged stays where it is, and a warning names it. Throws `IO`. */
  static async open<T extends Stored>(folder: string, prefix: string, form: z.ZodType<T>): Promise<Records<T>> {
    const records = new Records<T>(folder, prefix)
    const names = await fs.readdir(folder).catch((cause) => {
      throw ioError('read', folder, cause)
    })
    for (const name of names.sort()) {
      const file = path.join(folder, name)
      const id = name.replace(/\.json$/, '')
      const [draftOf] = /^.*(?=\.json~[0-9a-f]{8}$)/.exec(name) ?? []
      if (draftOf !== undefined && records.isId(draftOf)) await fs.rm(file, { force: true }) // of a killed process
      if (id === name || !records.isId(id)) continue
      const record = form.safeParse(parsed(await readText(file, limits.storedRecord.most).catch(() => undefined)))
      if (record.success && record.data.id === id) records.#all.set(id, record.data)
      else {
        records.#damaged.add(id)
        process.emitWarning(`${file} is no record of this version, and is left out`)
      }
      records.#last = Math.max(records.#last, Number.parseInt(id.slice(prefix.length, prefix.length + 12), 16))
    }
    return records
  }

  newId(): string {
    this.#last = Math.max(this.#last + 1, Date.now())
    return `${this.#prefix}${this.#last.toString(16).padStart(12, '0')}${randomBytes(10).toString('hex')}`
  }

  /** Whether a text has the form of an id. */
  isId(text: string): boolean {
    return text.startsWith(this.#prefix) && /^[0-9a-f]{32}$/.test(text.slice(this.#prefix.length))
  }

  /** Whether a name is an id of ours that no record has, damaged ones included: nobody misses what has it. */
  isLeft(name: string): boolean {
    return this.isId(name) && !this.#all.has(name) && !this.#damaged.has(name)
  }

  get size(): number {
    return this.#all.size
  }

  get(id: string): T | undefined {
    return this.#all.get(id)
  }

  /** The oldest first. */
  all(): T[] {
    return [...this.#all.values()].sort((a, b) => (a.id < b.id ? -1 : 1)) // writes may have changed their order
  }

  /** In memory alone. */
  note(record: T): void {
    this.#all.set(record.id, record)
  }

  /** A new record, which is there once it is written. Throws `IO`. */
  add(record: T): Promise<void> {
    return this.#next(async () => {
      await placeFile(this.#fileOf(record.id), `${JSON.stringify(record)}\n`)
      this.note(record)
    })
  }

  /** Throws `IO` where it cannot be written: it counts in memory nevertheless. */
  put(record: T): Promise<void> {
    this.note(record)
    return this.#next(async () => {
      const now = this.#all.get(record.id) // others may have changed it meanwhile
      if (now) await placeFile(this.#fileOf(record.id), `${JSON.stringify(now)}\n`)
    })
  }

  /** Throws `IO`. */
  remove(id: string): Promise<void> {
    this.#all.delete(id)
    const file = this.#fileOf(id)
    return this.#next(() =>
      fs.rm(file, { force: true }).catch((cause) => {
        throw ioError('delete', file, cause)
      }),
    )
  }

  #fileOf(id: string): string {
    return path.join(this.#folder, `${id}.json`)
  }

  #next(work: () => Promise<void>): Promise<void> {
    const done = this.#writing.then(work)
    this.#writing = done.catch(() => {})
    return done
  }
}

function parsed(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? '')
  } catch {
    return undefined
  }
}
