// The options of a request, checked before any of its work begins; what is wrong is told by the names of its API.

import { checkGenerationOptions } from '../../../text/generate/checkGenerationOptions.js'
import type { GenerationOptions } from '../../../text/generate/generationOptions.js'
import { toApiError } from '../apiError.js'

/** Throws an ApiError 400 that names the field. `wireNames` has the names that options have in the request, by ours. */
export function checkAsked(options: GenerationOptions, wireNames: ReadonlyMap<string, string>): void {
  try {
    checkGenerationOptions(options)
  } catch (error) {
    throw toApiError(error, wireNames)
  }
}
