// Runs a file of requests into a file of results, or into a folder that several processes share. Owns what is done
// already, the part of a process in the whole, and the figures of a run.

import { stat } from 'node:fs/promises'
import { checkKind, checkNames, checkObject, checkText, MixtralError, shown } from '../../base/errors.js'
import { refuseInput } from '../../base/files/draftFile.js'
import { Told } from '../../base/onAbort.js'
import { withLock } from '../../registry/stores/storeLock.js'
import { checkCallOptions } from '../../runtime/engine/callArguments.js'
import type { MixtralModel } from '../../text/generate/mixtralModel.js'
import type { ModelMark } from '../server/modelMark.js'
import { answerAll, type Beside, type Work } from './answerAll.js'
import { BatchFolder } from './batchFolder.js'
import { BatchInput } from './batchInput.js'
import { type BatchModel, batchModel, checkModels, keyedRequest } from './batchModel.js'
import { Journal } from './journal.js'
import { type BatchAnswer, failureLine, isBegunResult, resultLine, type StoredResult, storedResult } from './resultLine.js'

/** How far a run is. */
export interface BatchProgress {
  /** Requests with a result, those of earlier runs and of other processes included. */
  readonly done: number
  readonly total: number
  /** Of those, requests whose result is an error. */
  readonly failed: number
  /** Tokens that this run has written, and those of the prompts. */
  readonly newTokens: number
  readonly promptTokens: number
  readonly seconds: number
}

export interface BatchSummary extends BatchProgress {
  /** The id of the batch, which follows from the input's bytes. */
  readonly batch: string
  readonly model: string
  readonly numerics: string
  /** Requests that had a result before this run. */
  readonly found: number
}

export interface BatchOptions {
  /** The file of errors. Default: beside the output, `results.errors.jsonl` for `results.jsonl`. */
  readonly errors?: string
  /** A name by which requests may call the model, which is the name in answers to requests that name none. */
  readonly name?: string
  /** Which part of the file this run does: `index` from 1 to `count`. Default: all of it. */
  readonly shard?: { readonly index: number; readonly count: number }
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: BatchProgress) => void
  /** Called with the number of the process for whose end this one waits, since it writes the same file. */
  readonly onWait?: (pid: number) => void
}

const NAMES = ['errors', 'name', 'shard', 'onWait'] as const

/**
 * Answers the requests of a file, beside each other, and writes a line for each result. What is in the output already
 * is not done again. An output that is a folder, or ends with a slash, is shared with other processes.
 *
 * Throws `OPTION` for a malformed line of the input, a request of another model, and an output with lines of another
 * batch; `IO` where a file cannot be read or written; `ABORTED`; `CLOSED`; and what ends a request that is not at
 * fault: `MEMORY`, `THREAD`, `MODEL`. What is written stays, and the next run goes on from there.
 */
export async function runBatch(model: MixtralModel, input: string, output: string, options: BatchOptions = {}): Promise<BatchSummary> {
  const { errors = errorsBeside(output), name, shard, signal, onProgress, onWait } = checkBatchOptions(options, output)
  const requests = await BatchInput.open(input, { signal })
  const waiting = new Told(onWait)
  try {
    const batch = await batchModel(model, name)
    checkModels(requests, batch.served)
    const figures = new Figures(requests, batch, onProgress)
    if (await isFolder(output)) {
      if (shard) throw new MixtralError('OPTION', 'shard is given with a folder, expected one of them: its processes share the work')
      await runFolder(await BatchFolder.open(output, requests, batch), batch, figures, signal)
      return await figures.summary()
    }
    await refuseInput(output, [input])
    await refuseInput(errors, [input, output])
    const part = partOf(requests.order, shard)
    figures.total = part.length
    await withLock(output, { signal, onWait: (pid) => waiting.next(pid) }, () =>
      runFile(requests, part, batch, { output, errors, figures, signal }),
    )
    await waiting.end()
    return await figures.summary()
  } finally {
    await requests.close()
  }
}

/** How an open file is answered beside all else that a process does. */
export interface BesideRun extends Beside {
  readonly output: string
  readonly errors: string
  readonly signal: AbortSignal
  readonly onProgress: (progress: BatchProgress) => void
}

/**
 * Answers an open file as `runBatch` does. But a request that the machine cannot answer has a line among the errors,
 * and the others go on. Hold the files. Throws what `runBatch` throws where it cannot go on.
 */
export async function runRequests(requests: BatchInput, batch: BatchModel, { onProgress, ...run }: BesideRun): Promise<void> {
  const figures = new Figures(requests, batch, onProgress)
  const places = batch.served.model.status().sequences // none waits: queues are those of clients
  await runFile(requests, requests.order, batch, { ...run, figures, places, toleratesFailures: true })
}

interface FileRun extends Beside {
  readonly output: string
  readonly errors: string
  readonly figures: Figures
  readonly signal: AbortSignal | undefined
  readonly places?: number
  readonly toleratesFailures?: boolean
}

async function runFile(requests: BatchInput, part: Uint32Array, batch: BatchModel, run: FileRun): Promise<void> {
  const { output, errors, figures, toleratesFailures, ...running } = run
  const done = new Uint8Array(requests.size)
  const journals: Journal[] = []
  try {
    for (const file of [output, errors]) {
      const journal = await Journal.open(file, async ({ number, bytes, ends }) => {
        if (!ends) return isBegunResult(bytes) ? undefined : refuseLine(`${file}:${number}`)
        const stored = storedResult(bytes) ?? refuseLine(`${file}:${number}`)
        const request = await requests.find(stored.customId)
        const known = request && keyedRequest(request, requests.id, batch, batch.served.name)
        if (known?.key !== stored.key) refuseLine(`${file}:${number}`, otherResult(stored, { ...batch, batch: requests.id }))
        if (done[request!.index]) return
        done[request!.index] = 1
        figures.find(stored.failed)
      })
      journals.push(journal)
    }
    const [results, failures] = journals as [Journal, Journal]
    const work = async function* () {
      for (const index of part) {
        if (done[index]) continue
        yield { asked: keyedRequest(await requests.read(index), requests.id, batch, batch.served.name) }
      }
    }
    const fail = async ({ asked }: Work, { code }: MixtralError) => {
      await failures.append(failureLine(asked, { code, message: `internal error (${code})` })) // a message may name a path
      figures.add({ status: 500, newTokens: 0, promptTokens: 0 })
    }
    await answerAll(work, { batch, ...running, ...(toleratesFailures && { fail }) }, async ({ asked }, answer) => {
      await (answer.status === 200 ? results : failures).append(resultLine(asked, answer))
      figures.add(answer)
    })
  } finally {
    for (const journal of journals) await journal.close({ keepsEmpty: journal.file === output })
  }
}

async function runFolder(folder: BatchFolder, batch: BatchModel, figures: Figures, signal: AbortSignal | undefined): Promise<void> {
  try {
    const work = (ending: AbortSignal) => folder.work(ending, (found) => figures.find(false, found))
    await answerAll(work, { batch, signal }, async ({ asked, chunk }, answer) => {
      await folder.take(chunk, asked, resultLine(asked, answer))
      figures.add(answer)
    })
  } finally {
    await folder.close()
  }
}

/** Throws `OPTION` for a line that is none of this batch. */
function refuseLine(where: string, found = 'a line that is no result, expected results of this batch only'): never {
  throw new MixtralError('OPTION', `${where}: ${found}; give the output another name`)
}

/** A result of another run, and the first thing in which that one differs. */
function otherResult(stored: StoredResult, own: ModelMark & { readonly batch: string }): string {
  const result = `a result of ${shown(stored.customId)}`
  const differs = (what: 'batch' | 'model' | 'numerics', is: string) =>
    stored[what] === own[what] ? undefined : `${result} whose ${what}, ${is}, is ${shown(stored[what])}, expected ${shown(own[what])}`
  return (
    differs('batch', 'a hash of the file of requests') ??
    differs('model', "a hash of the model's file") ??
    differs('numerics', 'version, format of the KV cache and context') ??
    `${result} that is of another body or name of the model, expected results of this batch only`
  )
}

/** The requests of a shard: as many as of any other, or one more, and neighbors of each other. */
function partOf(order: Uint32Array, shard: BatchOptions['shard']): Uint32Array {
  if (!shard) return order
  const { index, count } = shard
  return order.subarray(Math.floor((order.length * (index - 1)) / count), Math.floor((order.length * index) / count))
}

/** `results.errors.jsonl` for `results.jsonl`. */
export function errorsBeside(output: string): string {
  return `${output.replace(/\.jsonl$/, '')}.errors.jsonl`
}

async function isFolder(output: string): Promise<boolean> {
  return /[\\/]$/.test(output) || ((await stat(output).catch(() => undefined))?.isDirectory() ?? false)
}

function checkBatchOptions(given: BatchOptions, output: unknown): BatchOptions {
  checkText('the output', output)
  checkObject(given)
  const options = { ...given }
  const { errors, name, shard, onWait, ...call } = options
  checkNames(options, [...NAMES, 'signal', 'onProgress'])
  checkCallOptions(call as object)
  if (errors !== undefined) checkText('errors', errors)
  if (name !== undefined) checkText('name', name)
  if (onWait !== undefined) checkKind('onWait', onWait, typeof onWait === 'function', 'a function')
  if (shard === undefined) return options
  const { index, count } = shard
  const isRight = [index, count].every(Number.isSafeInteger) && index >= 1 && index <= count
  checkKind('shard', shard, isRight, 'an index from 1 to its count')
  return { ...options, shard: { index, count } }
}

/** Counts what a run does. */
class Figures {
  total: number
  readonly #batch: string
  readonly #mark: Pick<BatchModel, 'model' | 'numerics'>
  readonly #told: Told<BatchProgress>
  readonly #started = performance.now()
  #found = 0
  #done = 0
  #failed = 0
  #newTokens = 0
  #promptTokens = 0

  constructor({ id, size }: BatchInput, { model, numerics }: BatchModel, onProgress: BatchOptions['onProgress']) {
    this.#batch = id
    this.#mark = { model, numerics }
    this.total = size
    this.#told = new Told(onProgress)
  }

  /** Results that are there without work of this run. */
  find(failed: boolean, count = 1): void {
    this.#found += count
    this.#done += count
    if (failed) this.#failed += count
    this.#told.next(this.#progress())
  }

  add({ status, newTokens, promptTokens }: Pick<BatchAnswer, 'status' | 'newTokens' | 'promptTokens'>): void {
    this.#done++
    if (status !== 200) this.#failed++
    this.#newTokens += newTokens
    this.#promptTokens += promptTokens
    this.#told.next(this.#progress())
  }

  /** Of a run that is over. Throws what the function for progress is rejected with. */
  async summary(): Promise<BatchSummary> {
    await this.#told.end()
    return { batch: this.#batch, ...this.#mark, ...this.#progress(), found: this.#found }
  }

  #progress(): BatchProgress {
    return {
      done: this.#done,
      total: this.total,
      failed: this.#failed,
      newTokens: this.#newTokens,
      promptTokens: this.#promptTokens,
      seconds: (performance.now() - this.#started) / 1000,
    }
  }
}
