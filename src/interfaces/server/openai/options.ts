// The options of a generation as OpenAI's API spells them, with vLLM's and llama-server's extensions, in ours. What is
// known and has no meaning here is refused by name; what is unknown is ignored, since clients send more every month.

import type { GenerationOptions } from '../../../text/generate/generationOptions.js'
import { generationTable } from '../../../text/generate/generationTable.js'
import { badRequest, unsupported } from '../apiError.js'
import { type AskedModel, optionNames, withoutLimit } from '../servedModel.js'
import { adaptersOf } from './adapters.js'
import { constraintNames, constraintOf } from './constraints.js'

type Body = Readonly<Record<string, unknown>>

/** Our names by those in requests. */
const NAMES = optionNames('llama', 'openai')
/** What is read elsewhere: its meaning depends on other fields. */
const ELSEWHERE = new Set(['n_predict', 'max_tokens', 'seed', 'stop', 'logprobs', 'top_logprobs', 'n_probs', 'json_schema', 'grammar'])
/** Names in messages, by ours, where a request does not say which of two it uses. */
const FIRST_NAMES: readonly (readonly [own: string, wire: string])[] = [
  ...[...optionNames('llama'), ...optionNames('openai')].map(([wire, own]) => [own, wire] as const),
  ['jsonSchema', 'response_format'],
  ['toolChoice', 'tool_choice'],
  ['parallelToolCalls', 'parallel_tool_calls'],
  ['adapters', 'lora'],
]
const LIMITS = ['max_tokens', 'max_completion_tokens', 'n_predict']

/** The names of options in a request, by ours: those that it uses, then the API's. `others` go before all. */
export function openaiNames(body: Body, others: readonly (readonly [own: string, wire: string])[] = []): ReadonlyMap<string, string> {
  const isGiven = (wire: string) => body[wire] !== undefined && body[wire] !== null
  const used = [...NAMES].flatMap(([wire, own]) => (isGiven(wire) ? [[own, wire] as const] : []))
  const limits = LIMITS.filter(isGiven).map((wire) => ['maxNewTokens', wire] as const)
  return new Map([...FIRST_NAMES, ...used, ...limits, ...constraintNames(body), ...others])
}

/** The API's defaults: nothing is cut off. What the model brings goes before them. */
const DEFAULTS: GenerationOptions = { temperature: 1, topP: 1, topK: 0, minP: 0 }

type AsksNothing = (value: unknown) => boolean

const never: AsksNothing = () => false
const only =
  (harmless: unknown): AsksNothing =>
  (value) =>
    value === harmless
const empty: AsksNothing = (value) => typeof value === 'object' && value !== null && Object.keys(value).length === 0

/** Fields that are known and would change the answer, and the values of them that ask for nothing. */
const REFUSED: Readonly<Record<string, AsksNothing>> = {
  // OpenAI's
  functions: empty,
  function_call: (value) => value === 'none' || value === 'auto',
  modalities: (value) => Array.isArray(value) && value.every((one) => one === 'text'),
  audio: never,
  prediction: never,
  web_search_options: never,
  suffix: only(''),
  // vLLM's
  use_beam_search: only(false),
  length_penalty: only(1),
  prompt_logprobs: only(false),
  allowed_token_ids: never,
  include_stop_str_in_output: only(false),
  skip_special_tokens: only(true),
  truncate_prompt_tokens: never,
  return_tokens_as_token_ids: only(false),
  chat_template: never,
  chat_template_kwargs: (value) => typeof value === 'object', // there is no template
  documents: empty,
  add_generation_prompt: only(true),
  continue_final_message: only(false),
  // llama-server's
  n_probs: only(0),
  t_max_predict_ms: (value) => typeof value === 'number' && value <= 0,
  tfs_z: only(1),
  n_indent: only(0),
  n_cmpl: only(1),
  image_data: empty,
}

/** Words to ban, and other texts of one option: each is looked for in all tokens. */
const MOST_TEXTS = 1000
/** Stop strings of a request. */
export const MOST_STOPS = 64
const LONGEST_STOP = 1000

/** How an API differs from OpenAI's. */
interface Differences {
  /** Its own defaults. */
  readonly own?: GenerationOptions
  /** What it supports of that which is refused elsewhere. */
  readonly supports?: readonly string[]
}

/** Throws an ApiError 400 for a field that is wrong, or known and not supported. */
export function openaiOptions(body: Body, asked: AskedModel, { own = DEFAULTS, supports = [] }: Differences = {}): GenerationOptions {
  for (const [name, asksNothing] of Object.entries(REFUSED)) {
    const value = supports.includes(name) ? undefined : body[name]
    if (value !== undefined && value !== null && !asksNothing(value)) throw unsupported(`${name} is not supported`, name)
  }
  const given = [...NAMES].flatMap(([wire, own]) => {
    const value = body[wire]
    if (ELSEWHERE.has(wire) || value === undefined || value === null) return []
    if (generationTable[own]!.kind === 'texts' && Array.isArray(value) && value.length > MOST_TEXTS) {
      throw badRequest(`${wire} has ${value.length} texts, expected at most ${MOST_TEXTS}`, wire)
    }
    return [[own, withoutLimit(own, value)] as const]
  })
  const seed = seedOf(body.seed)
  return {
    ...own,
    ...asked.defaults,
    ...Object.fromEntries(given),
    ...(body.stop !== undefined && body.stop !== null && { stop: stopsOf(body.stop) }),
    ...(seed !== undefined && { seed }),
    ...constraintOf(body),
    ...adaptersOf(body, asked.model),
  }
}

/**
 * A seed is a whole number of 64 bits, and arrives rounded where it has more than 53. -1 is a random one, as in
 * llama-server.
 */
export function seedOf(seed: unknown): number | undefined {
  if (seed === undefined || seed === null || seed === -1) return undefined
  if (typeof seed !== 'number' || !Number.isInteger(seed) || Math.abs(seed) > 2 ** 64) throw badRequest('seed is no whole number', 'seed')
  const rest = seed % Number.MAX_SAFE_INTEGER
  return rest < 0 ? rest + Number.MAX_SAFE_INTEGER : rest
}

export function stopsOf(stop: unknown): readonly string[] {
  const stops: unknown[] = Array.isArray(stop) ? stop : [stop]
  if (stops.length > MOST_STOPS || !stops.every((one) => typeof one === 'string' && one.length <= LONGEST_STOP)) {
    throw badRequest(`stop: expected at most ${MOST_STOPS} strings of at most ${LONGEST_STOP} characters`, 'stop')
  }
  return stops.filter((one) => one !== '') as string[]
}
