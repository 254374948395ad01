// Errors as the AI SDK tells them apart: by marks, which all its versions share, so that nothing of it has to be
// imported. Owns which of our errors is worth a second attempt. They stay MixtralErrors, with code and message.

import { MixtralError, type MixtralErrorCode } from '../../../base/errors.js'
import { toApiError } from '../../server/apiError.js'

/** What the next attempt may find otherwise: a file on a disk or a drive that did not answer. */
const RETRYABLE: readonly MixtralErrorCode[] = ['IO']

/**
 * An error of a call, with the fields of the SDK's `APICallError`: the status that our server answers with, and whether
 * the SDK is to try again. What the caller's own signal has ended, and what is no MixtralError, stays as it is.
 */
export function callError(error: unknown): unknown {
  if (!(error instanceof MixtralError) || error.code === 'ABORTED' || isMarked(error)) return error
  const { code } = error
  const fields = {
    url: 'mixtral-wasm:',
    requestBodyValues: {},
    statusCode: toApiError(error).status,
    isRetryable: RETRYABLE.includes(code),
    data: { code },
  }
  return marked(error, 'AI_APICallError', fields)
}

/** A part of a prompt that no Mixtral takes. The SDK's `UnsupportedFunctionalityError`. */
export function unsupportedPart(functionality: string): MixtralError {
  const error = new MixtralError('UNSUPPORTED', `${functionality} in the prompt, expected texts, calls of tools and their results`)
  return marked(error, 'AI_UnsupportedFunctionalityError', { functionality })
}

/** The SDK's `NoSuchModelError`. */
export function noSuchModel(modelType: string, modelId: string, known: readonly string[]): MixtralError {
  const expected = known.length > 0 ? `expected ${known.join(', ')}` : 'expected a languageModel or an embeddingModel'
  const error = new MixtralError('OPTION', `there is no ${modelType} ${JSON.stringify(modelId)}, ${expected}`)
  return marked(error, 'AI_NoSuchModelError', { modelId, modelType })
}

const AI_ERROR = Symbol.for('vercel.ai.error')

function isMarked(error: object): boolean {
  return AI_ERROR in error || !Object.isExtensible(error)
}

function marked(error: MixtralError, name: string, fields: object): MixtralError {
  for (const mark of [AI_ERROR, Symbol.for(`vercel.ai.error.${name}`)]) Object.defineProperty(error, mark, { value: true })
  return Object.assign(error, fields)
}
