// Batches in a queue: a file of requests becomes jobs, and the results of jobs become a file. A job is a chunk of
// requests that begin alike; its name is the hash of its requests' keys, so that what is submitted twice is there once.
// Owns what a queue stores, and who may work on it.

import { open, rm } from 'node:fs/promises'
import { checkNames, checkText, MixtralError, shown } from '../../base/errors.js'
import { ioError } from '../../base/files/byteSource.js'
import { type AdapterChoice, checkAdapters } from '../../runtime/adapters/adapterSet.js'
import type { KvFormat } from '../../runtime/kernels/abi.js'
import { type ModelMark, sha256 } from '../server/modelMark.js'
import { parsedBody } from '../server/security/body.js'
import { BatchInput, type BatchRequest, checkRequest } from './batchInput.js'
import { checkModels, headerMark, keyedRequest } from './batchModel.js'
import { type MergeSummary, mergeBatch } from './mergeBatch.js'
import { type AnyQueue, JOB_OPTIONS, QueueBackend } from './queueBackend.js'
import { failureLine } from './resultLine.js'

/** What is known of a batch in a queue. */
export interface QueuedBatch extends ModelMark {
  readonly batch: string
  /** The model's name in answers to requests that name none. */
  readonly name: string
  readonly requests: number
  readonly chunks: number
}

/** A job: requests, each with its place in the file. */
export interface QueuedChunk extends ModelMark {
  readonly batch: string
  readonly name: string
  readonly requests: readonly BatchRequest[]
}

export interface QueuedStatus extends QueuedBatch {
  /** Chunks that wait, those for another attempt included. */
  readonly waiting: number
  readonly active: number
  readonly completed: number
  /** Chunks of which no attempt has succeeded. */
  readonly failed: number
}

export interface SubmitOptions {
  /** A name by which requests may call the model, which is the name in answers to requests that name none. */
  readonly name?: string
  /** The context length with which workers load the model. Default: the model's, at most 4096. */
  readonly contextLength?: number
  /** How workers keep keys and values. Default: as they do when they are not told. */
  readonly kvFormat?: KvFormat
  /** The LoRA adapters with which workers load the model, as the option of loading has them. Default: none. */
  readonly adapters?: readonly (string | AdapterChoice)[]
  readonly signal?: AbortSignal
}

export interface CollectOptions {
  /** The file of errors. Default: beside the output, `results.errors.jsonl` for `results.jsonl`. */
  readonly errors?: string
  /** Whether the batch leaves the queue then. Default false. */
  readonly remove?: boolean
  readonly signal?: AbortSignal
}

/** Most requests of a job, and most bytes of them, unless one alone has more. */
const CHUNK = 32
const CHUNK_BYTES = 2 ** 20
/** Jobs that are written or read at one time. */
const PAGE = 16

const LIST = 'mixtral-batches'
export const chunksOf = (batch: string) => `mixtral-${batch}`

/**
 * Puts the requests of a file into a queue, for workers with this model. It is not loaded. What is there already stays.
 * Throws `OPTION` for a malformed line, `IO` where a file or the queue's server cannot be used, `UNSUPPORTED` where
 * bullmq or a client is not installed, and what the header of the model, or an adapter, is refused for.
 */
export async function submitBatch(model: string, input: string, queue: string, options: SubmitOptions = {}): Promise<QueuedBatch> {
  checkText('the model', model)
  checkNames(options, ['name', 'contextLength', 'kvFormat', 'adapters', 'signal'])
  const { name: asked, signal, ...others } = options
  const load = { ...others, adapters: checkAdapters(options.adapters) }
  const requests = await BatchInput.open(input, { signal })
  try {
    const { name: own, ...mark } = await headerMark(model, load)
    const name = asked ?? own
    checkModels(requests, { name, aliases: [own] })
    return await withBackend(queue, async (backend) => {
      const chunks = await backend.queue<QueuedChunk>(chunksOf(requests.id))
      const known = { batch: requests.id, ...mark, name }
      const count = await addChunks(chunks, requests, known)
      const batch = { ...known, requests: requests.size, chunks: count }
      const list = await backend.queue<QueuedBatch>(LIST)
      const there = await list.getJob(batch.batch)
      if (there) refuseOther(checkQueued(batch.batch, there.data), batch)
      else await list.add('batch', batch, { jobId: batch.batch })
      return batch
    })
  } finally {
    await requests.close()
  }
}

/** How far a batch is. Throws `OPTION` for one that is not there; `IO` and `UNSUPPORTED` as `submitBatch` does. */
export async function batchStatus(batch: string, queue: string): Promise<QueuedStatus> {
  checkText('the batch', batch)
  return withBackend(queue, async (backend) => statusOf(backend, await queuedBatch(backend, batch)))
}

/**
 * Writes the results of a batch as `mergeBatch` does, in the order of its file, and the errors of chunks that no worker
 * could do. Throws `IO` while results are missing, and what `mergeBatch` and `submitBatch` throw.
 */
export async function collectBatch(input: string, output: string, queue: string, options: CollectOptions = {}): Promise<MergeSummary> {
  checkText('the output', output)
  checkNames(options, ['errors', 'remove', 'signal'])
  const { errors, remove = false, signal } = options
  const requests = await BatchInput.open(input, { signal })
  const { id } = requests
  await requests.close()
  return withBackend(queue, async (backend) => {
    await queuedBatch(backend, id)
    const chunks = await backend.queue<QueuedChunk, string>(chunksOf(id))
    const collected = `${output}~collected.${crypto.randomUUID().slice(0, 8)}`
    try {
      await writeResults(chunks, collected, signal)
      const merge = { ...(errors !== undefined && { errors }), ...(signal && { signal }) }
      const summary = await mergeBatch(input, output, [collected], merge)
      if (remove) {
        await chunks.obliterate({ force: true })
        await (await backend.queue<QueuedBatch>(LIST)).remove(id)
      }
      return summary
    } finally {
      await rm(collected, { force: true })
    }
  })
}

/** A batch of the queue. Throws `OPTION` where there is none of that id. */
export async function queuedBatch(backend: QueueBackend, batch: string): Promise<QueuedBatch> {
  const list = await backend.queue<QueuedBatch>(LIST)
  const job = await list.getJob(batch)
  if (job) return checkQueued(batch, job.data)
  throw new MixtralError('OPTION', `the queue has no batch ${shown(batch)}, expected one that was submitted`)
}

export async function statusOf(backend: QueueBackend, batch: QueuedBatch): Promise<QueuedStatus> {
  const chunks = await backend.queue(chunksOf(batch.batch))
  const counts = await chunks.getJobCounts('waiting', 'delayed', 'prioritized', 'active', 'completed', 'failed')
  const { waiting = 0, delayed = 0, prioritized = 0, active = 0, completed = 0, failed = 0 } = counts
  return { ...batch, waiting: waiting + delayed + prioritized, active, completed, failed }
}

/** Calls `use` with a backend, and closes it whatever happens. Errors of the server become `IO`. */
export async function withBackend<T>(address: string, use: (backend: QueueBackend) => Promise<T>): Promise<T> {
  const backend = await QueueBackend.load(address)
  try {
    return await use(backend)
  } catch (error) {
    throw backend.failure('do what was asked', error)
  } finally {
    await backend.close()
  }
}

/** Adds all chunks, some at a time. Returns how many there are. */
async function addChunks(
  queue: AnyQueue<QueuedChunk>,
  input: BatchInput,
  batch: Omit<QueuedBatch, 'requests' | 'chunks'>,
): Promise<number> {
  const jobs: Parameters<typeof queue.addBulk>[0] = []
  let count = 0
  let requests: BatchRequest[] = []
  let bytes = 0
  const flush = async () => {
    if (jobs.length > 0) await queue.addBulk(jobs.splice(0))
  }
  const endChunk = async () => {
    const keys = requests.map((request) => keyedRequest(request, batch.batch, batch, batch.name).key)
    jobs.push({ name: 'chunk', data: { ...batch, requests }, opts: { ...JOB_OPTIONS, jobId: `c${sha256(keys.join('\n'))}` } })
    count++
    requests = []
    bytes = 0
    if (jobs.length >= PAGE) await flush()
  }
  for (const index of input.order) {
    const request = await input.read(index)
    const length = JSON.stringify(request.body).length
    if (requests.length > 0 && (requests.length >= CHUNK || bytes + length > CHUNK_BYTES)) await endChunk()
    requests.push(request)
    bytes += length
  }
  if (requests.length > 0) await endChunk()
  await flush()
  return count
}

/** Writes the lines of all jobs that have ended, in any order. */
async function writeResults(queue: AnyQueue<QueuedChunk, string>, file: string, signal: AbortSignal | undefined): Promise<void> {
  const handle = await open(file, 'wx').catch((cause) => {
    throw ioError('write', file, cause)
  })
  try {
    for (const state of ['completed', 'failed'] as const) {
      for (let start = 0; ; start += PAGE) {
        signal?.throwIfAborted()
        const jobs = await queue.getJobs([state], start, start + PAGE - 1, true)
        for (const { id, data, returnvalue, failedReason } of jobs) {
          const text = state === 'completed' ? returnvalue : failuresOf(checkChunk(id, data), failedReason)
          if (typeof text !== 'string') throw wrongData(`the results of chunk ${shown(id)} are`, text, 'lines')
          await handle.writeFile(text).catch((cause) => {
            throw ioError('write', file, cause)
          })
        }
        if (jobs.length < PAGE) break
      }
    }
  } finally {
    await handle.close()
  }
}

function failuresOf({ batch, name, requests, ...mark }: QueuedChunk, reason: string | undefined): string {
  const failure = { code: 'machine_failed', message: reason ?? 'no worker could do the chunk of this request' }
  return requests.map((request) => `${failureLine(keyedRequest(request, batch, mark, name), failure)}\n`).join('')
}

const MARKS = ['batch', 'model', 'numerics', 'name'] as const

/** What the queue says of a batch: all who reach its server can write it. Throws `IO` for what is none. */
function checkQueued(batch: string, data: unknown): QueuedBatch {
  checkMarks(`the batch ${shown(batch)}`, data)
  const { requests, chunks, batch: own } = data as unknown as QueuedBatch
  if (own !== batch) throw wrongData(`the batch at ${shown(batch)} is`, own, 'its id')
  for (const count of [requests, chunks])
    if (!Number.isSafeInteger(count) || count < 0) throw wrongData(`a count of ${shown(batch)} is`, count, 'a whole number')
  return data as unknown as QueuedBatch
}

/** The same of a chunk, whose requests are those that a file may have. Throws `IO`. */
export function checkChunk(id: string | undefined, data: unknown): QueuedChunk {
  const chunk = `the chunk ${shown(id)}`
  checkMarks(chunk, data)
  const { requests } = data
  if (!Array.isArray(requests)) throw wrongData(`requests of ${chunk} is`, requests, 'a list')
  for (const [i, request] of requests.entries()) {
    const { index, customId, url, body } = (request ?? {}) as Record<string, unknown>
    const where = `${chunk}, request ${i}`
    checkRequest({ custom_id: customId, method: 'POST', url, body }, Number(index), where, 'IO')
    try {
      parsedBody(Buffer.from(JSON.stringify(body))) // it nests no deeper than one of a file
    } catch (cause) {
      throw new MixtralError('IO', `in the queue ${where}: ${(cause as Error).message}`, { cause })
    }
  }
  return data as unknown as QueuedChunk
}

function checkMarks(what: string, data: unknown): asserts data is Record<string, unknown> {
  if (typeof data !== 'object' || data === null) throw wrongData(`${what} is`, data, 'an object')
  for (const mark of MARKS) {
    const value = (data as Record<string, unknown>)[mark]
    if (typeof value !== 'string') throw wrongData(`${mark} of ${what} is`, value, 'a text')
  }
}

function wrongData(what: string, found: unknown, expected: string): MixtralError {
  return new MixtralError('IO', `in the queue ${what} ${shown(found)}, expected ${expected}`)
}

/** Throws `OPTION` where a batch was submitted for another model. */
function refuseOther(there: QueuedBatch, { batch, model, numerics, name }: QueuedBatch): void {
  if (there.model === model && there.numerics === numerics && there.name === name) return
  const found = `${there.name} (${there.model.slice(0, 12)}) and ${there.numerics}`
  throw new MixtralError('OPTION', `${batch} is in the queue for ${found}, expected ${name} (${model.slice(0, 12)}) and ${numerics}`)
}
