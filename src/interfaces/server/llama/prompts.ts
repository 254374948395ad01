// Prompts as llama-server takes them: a text, ids, both in one list, or a list of such prompts.

import type { Steps } from '../../../base/timeSlice.js'
import type { MixtralModel } from '../../../text/generate/mixtralModel.js'
import { stepsOf } from '../../../text/tokenizer/tokenizer.js'
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
function promptsOf(given: GivenPrompt): readonly (string | readonly GivenPart[])[] {
  const isOne = typeof given === 'string' || given.some((part) => typeof part === 'number')
  const prompts = (isOne ? [given] : given) as (string | GivenPart[])[]
  if (prompts.length > MOST_PROMPTS) throw badRequest(`${prompts.length} prompts, expected at most ${MOST_PROMPTS}`, 'prompt')
  return prompts
}

/** The tokens of each prompt. Throws what `promptIds` throws, and an ApiError 400 for too many. */
export function* idsOf(given: GivenPrompt, model: MixtralModel): Steps<number[][]> {
  const all: number[][] = []
  for (const prompt of promptsOf(given)) all.push(yield* promptIds(prompt, model))
  return all
}

/**
 * The tokens of a prompt. Control tokens that it spells count as such; BOS comes first where it begins with a text.
 * Throws an ApiError 400 for an id outside the vocabulary, for no tokens, and for a prompt that leaves no room.
 */
function* promptIds(prompt: string | readonly GivenPart[], { tokenizer, contextLength }: MixtralModel): Steps<number[]> {
  const steps = stepsOf(tokenizer)
  const parts: GivenPart[] = []
  for (const part of typeof prompt === 'string' ? [prompt] : prompt) {
    if (typeof part === 'number') parts.push(part)
    else for (const one of yield* steps.splitSpecial(part)) parts.push(one)
  }
  checkVocabulary(parts, tokenizer.vocabSize, 'prompt')
  const beginsWithId = typeof prompt !== 'string' && typeof prompt[0] === 'number'
  const ids = beginsWithId ? (yield* steps.encodeParts([tokenizer.bosId, ...parts])).slice(1) : yield* steps.encodeParts(parts)
  yield
  if (ids.length === 0) throw badRequest('the prompt has no tokens', 'prompt')
  checkRoom(ids.length, contextLength - 1, contextLength, 'prompt')
  return ids
}
