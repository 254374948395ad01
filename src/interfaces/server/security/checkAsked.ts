// The options and messages of a request, checked before any of its work begins, which may be the load of a model; what
// is wrong is told by the names of its API.

import { type ChatMessage, checkMessages } from '../../../text/chat/chatMessages.js'
import type { ChatOptions } from '../../../text/generate/chatOptions.js'
import { checkedTools } from '../../../text/generate/chatRequest.js'
import { checkGenerationOptions } from '../../../text/generate/checkGenerationOptions.js'
import { toApiError } from '../apiError.js'

/** Throws an ApiError 400 that names the field. `wireNames` has the names that options have in the request, by ours. */
export function checkAsked(options: ChatOptions, wireNames: ReadonlyMap<string, string>, messages?: readonly ChatMessage[]): void {
  try {
    checkGenerationOptions(checkedTools(options).options)
    if (messages) checkMessages(messages)
  } catch (error) {
    throw toApiError(error, wireNames)
  }
}
