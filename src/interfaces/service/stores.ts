// The folder of a server's files and batches: who has it, what is in it, and what is swept out of it. One server has it
// at one time, by a lock that ends with its process.

import path from 'node:path'
import { MixtralError } from '../../base/errors.js'
import { ioError } from '../../base/files/byteSource.js'
import { makePrivateFolder } from '../../base/files/ownFiles.js'
import { withLock } from '../../registry/stores/storeLock.js'
import type { AppParts } from '../server/moreRoutes.js'
import { BatchQueue } from './batchQueue.js'
import { FileStore } from './fileStore.js'

const SWEEP_MS = 600_000

export class Stores {
  readonly files: FileStore
  readonly batches: BatchQueue
  readonly #sweeping: NodeJS.Timeout
  readonly #unlock: () => Promise<void>

  private constructor(files: FileStore, batches: BatchQueue, unlock: () => Promise<void>) {
    this.files = files
    this.batches = batches
    this.#unlock = unlock
    this.#sweeping = setInterval(() => void this.#sweep().catch(() => {}), SWEEP_MS) // next time
    this.#sweeping.unref()
  }

  /** Makes the folder where it is missing. Throws `IO`, also where another server has it. */
  static async open(folder: string, parts: Pick<AppParts, 'host' | 'admission' | 'needsModel'>): Promise<Stores> {
    const [files, uploads, batches] = ['files', 'uploads', 'batches'].map((name) => path.join(folder, name)) as [string, string, string]
    try {
      for (const one of [folder, files, uploads, batches]) await makePrivateFolder(one)
    } catch (cause) {
      throw ioError('write', folder, cause)
    }
    const unlock = await lockOf(folder)
    try {
      const store = await FileStore.open(files, uploads)
      const opened = new Stores(store, await BatchQueue.open(batches, store, parts), unlock)
      await opened.#sweep()
      return opened
    } catch (error) {
      await unlock()
      throw error
    }
  }

  /** Batches stop where they are. Never throws. */
  async stop(): Promise<void> {
    clearInterval(this.#sweeping)
    await this.batches.close()
  }

  /** Another server may have the folder. Never throws. */
  async close(): Promise<void> {
    await this.stop()
    await this.#unlock()
  }

  async #sweep(): Promise<void> {
    await this.files.sweep()
    await this.batches.sweep()
  }
}

/** Locks the folder until the returned function is called. Throws `IO` where another one has the lock. */
async function lockOf(folder: string): Promise<() => Promise<void>> {
  const refused = new AbortController()
  let other: number | undefined
  let end = () => {}
  const over = new Promise<void>((resolve) => {
    end = resolve
  })
  const onWait = (pid: number) => {
    other = pid
    refused.abort()
  }
  return new Promise((resolve, reject) => {
    const held = withLock(path.join(folder, 'server'), { signal: refused.signal, onWait }, async () => {
      resolve(async () => {
        end()
        await held.catch(() => {}) // a lock that stays ends with the process
      })
      await over
    })
    held.catch((error) => {
      const used = `${folder}: the server of process ${other} keeps its files there, expected a folder for each`
      reject(other === undefined ? error : new MixtralError('IO', used))
    })
  })
}
