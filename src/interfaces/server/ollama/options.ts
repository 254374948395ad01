// The options of a generation as Ollama's API spells them, in ours. Unknown options are ignored, as Ollama does; what
// would change the answer and is not supported is refused.

import { z } from 'zod'
import type { GenerationOptions } from '../../../text/generate/generationOptions.js'
import { generationTable } from '../../../text/generate/generationTable.js'
import { ollamaValue, UNSET } from '../../../text/generate/ollamaParameters.js'
import { ApiError, badRequest } from '../apiError.js'
import { rootedSchema } from '../openai/constraints.js'
import { seedOf, stopsOf } from '../openai/options.js'
import type { Exchange } from '../requestLog.js'
import { record } from '../security/fields.js'
import { isCalled, optionNames, type ServedModel, wireNames } from '../servedModel.js'
import { keepAliveSeconds } from './keepAlive.js'

const NAMES = optionNames('ollama')
/** What is read below: a value may mean none. */
const ELSEWHERE = new Set(['num_predict', 'seed', 'stop'])
export const OLLAMA_NAMES: ReadonlyMap<string, string> = new Map([...wireNames(NAMES), ['jsonSchema', 'format']])

/** Ollama's defaults, where they differ from ours. What the model brings goes before them. */
const DEFAULTS: GenerationOptions = { temperature: 0.8, topK: 40, topP: 0.9, minP: 0 }

/** The fields that chats and texts have in common. */
export const commonFields = {
  model: z.string({ error: 'model is required' }).min(1, 'model is required'),
  stream: z.boolean().nullish(),
  format: z.union([z.string(), record]).nullish(),
  options: record.nullish(),
  keep_alive: z.union([z.string(), z.number()]).nullish(),
  think: z.union([z.boolean(), z.string()]).nullish(),
  logprobs: z.boolean().nullish(),
  top_logprobs: z.int().min(0).max(20).nullish(),
}

export interface CommonFields {
  readonly model: string
  readonly format?: string | Record<string, unknown> | null | undefined
  readonly options?: Record<string, unknown> | null | undefined
  readonly keep_alive?: string | number | null | undefined
  readonly think?: boolean | string | null | undefined
  readonly logprobs?: boolean | null | undefined
  readonly top_logprobs?: number | null | undefined
}

/** Throws an ApiError 404. */
export function checkOllamaModel(asked: string, served: ServedModel): void {
  if (!isCalled(served, asked)) throw new ApiError(404, `model '${asked.slice(0, 100)}' not found`)
}

/** Throws an ApiError 400 for what is wrong. */
export function ollamaOptions(request: CommonFields, { defaults, name, model }: ServedModel, exchange: Exchange): GenerationOptions {
  if (request.think) throw badRequest(`${JSON.stringify(name)} does not support thinking`, 'think')
  if (request.keep_alive !== undefined && request.keep_alive !== null) keepAliveSeconds(request.keep_alive)
  const options = request.options ?? {}
  const { num_ctx: context, num_predict: most, seed, stop } = options
  // as with Ollama, a context beyond what there is becomes that, and the log tells
  if (typeof context === 'number' && context > model.contextLength) exchange.note({ contextAsked: context })
  const given = [...NAMES].flatMap(([wire, own]) => {
    const value = ELSEWHERE.has(wire) ? undefined : options[wire]
    return value === undefined || value === null ? [] : [[own, meant(wire, own, value)] as const]
  })
  const seeded = seedOf(whole(seed))
  const unlimited = !isSet(most) || (typeof most === 'number' && most < 1) // 0, too, is no limit with Ollama
  return {
    ...DEFAULTS,
    ...defaults,
    ...Object.fromEntries(given),
    ...(isSet(most) && unlimited && defaults.maxNewTokens !== undefined && { maxNewTokens: model.contextLength }),
    ...(!unlimited && { maxNewTokens: whole(most) as number }),
    ...(seeded !== undefined && { seed: seeded }),
    ...(stop !== undefined && stop !== null && { stop: stopsOf(stop) }),
    ...(request.logprobs && { logprobs: request.top_logprobs ?? 0 }),
    ...schemaOf(request.format),
  }
}

/**
 * The value of an option, by the rules for those that a model brings. What has no meaning stays, to be refused by
 * its name, except for versions of mirostat, of which Ollama knows none any more, and a penalty of 0, which is none.
 */
function meant(wire: string, own: string, value: unknown): unknown {
  if (typeof value !== 'number') return value
  const row = generationTable[own]!
  const isNone = wire === 'mirostat' || (wire === 'repeat_penalty' && value === 0)
  const found = ollamaValue(wire, value, row) ?? (isNone ? UNSET : value)
  return found === UNSET ? row.default : found
}

const isSet = (value: unknown) => value !== undefined && value !== null

/** Ollama cuts fractions off whole numbers. */
function whole(value: unknown): unknown {
  return typeof value === 'number' ? Math.trunc(value) : value
}

function schemaOf(format: CommonFields['format']): GenerationOptions {
  if (format === undefined || format === null || (typeof format === 'string' && format.trim() === '')) return {}
  if (format === 'json') return { jsonSchema: { type: 'object' } }
  if (typeof format === 'object') return { jsonSchema: rootedSchema(format) }
  throw badRequest('format: expected "json" or a JSON Schema', 'format')
}
