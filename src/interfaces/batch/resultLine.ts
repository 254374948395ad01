// The line of a result: OpenAI's fields, and one of our own, `mixtral`, which says what the result depends on and which
// tokens it has. Nothing in it comes from a clock, a random number or a cache. Owns the form, both ways.

import { sha256 } from '../server/modelMark.js'
import type { KeyedRequest } from './batchModel.js'

/** What became of a request: an answer, or what is wrong with the request. */
export interface BatchAnswer {
  readonly status: number
  readonly body: object
  /** Of each answer its tokens, where there are some. */
  readonly tokens: readonly (readonly number[])[]
  /** What was counted, for figures; not in the line. */
  readonly promptTokens: number
  readonly newTokens: number
}

/** A failure that is no answer: of the machine, after the last attempt. */
interface Failure {
  readonly code: string
  readonly message: string
}

/** What a stored line says of itself. */
export interface StoredResult {
  readonly customId: string
  readonly batch: string
  readonly key: string
  readonly model: string
  readonly numerics: string
  /** The model's name in the answer. */
  readonly name: string
  readonly seed: number | undefined
  readonly tokens: readonly (readonly number[])[]
  /** Whether it belongs into the file of errors. */
  readonly failed: boolean
  /** Tokens of prompts and of answers, as the answer counts them; none of an error. */
  readonly counted: { readonly input: number; readonly output: number }
}

/** The line, without its end. */
export function resultLine(asked: KeyedRequest, { status, body, tokens }: BatchAnswer): string {
  const response = { status_code: status, request_id: `req_${digest('request', asked)}`, body: withoutChance(body, asked) }
  return lineOf(asked, response, null, tokens)
}

/** The line of a request without an answer. */
export function failureLine(asked: KeyedRequest, failure: Failure): string {
  return lineOf(asked, null, failure, [])
}

function lineOf(asked: KeyedRequest, response: object | null, error: Failure | null, tokens: readonly (readonly number[])[]): string {
  const { customId, batch, key, model, numerics, name, seed } = asked
  const own = { batch, key, model, numerics, name, ...(seed !== undefined && { seed }), ...(tokens.length > 0 && { tokens }) }
  return JSON.stringify({ id: `batch_req_${digest('line', asked)}`, custom_id: customId, response, error, mixtral: own })
}

/** An answer without what differs from run to run: its id, its time, how much a cache had, and what was drafted. */
function withoutChance(body: object, asked: KeyedRequest): object {
  const { id, created, model, usage } = body as { readonly [name: string]: unknown }
  const { prompt_tokens_details: _, completion_tokens_details: __, ...counts } = (usage ?? {}) as Record<string, unknown>
  return {
    ...body,
    ...(typeof id === 'string' && { id: `${id.slice(0, id.indexOf('-') + 1)}${digest('answer', asked)}` }),
    ...(created !== undefined && { created: 0 }),
    ...(model !== undefined && { model: asked.name }),
    ...(usage !== undefined && { usage: counts }),
  }
}

/** 32 hex digits that follow from a request. */
function digest(what: string, { key, customId }: KeyedRequest): string {
  return sha256(JSON.stringify([what, key, customId])).slice(0, 32)
}

/** Whether bytes are the beginning of a line, as a kill leaves it: not a file of something else. */
export function isBegunResult(bytes: Uint8Array): boolean {
  return Buffer.from('{"id":"batch_req_').subarray(0, bytes.length).equals(bytes.subarray(0, 17))
}

/** What a line says. Undefined for one that is none of ours. */
export function storedResult(bytes: Uint8Array): StoredResult | undefined {
  let line: Record<string, unknown> | null
  try {
    line = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes))
  } catch {
    return undefined
  }
  const { custom_id: customId, response, mixtral } = line ?? {}
  const { batch, key, model, numerics, name, seed, tokens = [] } = (mixtral ?? {}) as Record<string, unknown>
  const texts = [customId, batch, key, model, numerics, name]
  const isNumber = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 0
  if (texts.some((text) => typeof text !== 'string') || !(seed === undefined || typeof seed === 'number')) return undefined
  if (!Array.isArray(tokens) || !tokens.every((list) => Array.isArray(list) && list.every(isNumber))) return undefined
  const { status_code: status, body } = (response ?? {}) as Record<string, unknown>
  const { usage } = (body ?? {}) as { readonly usage?: Record<string, unknown> }
  const [input, output] = [usage?.prompt_tokens, usage?.completion_tokens].map((count) => (isNumber(count) ? count : 0))
  return { customId, batch, key, model, numerics, name, seed, tokens, failed: status !== 200, counted: { input, output } } as StoredResult
}
