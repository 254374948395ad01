// What a request of any API may ask beside its answer: how long it may take, and with whom it shares the KV cache.

import { badRequest } from '../apiError.js'
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
