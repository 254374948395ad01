// What a request of any API asks for, checked before any of its work begins, which may be the load of a model: its
// options and messages, its tokens (ids of the vocabulary, and room for them or for an answer), how long it may take,
// and with whom it shares the KV cache. What is wrong is told by the names of its API.

import { type ChatMessage, checkMessages } from '../../../text/chat/chatMessages.js'
import { checkedTools } from '../../../text/generate/chatRequest.js'
import { checkGenerationOptions } from '../../../text/generate/checkGenerationOptions.js'
import type { ChatOptions } from '../../../text/generate/generationOptions.js'
import { ApiError, badRequest, toApiError } from '../apiError.js'
import { LONGEST_SECONDS } from '../settings.js'

/** Longest `cache_salt`: a name, no text. */
const LONGEST_SALT = 1000

interface CommonAsked {
  /** Seconds that the request may take in all. */
  readonly seconds: number | undefined
  /** vLLM's field: who gives another one, shares nothing. */
  readonly cacheSalt: string | undefined
}

/** Throws an ApiError 400. */
export function commonAsked({ timeout, cache_salt: salt }: Record<string, unknown>, headers: Headers): CommonAsked {
  if (!isNothing(salt) && (typeof salt !== 'string' || salt === '' || salt.length > LONGEST_SALT)) {
    throw badRequest(`cache_salt: expected a string of 1 to ${LONGEST_SALT} characters`, 'cache_salt')
  }
  if (!isNothing(timeout) && (typeof timeout !== 'number' || !(timeout > 0))) {
    throw badRequest('timeout: expected seconds, more than 0', 'timeout')
  }
  const limits = [timeout as number | null | undefined, proxyLimit(headers)].filter((one) => !isNothing(one)) as number[]
  return {
    seconds: limits.length > 0 ? Math.min(...limits, LONGEST_SECONDS) : undefined,
    cacheSalt: isNothing(salt) ? undefined : (salt as string),
  }
}

/** Seconds that Envoy waits for an answer. What is no number is not Envoy's. */
function proxyLimit(headers: Headers): number | undefined {
  const given = headers.get('x-envoy-expected-rq-timeout-ms') ?? ''
  return /^[1-9]\d{0,12}$/.test(given) ? Number(given) / 1000 : undefined
}

function isNothing(value: unknown): value is null | undefined {
  return value === undefined || value === null
}

/** Throws an ApiError 400 that names the field. `wireNames` has the names that options have in the request, by ours. */
export function checkAsked(options: ChatOptions, wireNames: ReadonlyMap<string, string>, messages?: readonly ChatMessage[]): void {
  try {
    checkGenerationOptions(checkedTools(options).options)
    if (messages) checkMessages(messages)
  } catch (error) {
    throw toApiError(error, wireNames)
  }
}

/** Throws an ApiError 400 for an id outside the vocabulary. `param` names the field. */
export function checkVocabulary(parts: readonly (string | number)[], vocabSize: number, param: string): void {
  const outside = parts.find((part) => typeof part === 'number' && part >= vocabSize)
  if (outside !== undefined) throw badRequest(`token id ${outside}, expected an id below ${vocabSize}`, param)
}

/** Throws an ApiError 400 with both counts for more tokens than `most`. */
export function checkRoom(tokens: number, most: number, contextLength: number, param: string): void {
  if (tokens <= most) return
  const including = most < contextLength ? ' including the answer' : ''
  const message = `the ${param} has ${tokens} tokens, the context has room for ${contextLength}${including}`
  const counts = { n_prompt_tokens: tokens, n_ctx: contextLength }
  throw new ApiError(400, message, { param, code: 'context_length_exceeded', counts, origin: 'CONTEXT' })
}
