// A batch as clients see it, and what the server keeps of it beside that. Owns the form, the states and which of them
// are the end. What is done in a state is in batchWork.ts.

import { z } from 'zod'
import { badRequest } from '../server/apiError.js'
import { checked } from '../server/security/body.js'
import { KEPT_SECONDS, nowSeconds } from './fileStore.js'
import type { Records } from './records.js'
import { KEPT } from './uploads.js'

const STATES = ['validating', 'failed', 'in_progress', 'finalizing', 'completed', 'expired', 'cancelling', 'cancelled'] as const
const ENDPOINTS = ['/v1/chat/completions', '/v1/completions', '/v1/embeddings'] as const
const WINDOW_SECONDS = 86_400
const MOST_METADATA = 16

export type BatchState = (typeof STATES)[number]

const time = z.number().nullable()
const error = z.object({ code: z.string(), message: z.string(), line: z.number().nullable(), param: z.string().nullable() })

const usage = z.object({
  input_tokens: z.number(),
  input_tokens_details: z.object({ cached_tokens: z.number() }),
  output_tokens: z.number(),
  output_tokens_details: z.object({ reasoning_tokens: z.number() }),
  total_tokens: z.number(),
})

/** In the order in which answers have it. */
const wire = z.object({
  id: z.string(),
  object: z.literal('batch'),
  endpoint: z.enum(ENDPOINTS),
  model: z.string().nullable(),
  errors: z.object({ object: z.literal('list'), data: z.array(error) }).nullable(),
  input_file_id: z.string(),
  completion_window: z.literal('24h'),
  status: z.enum(STATES),
  output_file_id: z.string().nullable(),
  error_file_id: z.string().nullable(),
  created_at: z.number(),
  in_progress_at: time,
  expires_at: z.number(),
  finalizing_at: time,
  completed_at: time,
  failed_at: time,
  expired_at: time,
  cancelling_at: time,
  cancelled_at: time,
  request_counts: z.object({ total: z.number(), completed: z.number(), failed: z.number() }),
  usage: usage.nullable(),
  metadata: z.record(z.string(), z.string()).nullable(),
})

export const batchForm = z.object({
  id: z.string(),
  owner: z.string(),
  batch: wire,
  /** The name of the input, for messages. */
  label: z.string(),
  /** Seconds that outputs are kept. */
  keepSeconds: z.number(),
  /** What its results depend on, once its model was loaded. */
  mark: z.object({ model: z.string(), numerics: z.string(), name: z.string() }).nullable(),
  /** Ids of outputs that are about to be. */
  outputs: z.object({ results: z.string(), errors: z.string() }).nullable(),
})

export type BatchRecord = Readonly<z.infer<typeof batchForm>>
export type Batch = BatchRecord['batch']
export type BatchError = z.infer<typeof error>

const METADATA = `expected at most ${MOST_METADATA} pairs, keys of 64 and values of 512 characters`
const hasFewPairs = (value: unknown) => Object.keys(Object(value)).length <= MOST_METADATA

/** The body of POST /v1/batches. */
export const createFields = z.object({
  input_file_id: z.string(),
  endpoint: z.string(),
  completion_window: z.string(),
  metadata: z
    .custom(hasFewPairs, { error: METADATA })
    .pipe(z.record(z.string(), z.string())) // which makes an object for each that is wrong
    .nullish(),
  output_expires_after: z.object({ anchor: z.literal('created_at'), seconds: z.int().min(KEPT.least).max(KEPT.most) }).nullish(),
})

/** Throws an ApiError 400 that names the field which is wrong. */
export function readCreate(body: Record<string, unknown>) {
  const { input_file_id: input, endpoint, completion_window: window, metadata, output_expires_after: expires } = checked(createFields, body)
  const known = ENDPOINTS.find((one) => one === endpoint)
  if (!known) throw badRequest(`endpoint is ${told(endpoint)}, expected one of ${ENDPOINTS.join(', ')}`, 'endpoint')
  if (window !== '24h') throw badRequest(`completion_window is ${told(window)}, expected 24h`, 'completion_window')
  const pairs = Object.entries(metadata ?? {})
  if (pairs.length > MOST_METADATA || pairs.some(([key, value]) => key.length > 64 || value.length > 512)) {
    throw badRequest(`metadata: ${METADATA}`, 'metadata')
  }
  return { input, endpoint: known, metadata: metadata ?? null, keepSeconds: expires?.seconds ?? KEPT_SECONDS }
}

const told = (text: string) => JSON.stringify(text.slice(0, 100))

export function newBatch(
  id: string,
  owner: string,
  label: string,
  { input, endpoint, metadata, keepSeconds }: ReturnType<typeof readCreate>,
): BatchRecord {
  const created = nowSeconds()
  const batch: Batch = {
    ...{ id, object: 'batch', endpoint, model: null, errors: null, input_file_id: input, completion_window: '24h' },
    ...{ status: 'validating', output_file_id: null, error_file_id: null, created_at: created, in_progress_at: null },
    ...{ expires_at: created + WINDOW_SECONDS, finalizing_at: null, completed_at: null, failed_at: null, expired_at: null },
    ...{ cancelling_at: null, cancelled_at: null, request_counts: { total: 0, completed: 0, failed: 0 }, usage: null, metadata },
  }
  return { id, owner, batch, label, keepSeconds, mark: null, outputs: null }
}

export function isOver({ batch: { status } }: BatchRecord): boolean {
  return status === 'completed' || status === 'failed' || status === 'expired' || status === 'cancelled'
}

/** When it ended, in seconds since 1970. */
export function endOf({ batch }: BatchRecord): number {
  return batch.completed_at ?? batch.failed_at ?? batch.expired_at ?? batch.cancelled_at ?? batch.created_at
}

/** The batch in another state, since now. */
export function inState(record: BatchRecord, status: Exclude<BatchState, 'validating'>, more: Partial<Batch> = {}): BatchRecord {
  return { ...record, batch: { ...record.batch, ...more, status, [`${status}_at`]: nowSeconds() } }
}

/** Tokens of all answers; none counts as cached, since what a cache has depends on all else. */
export function usageOf({ input, output }: { readonly input: number; readonly output: number }): Batch['usage'] {
  const details = { input_tokens_details: { cached_tokens: 0 }, output_tokens_details: { reasoning_tokens: 0 } }
  return { input_tokens: input, output_tokens: output, total_tokens: input + output, ...details }
}

/** Batches that are not over, in the order of their making. */
export function openBatches(records: Records<BatchRecord>): BatchRecord[] {
  return records.all().filter((record) => !isOver(record))
}
