// Batches in the order of their making, one at a time: the oldest that is not over runs until it is. Those behind it
// are checked meanwhile, so that what is wrong with a file is told at once. Owns which one runs now, what ends it
// early, and what is tried again: what is wrong with the machine, such as a full disk, may be better soon. Requests of
// clients go first: while one is there, those of a batch are held back.

import fs from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { MixtralError } from '../../base/errors.js'
import { ioError } from '../../base/files/byteSource.js'
import { makePrivateFolder } from '../../base/files/ownFiles.js'
import { limits } from '../../base/limits.js'
import { plainText } from '../../base/terminalText.js'
import { Hold } from '../../runtime/engine/hold.js'
import type { Admission } from '../server/admission.js'
import { ApiError, badRequest, toApiError } from '../server/apiError.js'
import type { ModelHost } from '../server/models/modelHost.js'
import { type BatchRecord, batchForm, endOf, inState, isOver, newBatch, openBatches, readCreate } from './batchRecord.js'
import { advanceBatch, BatchFailure, type BatchWorld, checkBatch, inputOf } from './batchWork.js'
import { type FileStore, KEPT_SECONDS, noRoom, nowSeconds } from './fileStore.js'
import { Records } from './records.js'

/** Milliseconds before another attempt: at first, and at most. */
const PAUSE = { first: 1000, most: 60_000 } as const
/** Milliseconds without a request after which a batch takes memory again that was wanted for a client. */
const QUIET = 60_000
/** The longest time of a timer. */
const LONGEST_TIMER = 2 ** 31 - 1

interface Serving {
  readonly host: ModelHost
  readonly admission: Admission
  readonly needsModel: boolean
}

export class BatchQueue {
  readonly #world: BatchWorld
  /** Ends the attempt that runs. */
  #attempt: { readonly id: string; readonly stop: AbortController } | undefined
  /** The check of one whose turn has not come. */
  #check: { readonly id: string; readonly done: Promise<void> } | undefined
  /** Those that could not be checked before their turn. */
  readonly #unchecked = new Set<string>()
  /** When batches are tried again that something was in the way of, by `performance.now()`. */
  readonly #later = new Map<string, { readonly at: number; readonly pause: number }>()
  /** Ends the wait for that. */
  #nap = new AbortController()
  readonly #closing = new AbortController()
  #running: Promise<void> | undefined

  private constructor(world: BatchWorld) {
    this.#world = world
    this.#wake()
  }

  /** Goes on with what an earlier server has left. Throws `IO`. */
  static async open(folder: string, files: FileStore, { host, admission, needsModel }: Serving): Promise<BatchQueue> {
    const records = await Records.open(folder, 'batch_', batchForm)
    const names = await fs.readdir(folder).catch((cause) => {
      throw ioError('read', folder, cause)
    })
    for (const name of names) {
      const record = records.get(name)
      if (record ? isOver(record) : records.isLeft(name))
        // of what was killed when it ended, or began
        await fs.rm(path.join(folder, name), { recursive: true, force: true })
    }
    const hold = new Hold()
    let lastBusy = Number.NEGATIVE_INFINITY
    if (admission.inside > 0) hold.close()
    admission.watch((isBusy) => {
      lastBusy = performance.now()
      isBusy ? hold.close() : hold.open()
    })
    const quiet = async (signal: AbortSignal) => {
      for (;;) {
        const left = hold.isClosed ? QUIET : lastBusy + QUIET - performance.now()
        if (left <= 0) return
        await sleep(left, undefined, { signal })
      }
    }
    return new BatchQueue({ records, files, folder, host, needsModel, hold, quiet })
  }

  get records(): Records<BatchRecord> {
    return this.#world.records
  }

  /** Throws an ApiError 400 or 404 for what is wrong with the body, 429 for too many; `IO`. */
  async create(body: Record<string, unknown>, owner: string): Promise<BatchRecord> {
    const { records, files, folder } = this.#world
    const asked = readCreate(body)
    const file = files.find(asked.input, owner)
    if (!file) throw new ApiError(404, `no such file: ${JSON.stringify(asked.input.slice(0, 100))}`, { param: 'input_file_id' })
    if (file.purpose !== 'batch') throw badRequest(`the purpose of the file is ${file.purpose}, expected batch`, 'input_file_id')
    await this.#makeRoom()
    const record = newBatch(records.newId(), owner, plainText(file.filename), asked)
    const input = inputOf(folder, record.id)
    try {
      await makePrivateFolder(path.dirname(input))
      await linkOrCopy(files.pathOf(file.id), input) // its own: the file may be deleted meanwhile
      await records.add(record)
    } catch (error) {
      await fs.rm(path.dirname(input), { recursive: true, force: true }).catch(() => {})
      throw noRoom(error instanceof MixtralError || error instanceof ApiError ? error : ioError('write', input, error))
    }
    this.#wake()
    this.#checkNext()
    return record
  }

  /**
   * One that was cancelled stays as it is. Throws an ApiError 409 for a batch that has ended otherwise, or is about to;
   * `IO`.
   */
  async cancel({ id }: BatchRecord): Promise<BatchRecord> {
    const { records } = this.#world
    const record = records.get(id)!
    const { status } = record.batch
    if (status === 'cancelling' || status === 'cancelled') return record
    // in OpenAI's words, by which programs know that there is nothing to cancel any more
    if (status !== 'validating' && status !== 'in_progress') throw new ApiError(409, `Cannot cancel a batch with status '${status}'.`)
    const written = records.put(inState(record, 'cancelling'))
    this.#later.delete(id)
    if (this.#attempt?.id === id) this.#attempt.stop.abort()
    this.#wake()
    await written.catch((error) => {
      throw noRoom(error)
    })
    return records.get(id)!
  }

  /** Removes batches that have ended long ago. Throws `IO`. */
  async sweep(): Promise<void> {
    const { records } = this.#world
    for (const record of records.all()) if (isOver(record) && endOf(record) + KEPT_SECONDS <= nowSeconds()) await records.remove(record.id)
  }

  /** Stops: what is written stays, and the next server goes on. Never throws. */
  async close(): Promise<void> {
    this.#closing.abort()
    this.#attempt?.stop.abort()
    this.#nap.abort()
    await this.#running
    await this.#check?.done
  }

  /** Forgets the batch that has ended first, where there are as many as may be. Throws an ApiError 429; `IO`. */
  async #makeRoom(): Promise<void> {
    const { records } = this.#world
    if (records.size < limits.storedBatches.most) return
    const [first] = records.all().filter(isOver)
    if (!first) throw new ApiError(429, `${records.size} batches are there that have not ended, which is the most`)
    await records.remove(first.id)
  }

  #wake(): void {
    this.#nap.abort()
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined
      if (!this.#closing.signal.aborted && openBatches(this.records).length > 0) this.#wake()
    })
  }

  /** Runs batches until none is left. Never throws. */
  async #run(): Promise<void> {
    while (!this.#closing.signal.aborted) {
      const open = openBatches(this.records)
      if (open.length === 0) return
      const next = open.find(({ id }) => (this.#later.get(id)?.at ?? 0) <= performance.now())
      if (next) await this.#try(next)
      else {
        this.#nap = new AbortController()
        const first = Math.min(...open.map(({ id }) => this.#later.get(id)!.at))
        await sleep(Math.max(0, first - performance.now()), undefined, { signal: this.#nap.signal }).catch(() => {})
      }
    }
  }

  /** While one batch runs, checks those that wait, one after the other. */
  #checkNext(): void {
    if (this.#check || !this.#attempt || this.#closing.signal.aborted) return
    const { id: running } = this.#attempt
    const mayCheck = ({ id, batch }: BatchRecord) => batch.status === 'validating' && id !== running && !this.#unchecked.has(id)
    const id = openBatches(this.records).find(mayCheck)?.id
    if (id === undefined) return
    const checked = checkBatch(id, this.#world, this.#closing.signal).catch(() => void this.#unchecked.add(id))
    const done = checked.then(() => {
      this.#check = undefined
      this.#checkNext()
    })
    this.#check = { id, done }
  }

  /** What stands in the way of one batch does not hold up the others; clients see what it is. */
  async #try(batch: BatchRecord): Promise<void> {
    const { records } = this.#world
    const { id } = batch
    const failure = await this.#attemptAt(batch)
    const record = records.get(id)
    if (failure === undefined || !record || isOver(record)) {
      this.#later.delete(id)
      return
    }
    const pause = Math.min(PAUSE.most, (this.#later.get(id)?.pause ?? PAUSE.first / 2) * 2)
    this.#later.set(id, { at: performance.now() + pause, pause })
    const data = [{ code: 'server_error', message: `${failure.message}; the batch goes on as soon as it can`, line: null, param: null }]
    records.note({ ...record, batch: { ...record.batch, errors: { object: 'list', data } } })
  }

  /** Returns what has gone wrong that may go better; nothing where the batch has ended, or was to end. */
  async #attemptAt({ id, batch: { expires_at: expires } }: BatchRecord): Promise<ApiError | undefined> {
    const stop = new AbortController()
    this.#attempt = { id, stop }
    const left = expires * 1000 - Date.now()
    const timer = setTimeout(() => stop.abort(), Math.min(Math.max(0, left), LONGEST_TIMER))
    if (left <= 0) clearTimeout(timer)
    try {
      if (this.#check?.id === id) await this.#check.done
      this.#checkNext()
      await advanceBatch(id, this.#world, stop.signal)
      return undefined
    } catch (error) {
      if (stop.signal.aborted) return undefined
      if (error instanceof BatchFailure) return await this.#fail(id, error)
      const told = toApiError(noRoom(error))
      const isFinal = told.status < 499 || (!(error instanceof MixtralError) && !(error instanceof ApiError))
      if (told.origin === 'internal') process.emitWarning(error instanceof Error ? error : String(error)) // a fault of ours
      return isFinal ? await this.#fail(id, new BatchFailure(told.code ?? 'server_error', told.message)) : told
    } finally {
      clearTimeout(timer)
      this.#unchecked.delete(id)
      this.#attempt = undefined
    }
  }

  async #fail(id: string, { code, message }: BatchFailure): Promise<undefined> {
    const { records, folder } = this.#world
    const errors = { object: 'list' as const, data: [{ code, message, line: null, param: null }] }
    await records.put(inState(records.get(id)!, 'failed', { errors })).catch(() => {}) // it counts in memory
    await fs.rm(path.join(folder, id), { recursive: true, force: true }).catch(() => {})
  }
}

/** Another name of a file; where the disk has no such thing, a copy. */
async function linkOrCopy(from: string, to: string): Promise<void> {
  await fs.link(from, to).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT') throw new ApiError(404, 'the file was deleted meanwhile', { param: 'input_file_id' })
    return fs.copyFile(from, to)
  })
}
