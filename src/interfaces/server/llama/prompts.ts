// Prompts as llama-server takes them: a text, ids, both in one list, or a list of such prompts.

import type { MixtralModel } from '../../../text/generate/mixtralModel.js'
import { badRequest } from '../apiError.js'
import { checkRoom, checkVocabulary } from '../security/asked.js'

type GivenPart = string | number
export type GivenPrompt = string | readonly GivenPart[] | readonly (string | readonly GivenPart[])[]

const isPart = (part: unknown) => typeof part === 'string' || (typeof part === 'number' && Number.isSafeInteger(part) && part >= 0)
const isParts = (value: unknown) => Array.isArray(value) && value.length > 0 && value.every(isPart)

export function isPrompt(value: unknown): boolean {
  if (typeof value === 'string' || isParts(value)) return true
  return Array.isArray(value) && value.length > 0 && value.every((one) => typeof one === 'string' || isParts(one))
}

const PARTS = { type: 'array', items: { anyOf: [{ type: 'string' }, { type: 'integer', minimum: 0 }] }, minItems: 1 } as const
/** A prompt, in a document. */
export const PROMPT = {
  anyOf: [{ type: 'string' }, PARTS, { type: 'array', items: { anyOf: [{ type: 'string' }, PARTS] }, minItems: 1 }],
}

/** Most prompts of one request. */
const MOST_PROMPTS = 1024

/** A list with a number in it is one prompt; other lists are lists of prompts. */
export function promptsOf(given: GivenPrompt): readonly (string | readonly GivenPart[])[] {
  const isOne = typeof given === 'string' || given.some((part) => typeof part === 'number')
  const prompts = (isOne ? [given] : given) as (string | GivenPart[])[]
  if (prompts.length > MOST_PROMPTS) throw badRequest(`${prompts.length} prompts, expected at most ${MOST_PROMPTS}`, 'prompt')
  return prompts
}

/**
 * The tokens of a prompt. Control tokens that it spells count as such; BOS comes first where it begins with a text.
 * Throws an ApiError 400 for an id outside the vocabulary, for no tokens, and for a prompt that leaves no room.
 */
export function promptIds(prompt: string | readonly GivenPart[], { tokenizer, contextLength }: MixtralModel): number[] {
  const parts = (typeof prompt === 'string' ? [prompt] : prompt).flatMap((part) =>
    typeof part === 'string' ? tokenizer.splitSpecial(part) : [part],
  )
  checkVocabulary(parts, tokenizer.vocabSize, 'prompt')
  const beginsWithId = typeof prompt !== 'string' && typeof prompt[0] === 'number'
  const ids = beginsWithId ? tokenizer.encodeParts([tokenizer.bosId, ...parts]).slice(1) : tokenizer.encodeParts(parts)
  if (ids.length === 0) throw badRequest('the prompt has no tokens', 'prompt')
  checkRoom(ids.length, contextLength - 1, contextLength, 'prompt')
  return ids
}
