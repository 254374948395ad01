// A worker of a queue: answers chunks of a batch with a loaded model until all are done. Owns what becomes of a request
// with which machines fail, and that a worker of another model does nothing. A job that is given to two workers ends
// with the same bytes.

import { setTimeout as sleep } from 'node:timers/promises'
import { abortedError, checkKind, checkNames, checkText, MixtralError } from '../../base/errors.js'
import { Told } from '../../base/onAbort.js'
import type { MixtralModel } from '../../text/generate/mixtralModel.js'
import { answerAll } from './answerAll.js'
import { type BatchModel, batchModel, type KeyedRequest, keyedRequest } from './batchModel.js'
import { JOB_OPTIONS, type QueueBackend } from './queueBackend.js'
import {
  checkChunk,
  chunksOf,
  type QueuedBatch,
  type QueuedChunk,
  type QueuedStatus,
  queuedBatch,
  statusOf,
  withBackend,
} from './queueBatches.js'
import { failureLine, resultLine } from './resultLine.js'

export interface WorkOptions {
  /** Seconds after which the chunks of a worker that is silent go to another one. Default 30. */
  readonly lockSeconds?: number
  /** Ends the worker when its chunks are done. */
  readonly drain?: AbortSignal
  /** Ends the worker at once: its chunks go to another one. */
  readonly signal?: AbortSignal
  /** Called when the worker is connected, and then once a second, with how far the batch is in all. */
  readonly onStatus?: (status: QueuedStatus) => void
  /** Called after each request, with what this worker has done. */
  readonly onProgress?: (progress: WorkProgress) => void
}

export interface WorkProgress {
  readonly requests: number
  readonly failed: number
  readonly newTokens: number
  readonly seconds: number
}

export interface WorkSummary extends WorkProgress {
  /** How far the batch is in all. */
  readonly status: QueuedStatus
}

/** Chunks at one time: the next one's requests are there when those of a chunk end. */
const CHUNKS = 2
const POLL_MS = 1000
/** From this number of dead workers on, a chunk's requests run one by one; one that is there at as many is given up. */
const CAREFUL_STALLS = 3
const MOST_DEATHS = 3

/** What a chunk that runs one by one has told: the lines so far, the request that runs, and deaths with it. */
interface CarefulProgress {
  readonly lines: readonly string[]
  readonly deaths: number
}

/**
 * Works on a batch of a queue until all its chunks are done. Throws `OPTION` for a batch that is not there, or that is
 * for another model or version; `IO`, `UNSUPPORTED`, `ABORTED`; and what `onProgress` and `onStatus` throw.
 */
export async function workBatch(model: MixtralModel, batch: string, queue: string, options: WorkOptions = {}): Promise<WorkSummary> {
  checkText('the batch', batch)
  checkNames(options, ['lockSeconds', 'drain', 'signal', 'onStatus', 'onProgress'])
  const { lockSeconds = 30, onProgress, ...ending } = options
  const isRight = typeof lockSeconds === 'number' && lockSeconds >= 1 && lockSeconds <= 86_400
  checkKind('lockSeconds', lockSeconds, isRight, 'a number from 1 to 86400')
  const own = await batchModel(model)
  return withBackend(queue, async (backend) => {
    const queued = await queuedBatch(backend, batch)
    refuseModel(queued, own)
    const told = new Told(onProgress)
    const failed = new AbortController() // what a job throws, the queue would try again
    const signal = AbortSignal.any([failed.signal, ...(ending.signal ? [ending.signal] : [])])
    const work = new ChunkWorker(own, signal, (progress) => {
      try {
        told.next(progress)
      } catch (error) {
        failed.abort(error)
      }
    })
    const settings = { concurrency: CHUNKS, lockDuration: lockSeconds * 1000 }
    const worker = await backend.worker<QueuedChunk, string>(chunksOf(batch), (job) => work.answer(job), settings)
    const status = await untilDone(backend, queued, { ...ending, signal })
    failed.signal.throwIfAborted()
    if (ending.signal?.aborted) throw abortedError(ending.signal)
    await worker.pause(true)
    await work.idle()
    await told.end()
    return { ...work.progress(), status: ending.drain?.aborted ? await statusOf(backend, queued) : status }
  })
}

/** Asks now and then how far the batch is: until it is done, or the worker is to end. */
async function untilDone(backend: QueueBackend, queued: QueuedBatch, { drain, signal, onStatus }: WorkOptions): Promise<QueuedStatus> {
  const ending = AbortSignal.any([drain, signal].filter((one) => one !== undefined))
  const told = new Told(onStatus)
  let known: QueuedStatus | undefined
  for (;;) {
    // the server may be away for a while, as the worker's jobs know
    const status = await statusOf(backend, queued).catch((error) => {
      if (!known || ending.aborted) throw error
      return known
    })
    known = status
    told.next(status)
    if (ending.aborted || status.completed + status.failed >= queued.chunks) return told.end().then(() => status)
    await sleep(POLL_MS, undefined, { signal: ending }).catch(() => {})
  }
}

function refuseModel({ batch, name, model, numerics }: QueuedBatch, own: BatchModel): void {
  if (model === own.model && numerics === own.numerics) return
  const expected = `${name} (${model.slice(0, 12)}) and ${numerics}`
  throw new MixtralError('OPTION', `${batch} is for ${expected}, found ${own.served.name} (${own.model.slice(0, 12)}) and ${own.numerics}`)
}

/** A job, as far as its worker needs it. */
interface ChunkJob {
  readonly id?: string
  readonly data: QueuedChunk
  readonly attemptsMade: number
  readonly stalledCounter: number
  readonly progress: unknown
  updateProgress(progress: object): Promise<void>
}

class ChunkWorker {
  readonly #batch: BatchModel
  readonly #signal: AbortSignal
  readonly #onProgress: (progress: WorkProgress) => void
  readonly #started = performance.now()
  #requests = 0
  #failed = 0
  #newTokens = 0
  readonly #active = new Set<Promise<string>>()

  constructor(batch: BatchModel, signal: AbortSignal, onProgress: (progress: WorkProgress) => void) {
    this.#batch = batch
    this.#signal = signal
    this.#onProgress = onProgress
  }

  /** The lines of a chunk. Throws what the machine fails with, except at the last attempt. */
  answer(job: ChunkJob): Promise<string> {
    const answering = this.#answer(job)
    this.#active.add(answering)
    const end = () => void this.#active.delete(answering)
    answering.then(end, end)
    return answering
  }

  /** Resolves when no chunk is under way. */
  async idle(): Promise<void> {
    while (this.#active.size > 0) await Promise.allSettled(this.#active)
  }

  async #answer(job: ChunkJob): Promise<string> {
    const { stalledCounter } = job
    const data = checkChunk(job.id, job.data)
    const { batch, name } = data
    if (data.model !== this.#batch.model || data.numerics !== this.#batch.numerics) {
      throw new MixtralError('OPTION', 'the chunk is for another model or version, expected that of its batch')
    }
    const asked = data.requests.map((request) => keyedRequest(request, batch, this.#batch, name))
    if (stalledCounter >= CAREFUL_STALLS) return this.#carefully(job, asked)
    const lines = await this.#lines(asked, job)
    return lines.join('')
  }

  progress(): WorkProgress {
    const seconds = (performance.now() - this.#started) / 1000
    return { requests: this.#requests, failed: this.#failed, newTokens: this.#newTokens, seconds }
  }

  /** The lines of requests, in their order. */
  async #lines(asked: readonly KeyedRequest[], { attemptsMade }: ChunkJob, places?: number): Promise<string[]> {
    const lines = new Map<KeyedRequest, string>()
    const work = async function* () {
      for (const one of asked) yield { asked: one }
    }
    const isLast = attemptsMade + 1 >= JOB_OPTIONS.attempts!
    const fail = ({ asked }: { asked: KeyedRequest }, { message }: MixtralError) => {
      lines.set(asked, `${failureLine(asked, { code: 'machine_failed', message })}\n`)
      this.#count(true, 0)
    }
    const running = { batch: this.#batch, signal: this.#signal, ...(places !== undefined && { places }), ...(isLast && { fail }) }
    await answerAll(work, running, ({ asked }, answer) => {
      lines.set(asked, `${resultLine(asked, answer)}\n`)
      this.#count(answer.status !== 200, answer.newTokens)
    })
    return asked.map((one) => lines.get(one)!)
  }

  /**
   * One request after the other, each told before it runs: the one with which workers end again and again is given up,
   * and the others of its chunk are not.
   */
  async #carefully(job: ChunkJob, asked: readonly KeyedRequest[]): Promise<string> {
    const told = careful(job.progress)
    const lines = [...(told?.lines ?? [])]
    let deaths = told ? told.deaths + 1 : 0
    for (let i = lines.length; i < asked.length; i++) {
      const one = asked[i]!
      if (deaths >= MOST_DEATHS) {
        lines.push(`${failureLine(one, { code: 'machine_failed', message: `${deaths} workers ended while they answered it` })}\n`)
        this.#count(true, 0)
      } else {
        await job.updateProgress({ lines, deaths })
        lines.push(...(await this.#lines([one], job, 1)))
      }
      deaths = 0
    }
    return lines.join('')
  }

  #count(failed: boolean, newTokens: number): void {
    this.#requests++
    if (failed) this.#failed++
    this.#newTokens += newTokens
    this.#onProgress(this.progress())
  }
}

function careful(progress: unknown): CarefulProgress | undefined {
  const { lines, deaths } = (progress ?? {}) as Partial<CarefulProgress>
  return Array.isArray(lines) && typeof deaths === 'number' ? { lines, deaths } : undefined
}
