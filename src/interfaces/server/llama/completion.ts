// POST /completion: llama-server's own form of a completion, with its names, defaults and prompts of texts and ids.
// Values that it takes there and that are none of ours (a temperature below 0, steps of sampling by letters or by names
// that are not known) mean what they mean there.

import { randomUUID } from 'node:crypto'
import { z } from 'zod'
import { inSlices } from '../../../base/timeSlice.js'
import { stepNamed } from '../../../runtime/sampler/steps.js'
import type { GenerationOptions } from '../../../text/generate/generationOptions.js'
import { unsupported } from '../apiError.js'
import { openaiNames, openaiOptions } from '../openai/options.js'
import { checkModel } from '../openai/wire.js'
import { checkAsked } from '../security/asked.js'
import { checked } from '../security/body.js'
import { boundedList } from '../security/fields.js'
import { type AskedModel, NO_MODEL, type ServedModel } from '../servedModel.js'
import { type AnswerCall, type AnswerRun, readOnly, silentRun, withProgress } from '../streams/answerRuns.js'
import { type Answering, respond } from '../streams/respond.js'
import { NativeWire } from './completionWire.js'
import { type GivenPrompt, idsOf, isPrompt, PROMPT } from './prompts.js'

const limit = z.int().min(-2).nullish()

export const nativeFields = z.object({
  model: z.string().nullish(),
  prompt: z
    .custom<GivenPrompt>(isPrompt, { error: 'expected a string, a list of token ids and strings, or a list of prompts that is not empty' })
    .meta(PROMPT),
  n_predict: limit,
  max_completion_tokens: limit,
  max_tokens: limit,
  stream: z.boolean().nullish(),
  n_probs: z.int().min(0).nullish(),
  cache_prompt: z.boolean().nullish(),
  return_tokens: z.boolean().nullish(),
  return_progress: z.boolean().nullish(),
  response_fields: boundedList(z.string().max(200), 100).nullish(),
  n: z.int().nullish(),
  // any slot has the same bits: a wish for one changes nothing
  id_slot: z.int().nullish(),
})

/** llama-server's word for a random seed, beside -1. */
const RANDOM_SEED = 2 ** 32 - 1

/** Answers a request. Throws an ApiError, or a MixtralError, for what is wrong with it. */
export async function nativeCompletion(body: Record<string, unknown>, served: ServedModel, answering: Answering): Promise<Response> {
  const { request, most, options, wireNames } = readNative(body, served)
  checkModel(request.model, served)
  const prompts = await inSlices(idsOf(request.prompt, served.model), answering.exchange.signal)
  const runs = prompts.map((ids) => (most === 0 ? reading(served, ids, options) : writing(served, ids, options, request)))
  const wire = new NativeWire(served, {
    prompts,
    options: { ...options, n_predict: most },
    streams: request.stream ?? false,
    postSampling: options.postSampling ?? false,
    returnsTokens: request.return_tokens ?? false,
    fields: request.response_fields ?? undefined,
    wireNames,
  })
  return respond(runs, wire, request.stream ?? false, answering)
}

/** Throws an ApiError for what is wrong with a request, whatever its model is. */
export function checkNative(body: Record<string, unknown>): void {
  readNative(body, NO_MODEL)
}

function readNative(body: Record<string, unknown>, model: AskedModel) {
  const request = checked(nativeFields, body)
  if ((request.n ?? 1) !== 1) throw unsupported('n is not supported: send the prompt as often as it is to be answered', 'n')
  const most = request.n_predict ?? request.max_completion_tokens ?? request.max_tokens ?? -1
  const { seed, ...others } = openaiOptions(leniently(body), model, { own: {}, supports: ['n_probs'] })
  const options: GenerationOptions = {
    ...others,
    ...(seed !== undefined && seed !== RANDOM_SEED && { seed }),
    ...(most > 0 && { maxNewTokens: most }),
    ...(request.n_probs && { logprobs: request.n_probs }),
    ...(request.cache_prompt === false && { salt: randomUUID() }), // shares with nobody
  }
  const wireNames = openaiNames(body, [['logprobs', 'n_probs']])
  checkAsked(options, wireNames)
  return { request, most, options, wireNames }
}

function writing(
  { model }: ServedModel,
  ids: readonly number[],
  { salt: own, ...options }: GenerationOptions,
  { stream, return_progress }: z.infer<typeof nativeFields>,
): AnswerRun {
  const begin = ({ salt, ...call }: AnswerCall, onProgress?: GenerationOptions['onProgress']) => {
    const session = model.session({ ids, salt: own ?? salt ?? '' })
    return session.stream({ ...options, ...call, ...(onProgress && { onProgress }) })
  }
  if (!stream || !return_progress) return (call) => begin(call)
  return (call) => withProgress((onProgress) => begin(call, onProgress))
}

/** Computes the prompt, so that what follows finds it in the cache. */
function reading({ model }: ServedModel, ids: readonly number[], { salt: own, adapters }: GenerationOptions): AnswerRun {
  return silentRun(async ({ signal, salt }) => {
    const started = performance.now()
    await model.session({ salt: own ?? salt ?? '' }).append(ids, { signal, ...(adapters && { adapters }) })
    return readOnly(ids.length, (performance.now() - started) / 1000)
  })
}

type Body = Readonly<Record<string, unknown>>

/** The steps by the letters of `--sampling-seq`. */
const LETTERS: Readonly<Record<string, string>> = {
  ...{ d: 'dry', k: 'top_k', y: 'typ_p', p: 'top_p', s: 'top_n_sigma', m: 'min_p' },
  ...{ t: 'temperature', x: 'xtc', e: 'penalties', a: 'adaptive_p' },
}

/** The body with such values as ours. What is wrong otherwise stays, to be refused by its name. */
function leniently(body: Body): Body {
  const { temperature, samplers } = body
  const isBelow = typeof temperature === 'number' && temperature < 0
  const steps = typeof samplers === 'string' ? Array.from(samplers, (letter) => LETTERS[letter]) : samplers
  return { ...body, ...(isBelow && { temperature: 0 }), ...(Array.isArray(steps) && { samplers: known(steps) }) }
}

/** The steps that are known. Adaptive-p draws the token, so that it is the last one wherever it stands. */
function known(steps: readonly unknown[]): unknown[] {
  const found = steps.filter((step) => stepNamed(step) >= 0)
  const isLast = (step: unknown) => stepNamed(step) === stepNamed('adaptiveP')
  return [...found.filter((step) => !isLast(step)), ...found.filter(isLast)]
}
