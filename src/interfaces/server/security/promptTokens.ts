// The checks of tokens that are made before anything is sent: ids of the vocabulary, and room for them or for an
// answer.

import { ApiError, badRequest } from '../apiError.js'

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
