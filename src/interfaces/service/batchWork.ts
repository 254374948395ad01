// One batch from state to state: its input is checked, its requests are answered, its results become files. What is
// done is on disk before the next step begins, so that a server which was killed goes on where it was. Throws what ends
// an attempt; what becomes of that, its queue decides.

import fs from 'node:fs/promises'
import path from 'node:path'
import { abortedError, MixtralError } from '../../base/errors.js'
import { ioError } from '../../base/files/byteSource.js'
import type { Hold } from '../../runtime/engine/hold.js'
import { BatchInput } from '../batch/batchInput.js'
import { type BatchModel, keyedRequest, markedModel } from '../batch/batchModel.js'
import { joinResults } from '../batch/mergeBatch.js'
import { failureLine } from '../batch/resultLine.js'
import { runRequests } from '../batch/runBatch.js'
import type { ModelHost } from '../server/models/modelHost.js'
import type { Lease } from '../server/models/residents.js'
import { saltOf } from '../server/security/keys.js'
import type { ServedModel } from '../server/servedModel.js'
import { checkedInput } from './batchCheck.js'
import { type Batch, type BatchRecord, inState, isOver, usageOf } from './batchRecord.js'
import { type FileStore, nowSeconds } from './fileStore.js'
import type { Records } from './records.js'

export interface BatchWorld {
  readonly records: Records<BatchRecord>
  readonly files: FileStore
  /** That of the batches: each has one of its own in it while it is at work. */
  readonly folder: string
  readonly host: ModelHost
  readonly needsModel: boolean
  /** Closed while requests of clients are there. */
  readonly hold: Hold
  /** Resolves when no client has asked for anything for a while. Throws `ABORTED`. */
  readonly quiet: (signal: AbortSignal) => Promise<void>
}

/** What ends a batch for good: it is failed, and this is why. */
export class BatchFailure extends Error {
  readonly code: string

  constructor(code: string, message: string) {
    super(message)
    this.code = code
  }
}

/** Why a request has no answer, in the file of errors. */
const UNANSWERED = {
  cancelled: { code: 'batch_cancelled', message: 'the batch was cancelled before this request was answered' },
  expired: { code: 'batch_expired', message: 'the batch expired before this request was answered' },
} as const

export const inputOf = (folder: string, id: string) => path.join(folder, id, 'input.jsonl')
const journalsOf = (folder: string, id: string) => ['results', 'errors'].map((name) => path.join(folder, id, `${name}.jsonl`))

/** Does what is left to do of a batch. Throws `ABORTED`, `IO`, `CLOSED`, an ApiError, a BatchFailure. */
export async function advanceBatch(id: string, world: BatchWorld, signal: AbortSignal): Promise<void> {
  const { records, folder } = world
  const now = () => records.get(id)!
  if (isOver(now())) {
    await records.put(now()) // which could not be written before
    return removed(path.join(folder, id))
  }
  const { status, expires_at: expires } = now().batch
  if (status === 'cancelling') return finish(id, 'cancelled', world)
  if (status === 'finalizing') return finish(id, 'completed', world)
  if (expires <= nowSeconds()) return finish(id, 'expired', world)
  const requests = await openInput(id, world, signal)
  if (!requests) return removed(path.join(folder, id))
  try {
    await answer(id, requests, world, signal)
    if (now().batch.status !== 'in_progress') throw abortedError(signal) // cancelled with its last answer
    await records.put(inState(now(), 'finalizing'))
  } finally {
    await requests.close()
  }
  await finish(id, 'completed', world)
}

/** Checks the input of a batch whose turn has not come. Throws `ABORTED`, `IO`. */
export async function checkBatch(id: string, world: BatchWorld, signal: AbortSignal): Promise<void> {
  const requests = await openInput(id, world, signal)
  await (requests ? requests.close() : removed(path.join(world.folder, id)))
}

/** The input, checked; undefined if it is wrong, and the batch is failed. */
async function openInput(
  id: string,
  { records, folder, host, needsModel }: BatchWorld,
  signal: AbortSignal,
): Promise<BatchInput | undefined> {
  const record = records.get(id)!
  const file = inputOf(folder, id)
  if (record.batch.status !== 'validating') return BatchInput.open(file, { label: record.label, signal })
  const found = await checkedInput(file, record, { host, needsModel, signal })
  const isOpen = 'requests' in found
  try {
    const isCancelled = records.get(id)?.batch.status !== 'validating'
    if (signal.aborted || isCancelled) throw abortedError(signal)
    if (!isOpen) {
      await records.put(inState(records.get(id)!, 'failed', { errors: { object: 'list', data: [...found] } }))
      return undefined
    }
    const { requests, model } = found
    await records.put(
      inState(records.get(id)!, 'in_progress', { model, request_counts: { total: requests.size, completed: 0, failed: 0 } }),
    )
    return requests
  } catch (error) {
    if (isOpen) await found.requests.close()
    throw error
  }
}

/** Answers what has no answer yet. Gives the model back where its memory is wanted, and goes on when nobody asks. */
async function answer(id: string, requests: BatchInput, world: BatchWorld, signal: AbortSignal): Promise<void> {
  for (;;) {
    const lease = await modelFor(world.records.get(id)!.batch, world, signal)
    const { wanted } = lease
    try {
      return await answerWith(await markedModel(lease.value), id, requests, world, wanted ? AbortSignal.any([signal, wanted]) : signal)
    } catch (error) {
      if (!wanted?.aborted || signal.aborted) throw error
    } finally {
      lease.release()
    }
    await world.quiet(signal)
  }
}

async function modelFor({ model }: Batch, { host }: BatchWorld, signal: AbortSignal): Promise<Lease<ServedModel>> {
  const lease = host.take(model!) ?? (await host.borrow(model!, { signal }))
  if (lease) return lease
  throw new BatchFailure('model_not_found', `the model ${JSON.stringify(model)} does not exist here any more`)
}

async function answerWith(model: BatchModel, id: string, requests: BatchInput, world: BatchWorld, signal: AbortSignal): Promise<void> {
  const { records, folder, hold } = world
  const [output, errors] = journalsOf(folder, id) as [string, string]
  const mark = { model: model.model, numerics: model.numerics, name: model.served.name }
  const known = records.get(id)!
  if (JSON.stringify(known.mark) !== JSON.stringify(mark)) {
    // of another model, or of another version: all results of a batch are of one
    for (const journal of [output, errors]) await removed(journal)
    await records.put({ ...records.get(id)!, mark })
  }
  await runRequests(requests, model, {
    ...{ output, errors, signal, hold },
    saltOf: (cacheSalt) => saltOf(known.owner, cacheSalt),
    onProgress: ({ done, failed, total }) => {
      const record = records.get(id)!
      records.note({ ...record, batch: { ...record.batch, errors: null, request_counts: { total, completed: done - failed, failed } } })
    },
  })
}

/** Makes files of the results that are there, and ends the batch. Does it again where it was interrupted. */
async function finish(id: string, status: 'completed' | 'cancelled' | 'expired', world: BatchWorld): Promise<void> {
  const { records, files, folder } = world
  const now = () => records.get(id)!
  const made: { -readonly [Name in 'output_file_id' | 'error_file_id' | 'usage']?: Batch[Name] } = {}
  if (now().mark) {
    const outputs = now().outputs ?? { results: files.records.newId(), errors: files.records.newId() }
    if (!now().outputs) await records.put({ ...now(), outputs })
    const { results, failed, tokens } = await joined(now(), outputs, status, world)
    const { owner, keepSeconds: seconds } = now()
    const adopt = async (file: string, what: string) =>
      (await files.adopt(file, { owner, seconds, purpose: 'batch_output', filename: `${id}_${what}.jsonl` })).id
    made.usage = usageOf(tokens)
    if (results > 0) made.output_file_id = await adopt(outputs.results, 'output')
    if (failed > 0) made.error_file_id = await adopt(outputs.errors, 'error')
  }
  await records.put(inState(now(), status, { ...made, errors: null }))
  await removed(path.join(folder, id))
}

async function joined(
  { label, mark, id }: BatchRecord,
  { results, errors }: NonNullable<BatchRecord['outputs']>,
  status: 'completed' | 'cancelled' | 'expired',
  { files, folder }: BatchWorld,
): ReturnType<typeof joinResults> {
  const requests = await BatchInput.open(inputOf(folder, id), { label })
  try {
    const journals: string[] = []
    for (const file of journalsOf(folder, id)) if (await fs.stat(file).catch(() => undefined)) journals.push(file)
    return await joinResults(requests, journals, {
      output: files.pathOf(results),
      errors: files.pathOf(errors),
      missing: (request) => {
        if (status === 'completed') throw new MixtralError('IO', `${request.where}: the request has no result`)
        return failureLine(keyedRequest(request, requests.id, mark!, mark!.name), UNANSWERED[status])
      },
    })
  } finally {
    await requests.close()
  }
}

async function removed(file: string): Promise<void> {
  await fs.rm(file, { recursive: true, force: true }).catch((cause) => {
    throw ioError('delete', file, cause)
  })
}
