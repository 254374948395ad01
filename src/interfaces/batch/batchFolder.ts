// A folder in which several processes answer one batch: batch.json says which batch, claims/ who does which chunk,
// parts/ has the lines of chunks that are under way, results/ those of chunks that are whole. A chunk's results appear
// at once, by a rename, and are the same from any process. So a kill costs time and no line is there twice.

import fs from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { abortedError, MixtralError, shown } from '../../base/errors.js'
import { ioError } from '../../base/files/byteSource.js'
import { readText } from '../../base/files/optionalFiles.js'
import { placeFile } from '../../base/files/ownFiles.js'
import { limits } from '../../base/limits.js'
import type { Work } from './answerAll.js'
import type { BatchInput } from './batchInput.js'
import { type BatchModel, type KeyedRequest, keyedRequest } from './batchModel.js'
import { Claims } from './claims.js'
import { linesOf, openFile } from './fileLines.js'
import { Journal } from './journal.js'
import { storedResult } from './resultLine.js'

/** Requests of a chunk: a process that ends leaves at most this number to others. */
const CHUNK = 32
const POLL_MS = 500
const MANIFEST_BYTES = 65_536

/** A chunk that this process has. */
interface Chunk {
  readonly name: string
  /** Its requests, as indices of the input. */
  readonly requests: Uint32Array
  readonly lines: Map<number, string>
  readonly journal: Journal
}

export interface ChunkWork extends Work {
  readonly chunk: Chunk
}

export class BatchFolder {
  readonly #folder: string
  readonly #requests: BatchInput
  readonly #batch: BatchModel
  readonly #claims: Claims
  readonly #names: readonly string[]
  /** Chunks whose results are there. */
  readonly #done = new Set<string>()

  private constructor(folder: string, requests: BatchInput, batch: BatchModel) {
    this.#folder = folder
    this.#requests = requests
    this.#batch = batch
    this.#claims = new Claims(path.join(folder, 'claims'))
    this.#names = Array.from({ length: Math.ceil(requests.size / CHUNK) }, (_, i) => String(i).padStart(6, '0'))
  }

  /** Makes the folder, or joins those who use it. Throws `OPTION` for a folder of another batch or model; `IO`. */
  static async open(folder: string, requests: BatchInput, batch: BatchModel): Promise<BatchFolder> {
    const file = path.join(folder, 'batch.json')
    const { model, numerics, served } = batch
    const own = JSON.stringify({ batch: requests.id, model, numerics, name: served.name, requests: requests.size, chunk: CHUNK })
    try {
      for (const name of ['claims', 'parts', 'results']) await fs.mkdir(path.join(folder, name), { recursive: true })
    } catch (cause) {
      throw ioError('write', folder, cause)
    }
    const there = await readText(file, MANIFEST_BYTES)
    if (there === undefined) await placeFile(file, `${own}\n`)
    else if (there.trim() !== own) {
      throw new MixtralError(
        'OPTION',
        `${file} is ${shown(there.trim())}, expected that of this batch, ${own}; give the output another name`,
      )
    }
    return new BatchFolder(folder, requests, batch)
  }

  /** Learns what is done. Returns how many requests are, beside those that were known to be. Throws `IO`. */
  async refresh(): Promise<number> {
    const folder = path.join(this.#folder, 'results')
    const names = await fs.readdir(folder).catch((cause) => {
      throw ioError('read', folder, cause)
    })
    let found = 0
    for (const file of names) {
      const name = file.replace(/\.jsonl$/, '')
      if (this.#done.has(name) || this.#names[Number(name)] !== name || name === file) continue // done, or none of ours
      this.#done.add(name)
      found += this.#requestsOf(name).length
    }
    return found
  }

  /**
   * The requests of chunks that nobody else has, until all chunks are done, by any process. `onFound` is called with
   * the number of requests that others have done. Throws `IO` and `ABORTED`.
   */
  async *work(signal: AbortSignal, onFound: (requests: number) => void): AsyncGenerator<ChunkWork> {
    for (;;) {
      if (signal.aborted) throw abortedError(signal)
      onFound(await this.refresh())
      if (this.#done.size === this.#names.length) return
      const chunk = await this.#claim()
      if (!chunk) {
        await sleep(POLL_MS * (0.5 + Math.random()), undefined, { signal }).catch(() => {})
        continue
      }
      onFound(chunk.lines.size)
      if (chunk.lines.size === chunk.requests.length) await this.#publish(chunk)
      for (const index of chunk.requests) if (!chunk.lines.has(index)) yield { asked: await this.#request(index), chunk }
    }
  }

  /** Takes the line of a request; with the last one of a chunk, its results are there. Throws `IO`. */
  async take(chunk: Chunk, { index }: KeyedRequest, line: string): Promise<void> {
    await chunk.journal.append(line)
    chunk.lines.set(index, line)
    if (chunk.lines.size === chunk.requests.length) await this.#publish(chunk)
  }

  /** Gives back what this process has. Never throws. */
  async close(): Promise<void> {
    await this.#claims.close()
  }

  #requestsOf(name: string): Uint32Array {
    return this.#requests.order.subarray(Number(name) * CHUNK, (Number(name) + 1) * CHUNK)
  }

  async #request(index: number): Promise<KeyedRequest> {
    return keyedRequest(await this.#requests.read(index), this.#requests.id, this.#batch, this.#batch.served.name)
  }

  async #claim(): Promise<Chunk | undefined> {
    const taken = await this.#claims.taken()
    for (const name of this.#names) {
      if (this.#done.has(name) || taken.has(name) || !(await this.#claims.take(name))) continue
      await this.refresh()
      if (!this.#done.has(name)) return await this.#begin(name)
      await this.#claims.release(name) // it was done meanwhile
    }
    return undefined
  }

  /** A chunk with the lines that earlier holders have left. */
  async #begin(name: string): Promise<Chunk> {
    const requests = this.#requestsOf(name)
    const indices = new Map<string, number>()
    for (const index of requests) {
      const { key, customId } = await this.#request(index)
      indices.set(`${key} ${customId}`, index)
    }
    const lines = new Map<number, string>()
    for (const file of await this.#partsOf(name)) {
      const handle = await openFile(file).catch(() => undefined) // it may be gone by now
      if (!handle) continue
      try {
        for await (const { bytes, ends } of linesOf(handle, { file, most: limits.batchResult.most })) {
          const stored = ends ? storedResult(bytes) : undefined
          const index = stored && indices.get(`${stored.key} ${stored.customId}`)
          if (index !== undefined) lines.set(index, new TextDecoder().decode(bytes))
        }
      } finally {
        await handle.close()
      }
    }
    const file = path.join(this.#folder, 'parts', `${name}.${crypto.randomUUID().slice(0, 8)}.jsonl`)
    return { name, requests, lines, journal: await Journal.open(file, () => {}) }
  }

  async #publish({ name, requests, lines, journal }: Chunk): Promise<void> {
    const text = [...requests].map((index) => `${lines.get(index)}\n`).join('')
    await placeFile(path.join(this.#folder, 'results', `${name}.jsonl`), text)
    this.#done.add(name)
    await journal.close()
    for (const file of await this.#partsOf(name)) await fs.rm(file, { force: true }).catch(() => {})
    await this.#claims.release(name)
  }

  async #partsOf(name: string): Promise<string[]> {
    const folder = path.join(this.#folder, 'parts')
    const files = await fs.readdir(folder).catch((cause) => {
      throw ioError('read', folder, cause)
    })
    return files.filter((file) => file.startsWith(`${name}.`)).map((file) => path.join(folder, file))
  }
}
