// What chats and completions of the OpenAI API have in common on the wire: events, ids, usage, finish reasons, and the
// fields of requests.

import { randomBytes } from 'node:crypto'
import { z } from 'zod'
import { ApiError, badRequest } from '../apiError.js'
import { isCalled, type ServedModel } from '../servedModel.js'
import type { Outcome } from '../streams/answerRuns.js'
import type { StreamOrigin } from '../streams/resuming.js'

/** Most answers of one request: prompts times `n`. */
export const MOST_ANSWERS = 1024

/** The fields that both have. Those of sampling are read by the table of options. */
export const commonFields = {
  model: z.string().nullish(),
  stream: z.boolean().nullish(),
  stream_options: z.object({ include_usage: z.boolean().nullish() }).nullish(),
  n: z.int().min(1).max(128).nullish(),
}

export const PING = ':\n\n'

export function sse(data: object): string {
  return `data: ${JSON.stringify(data)}\n\n`
}

export const DONE = 'data: [DONE]\n\n'

/** Letters and digits behind what they begin with. A new id, unless a stream has one. */
export function idFor(prefix: string, origin?: StreamOrigin): string {
  if (origin) return prefix + origin.letters
  const letters = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789'
  return prefix + Array.from(randomBytes(32), (byte) => letters[byte % letters.length]).join('')
}

/** What all chunks of a stream, or the whole answer, begin with. */
export function header(prefix: string, object: string, { name, fingerprint }: ServedModel, origin?: StreamOrigin) {
  const created = origin?.created ?? Math.floor(Date.now() / 1000)
  return { id: idFor(prefix, origin), object, created, model: name, system_fingerprint: fingerprint }
}

/** Throws an ApiError 404 for a model that is not this one; none means this one. */
export function checkModel(asked: string | null | undefined, served: ServedModel): void {
  if (!asked || isCalled(served, asked)) return
  const message = `the model ${JSON.stringify(asked.slice(0, 100))} does not exist here, expected ${JSON.stringify(served.name)}`
  throw new ApiError(404, message, { param: 'model', code: 'model_not_found' })
}

export function checkStreamOptions(
  stream: unknown,
  options: { readonly include_usage?: boolean | null | undefined } | null | undefined,
): void {
  if (options?.include_usage && stream !== true) throw badRequest('stream_options is given without stream', 'stream_options')
}

/** The API has one word for a token limit and a full context. */
export function finishReason({ finishReason }: Outcome): string {
  return finishReason === 'context' ? 'length' : finishReason
}

/** `answers` is how many answers a prompt has: its tokens count once. */
export function usageOf(outcomes: readonly Outcome[], answers: number) {
  const prompts = outcomes.filter((_, i) => i % answers === 0)
  const sum = (list: readonly Outcome[], of: (outcome: Outcome) => number) => list.reduce((sum, one) => sum + of(one), 0)
  const prompt = sum(prompts, ({ promptTokens }) => promptTokens)
  const completion = sum(outcomes, ({ ids }) => ids.length)
  const drafted = sum(outcomes, ({ draftedTokens }) => draftedTokens)
  const accepted = sum(outcomes, ({ acceptedTokens }) => acceptedTokens)
  const drafts = { accepted_prediction_tokens: accepted, rejected_prediction_tokens: drafted - accepted }
  return {
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
    prompt_tokens_details: { cached_tokens: sum(prompts, ({ reusedTokens }) => reusedTokens) },
    ...(drafted > 0 && { completion_tokens_details: drafts }),
  }
}
