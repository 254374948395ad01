// `truncation: auto`: a conversation that does not fit loses its oldest turns.

import type { Steps } from '../../../base/timeSlice.js'
import type { ChatMessage } from '../../../text/chat/chatMessages.js'
import { templateSteps } from '../../../text/generate/mixtralModel.js'
import type { ToolDefinition } from '../../../text/tools/toolDefinitions.js'
import type { ServedModel } from '../servedModel.js'

/**
 * The newest turns that leave room for an answer: for `most` tokens, or a quarter of the context. What fits stays
 * whole; system messages and the last turn always do. Turns begin with the user, so that no result of a call is left
 * without its call. Throws what applying the template throws.
 */
export function* truncated(
  messages: readonly ChatMessage[],
  tools: readonly ToolDefinition[],
  { model }: ServedModel,
  most: number | null | undefined,
): Steps<readonly ChatMessage[]> {
  const { contextLength } = model
  function* tokensOf(some: readonly ChatMessage[]): Steps<number> {
    yield
    return (yield* templateSteps(model, some, { tools })).ids.length
  }
  if ((yield* tokensOf(messages)) < contextLength) return messages
  const room = Math.min(most ?? Math.ceil(contextLength / 4), Math.ceil(contextLength / 2))
  const turns = messages.flatMap(({ role }, i) => (role === 'user' ? [i] : []))
  const from = (turn: number) => messages.filter(({ role }, i) => isSystem(role) || i >= (turns[turn] ?? 0))
  let [least, last] = [0, Math.max(0, turns.length - 1)] // of all cuts that fit, the first: a few looks, however long it is
  while (least < last) {
    const middle = Math.floor((least + last) / 2)
    if ((yield* tokensOf(from(middle))) + room <= contextLength) last = middle
    else least = middle + 1
  }
  return from(least)
}

function isSystem(role: ChatMessage['role']): boolean {
  return role === 'system' || role === 'developer'
}
