// Files that clients have sent, and those that batches have made for them: a record and the bytes of each, in a folder
// of the server's own. A file is there when its record is: what a killed process has left besides is removed at the
// start, by the form of its name, since a folder may have been somebody's before. Names from outside are texts in
// records, and never paths.

import fs, { type FileHandle } from 'node:fs/promises'
import path from 'node:path'
import { z } from 'zod'
import { MixtralError } from '../../base/errors.js'
import { ioError } from '../../base/files/byteSource.js'
import { limits } from '../../base/limits.js'
import { openFile } from '../batch/fileLines.js'
import { ApiError } from '../server/apiError.js'
import { Records } from './records.js'

const form = z.object({
  id: z.string(),
  owner: z.string(),
  filename: z.string(),
  purpose: z.enum(['batch', 'batch_output']),
  bytes: z.number(),
  /** In seconds since 1970, as is the next one. */
  createdAt: z.number(),
  expiresAt: z.number(),
})

export type FileRecord = Readonly<z.infer<typeof form>>
type NewFile = Pick<FileRecord, 'owner' | 'filename' | 'purpose'> & { readonly seconds: number }

/** Seconds that a file is kept unless its maker says otherwise, as OpenAI keeps those of batches: 30 days. */
export const KEPT_SECONDS = 2_592_000
/** Uploads at one time: each holds a connection and writes. */
const MOST_UPLOADS = 8
/** The name of a file on its way. */
const UPLOAD = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

export const nowSeconds = () => Math.floor(Date.now() / 1000)

export class FileStore {
  readonly records: Records<FileRecord>
  readonly #folder: string
  readonly #uploads: string
  #uploading = 0
  /** Bytes of all files, and of uploads under way. */
  #bytes: number

  private constructor(folder: string, uploads: string, records: Records<FileRecord>) {
    this.records = records
    this.#folder = folder
    this.#uploads = uploads
    this.#bytes = records.all().reduce((sum, { bytes }) => sum + bytes, 0)
  }

  /** @param folder that of the files; `uploads` has what is not whole yet. Throws `IO`. */
  static async open(folder: string, uploads: string): Promise<FileStore> {
    const records = await Records.open(folder, 'file-', form)
    try {
      for (const name of await fs.readdir(uploads)) if (UPLOAD.test(name)) await fs.rm(path.join(uploads, name), { force: true })
      for (const name of await fs.readdir(folder)) if (records.isLeft(name)) await fs.rm(path.join(folder, name), { force: true })
    } catch (cause) {
      throw ioError('write', folder, cause)
    }
    return new FileStore(folder, uploads, records)
  }

  /** A file that is there, and whose it is. */
  find(id: string, owner: string): FileRecord | undefined {
    const record = this.records.get(id)
    return record?.owner === owner && record.expiresAt > nowSeconds() ? record : undefined
  }

  /** Where the bytes of a file are, or will be: of an id that `newId` or a record gives. */
  pathOf(id: string): string {
    return path.join(this.#folder, id)
  }

  /** Throws `IO`. */
  read({ id }: FileRecord): Promise<FileHandle> {
    return openFile(this.pathOf(id))
  }

  /** Takes the file that lies at the path of its id. Throws `IO`. */
  async adopt(id: string, { seconds, ...file }: NewFile): Promise<FileRecord> {
    const { size: bytes } = await fs.stat(this.pathOf(id)).catch((cause) => {
      throw ioError('open', this.pathOf(id), cause)
    })
    const createdAt = nowSeconds()
    const record = { id, ...file, bytes, createdAt, expiresAt: createdAt + seconds }
    const before = this.records.get(id)?.bytes ?? 0 // where a batch is finished again
    await this.records.add(record)
    this.#bytes += bytes - before
    return record
  }

  /** Who reads it now reads on. Throws `IO`. */
  async remove(id: string): Promise<void> {
    this.#bytes -= this.records.get(id)?.bytes ?? 0
    await this.records.remove(id)
    await fs.rm(this.pathOf(id), { force: true }).catch((cause) => {
      throw ioError('delete', this.pathOf(id), cause)
    })
  }

  /** Removes what has expired. Throws `IO`. */
  async sweep(): Promise<void> {
    for (const { id, expiresAt } of this.records.all()) if (expiresAt <= nowSeconds()) await this.remove(id)
  }

  /** Begins an upload. Throws an ApiError 400 or 503 where there is no room for one; `IO`. */
  async upload(): Promise<Upload> {
    if (this.#uploading >= MOST_UPLOADS) throw new ApiError(503, `${MOST_UPLOADS} uploads run now, please try again`)
    if (this.records.size + this.#uploading >= limits.storedFiles.most) {
      throw new ApiError(400, `there are ${this.records.size} files, which is the most: delete some`)
    }
    this.#uploading++
    const file = path.join(this.#uploads, crypto.randomUUID())
    try {
      return new Upload(this, file, await fs.open(file, 'wx', 0o600), {
        take: (bytes) => this.#take(bytes),
        leave: (bytes) => {
          this.#uploading--
          this.#bytes -= bytes
        },
      })
    } catch (cause) {
      this.#uploading--
      throw ioError('write', file, cause)
    }
  }

  /** Throws an ApiError 400 where all files are too large together. */
  #take(bytes: number): void {
    this.#bytes += bytes
    if (this.#bytes <= limits.storedBytes.most) return
    throw new ApiError(400, `all files together would have more than ${limits.storedBytes.most} bytes: delete some`)
  }
}

/** What an upload takes of the store until it is over. */
interface Room {
  take(bytes: number): void
  leave(bytes: number): void
}

/** A file on its way. */
export class Upload {
  readonly #store: FileStore
  readonly #file: string
  readonly #handle: FileHandle
  readonly #room: Room
  #bytes = 0
  #isOver = false

  constructor(store: FileStore, file: string, handle: FileHandle, room: Room) {
    this.#store = store
    this.#file = file
    this.#handle = handle
    this.#room = room
  }

  /** Throws an ApiError 413 for a file that is too large, and 507 for a full disk; `IO`. */
  async write(bytes: Uint8Array): Promise<void> {
    if (this.#bytes + bytes.length > limits.storedFile.most) {
      throw new ApiError(413, `the file has more than ${limits.storedFile.most} bytes, which is the most`)
    }
    this.#bytes += bytes.length // as much as is taken: `close` gives it back
    this.#room.take(bytes.length)
    try {
      for (let done = 0; done < bytes.length; ) done += (await this.#handle.write(bytes, done, bytes.length - done)).bytesWritten
    } catch (cause) {
      throw noRoom(ioError('write', this.#file, cause))
    }
  }

  /** The file is there from now on. Throws an ApiError 507 for a full disk; `IO`. */
  async publish(file: NewFile): Promise<FileRecord> {
    const id = this.#store.records.newId()
    try {
      await this.#handle.sync()
      await this.#handle.close()
      await fs.rename(this.#file, this.#store.pathOf(id))
    } catch (cause) {
      throw noRoom(ioError('write', this.#file, cause))
    }
    return this.#store.adopt(id, file).catch(async (error) => {
      await this.#store.remove(id).catch(() => {})
      throw noRoom(error)
    })
  }

  /** Removes what is there, unless it was published. Never throws. */
  async close(): Promise<void> {
    if (this.#isOver) return
    this.#isOver = true
    this.#room.leave(this.#bytes)
    await this.#handle.close().catch(() => {}) // closed already when published
    await fs.rm(this.#file, { force: true }).catch(() => {})
  }
}

/** An error as a client gets it: of a full disk it learns. */
export function noRoom(error: unknown): unknown {
  const { code } = (error instanceof MixtralError ? (error.cause ?? {}) : {}) as NodeJS.ErrnoException
  const isFull = code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG'
  return isFull ? new ApiError(507, 'the disk of the server is full', { origin: 'IO' }) : error
}
