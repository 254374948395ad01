// POST /v1/completions: a text, a list of them, or lists of ids, continued; with `echo`, the prompt and its
// log-probabilities too, as lm-evaluation-harness needs them: one entry for each token of the prompt, and one for each
// that was drawn. With `return_routed_experts`, the experts of the same tokens.

import { z } from 'zod'
import { inSlices, type Steps } from '../../../base/timeSlice.js'
import { checkExpertsPerToken } from '../../../runtime/engine/callArguments.js'
import type { GenerationOptions } from '../../../text/generate/generationOptions.js'
import { stepsOf } from '../../../text/tokenizer/tokenizer.js'
import { type ApiError, badRequest, openaiError } from '../apiError.js'
import { checkAsked, checkRoom, checkVocabulary } from '../security/asked.js'
import { checked } from '../security/body.js'
import { isIds, LISTS } from '../security/fields.js'
import { type AskedModel, NO_MODEL, type ServedModel } from '../servedModel.js'
import { type AnswerEvent, type AnswerRun, type Outcome, type Part, readOnly } from '../streams/answerRuns.js'
import { type Answering, type Requested, respond, type Wire } from '../streams/respond.js'
import { resumable, type StreamOrigin } from '../streams/resuming.js'
import { LegacyList, NO_LOGPROBS, promptText } from './logprobs.js'
import { openaiNames, openaiOptions } from './options.js'
import type { PromptScores } from './promptScores.js'
import { RoutedList } from './routedExperts.js'
import { checkModel, checkStreamOptions, commonFields, DONE, finishReason, header, MOST_ANSWERS, PING, sse, usageOf } from './wire.js'

/** As in the OpenAI API. */
const DEFAULT_TOKENS = 16

type GivenPrompt = string | number[] | string[] | number[][]

function isPrompt(value: unknown): boolean {
  if (typeof value === 'string') return true
  if (!Array.isArray(value) || value.length === 0) return false
  if (typeof value[0] === 'number') return isIds(value)
  if (typeof value[0] === 'string') return value.every((one) => typeof one === 'string')
  return value.every((one) => isIds(one) && one.length > 0)
}

export const completionFields = z.object({
  ...commonFields,
  prompt: z
    .custom<GivenPrompt>(isPrompt, { error: 'expected a string, a list of token ids, or a list of either that is not empty' })
    .meta({ anyOf: [{ type: 'string' }, ...LISTS] }),
  max_tokens: z.int().min(-1).nullish(),
  n_predict: z.int().min(-1).nullish(),
  logprobs: z.int().min(0).max(20).nullish(),
  echo: z.boolean().nullish(),
  best_of: z.int().nullish(),
  return_routed_experts: z.boolean().nullish(),
})

interface Prompt {
  readonly ids: readonly number[]
  readonly text: string
}

/** Answers a request. Throws an ApiError, or a MixtralError, for what is wrong with it. */
export async function completion(
  body: Record<string, unknown>,
  served: ServedModel,
  scores: PromptScores,
  answering: Answering,
): Promise<Response> {
  const stream = await resumable('completion', body, served, answering)
  const { runs, wire, streams } = await requestedCompletion(body, served, scores, answering.exchange.signal, stream?.origin)
  return respond(runs, stream?.wire(wire, runs.length) ?? wire, streams, answering)
}

/** The answers that a request asks for. Throws what `completion` throws before anything runs, and `ABORTED`. */
export async function requestedCompletion(
  body: Record<string, unknown>,
  served: ServedModel,
  scores: PromptScores,
  signal: AbortSignal,
  origin?: StreamOrigin,
): Promise<Requested> {
  const { request, n, most, logprobs, routing, options: given, wireNames } = readCompletion(body, served)
  const options = { ...given, ...(origin && { seed: origin.seed }) }
  checkModel(request.model, served)
  const echo = request.echo ?? false
  const prompts = await inSlices(promptsOf(request.prompt, n, served), signal)
  const runs = prompts.flatMap(({ ids }) =>
    Array.from({ length: n }, (_, i): AnswerRun => {
      const seeded = options.seed === undefined ? options : { ...options, seed: (options.seed + i) % Number.MAX_SAFE_INTEGER }
      const asked = {
        scores: echo && logprobs !== undefined ? scores : undefined,
        routes: echo && routing && i === 0,
        generates: most !== 0,
      }
      return answerRun(served, ids, seeded, asked)
    }),
  )
  const shown = runs.map((_, i) => (echo ? prompts[Math.floor(i / n)]! : undefined))
  const wire = new CompletionWire(served, shown, n, {
    legacy: logprobs !== undefined,
    routing,
    usage: request.stream_options?.include_usage ?? false,
    wireNames,
    origin,
  })
  return { runs, wire, streams: request.stream ?? false }
}

/** Throws an ApiError for what is wrong with a request, whatever its model is. */
export function checkCompletion(body: Record<string, unknown>): void {
  const { request, n } = readCompletion(body, NO_MODEL)
  listOf(request.prompt, n)
}

function readCompletion(body: Record<string, unknown>, model: AskedModel) {
  const request = checked(completionFields, body)
  checkStreamOptions(request.stream, request.stream_options)
  const n = request.n ?? 1
  if ((request.best_of ?? n) !== n) throw badRequest(`best_of is ${request.best_of}, expected the same as n, which is ${n}`, 'best_of')
  const most = request.n_predict ?? request.max_tokens ?? DEFAULT_TOKENS
  const logprobs = request.logprobs ?? undefined
  const routing = request.return_routed_experts ?? false
  const options: GenerationOptions = {
    ...openaiOptions(body, model),
    ...(most > 0 && { maxNewTokens: most }),
    ...(logprobs !== undefined && { logprobs }),
    ...(routing && { experts: true }),
  }
  const wireNames = openaiNames(body)
  checkAsked(options, wireNames)
  return { request, n, most, logprobs, routing, options, wireNames }
}

/** Throws an ApiError 400 for an id outside the vocabulary, and a prompt that leaves no room. */
function* promptsOf(prompt: GivenPrompt, n: number, { model }: ServedModel): Steps<Prompt[]> {
  const { tokenizer, contextLength } = model
  const prompts: Prompt[] = []
  for (const one of listOf(prompt, n)) {
    yield
    const ids = typeof one === 'string' ? yield* stepsOf(tokenizer).encodePrompt(one) : one
    checkVocabulary(ids, tokenizer.vocabSize, 'prompt')
    if (ids.length === 0) throw badRequest('the prompt has no tokens', 'prompt')
    checkRoom(ids.length, contextLength - 1, contextLength, 'prompt')
    prompts.push({ ids, text: typeof one === 'string' ? one.toWellFormed() : promptText(ids, tokenizer) })
  }
  return prompts
}

/** Throws an ApiError 400 for too many. */
function listOf(prompt: GivenPrompt, n: number): readonly (string | number[])[] {
  const isOne = typeof prompt === 'string' || typeof prompt[0] === 'number'
  const list = (isOne ? [prompt] : prompt) as (string | number[])[]
  if (list.length * n <= MOST_ANSWERS) return list
  throw badRequest(`${list.length} prompts with n ${n}, expected at most ${MOST_ANSWERS} answers`, 'prompt')
}

interface Asked {
  /** Where the prompt's log-probabilities are wanted. */
  readonly scores: PromptScores | undefined
  /** The prompt's experts are wanted. */
  readonly routes: boolean
  readonly generates: boolean
}

function answerRun(
  { model }: ServedModel,
  ids: readonly number[],
  options: GenerationOptions,
  { scores, routes, generates }: Asked,
): AnswerRun {
  const { expertsPerToken, adapters, logprobs } = options
  return async function* ({ salt, ...call }): AsyncGenerator<Part, Outcome> {
    checkExpertsPerToken(expertsPerToken, model.config.experts) // what comes before the answer begins the answer
    if (scores || routes || !generates) call.onAccepted()
    // before the answer, whose prompt is then in the cache; a score cannot use what a cache has
    const apart = { ...(salt !== undefined && { salt }) }
    const pass = { signal: call.signal, ...apart, ...(expertsPerToken !== undefined && { expertsPerToken }), ...(adapters && { adapters }) }
    if (scores) yield { text: '', ids: [], scored: await scores.score(ids, { top: logprobs!, ...pass }) }
    if (routes) yield { text: '', ids: [], promptExperts: await model.routing(ids, pass) }
    if (generates) return yield* model.session({ ids, ...apart }).stream({ ...options, ...call })
    return readOnly(ids.length)
  }
}

/** What is told of answers beside their texts. */
interface Shown {
  readonly legacy: boolean
  readonly routing: boolean
  readonly usage: boolean
  readonly wireNames: ReadonlyMap<string, string>
  readonly origin: StreamOrigin | undefined
}

class CompletionWire implements Wire {
  readonly contentType = 'text/event-stream'
  readonly ping = PING
  readonly begin: string
  readonly wireNames: ReadonlyMap<string, string>
  readonly #header: ReturnType<typeof header>
  /** Of each answer the prompt, where it is repeated. */
  readonly #shown: readonly (Prompt | undefined)[]
  readonly #n: number
  readonly #legacy: boolean
  readonly #usage: boolean
  readonly #served: ServedModel
  readonly #lists: LegacyList[]
  /** The experts of each answer, where they are asked for; of the prompts, if they are repeated. */
  readonly #routed: readonly RoutedList[]
  readonly #prompts: RoutedList[]

  constructor(
    served: ServedModel,
    shown: readonly (Prompt | undefined)[],
    n: number,
    { legacy, routing, usage, wireNames, origin }: Shown,
  ) {
    this.wireNames = wireNames
    this.#served = served
    this.#header = header('cmpl-', 'text_completion', served, origin)
    this.#shown = shown
    this.#n = n
    this.#legacy = legacy
    this.#usage = usage
    this.#lists = shown.map(() => new LegacyList())
    const { layers } = served.model.config
    this.#routed = routing ? shown.map(() => new RoutedList(layers)) : []
    this.#prompts = shown.map(() => new RoutedList(layers))
    this.begin = legacy ? '' : shown.map((prompt, index) => (prompt ? this.#choice(index, prompt.text) : '')).join('')
  }

  event(event: AnswerEvent): string {
    const { index } = event
    if ('outcome' in event) return this.#choice(index, '', finishReason(event.outcome))
    this.learn(event)
    if (event.part.promptExperts) return this.#promptChunk(index)
    const text = event.part.scored ? this.#shown[index]!.text : event.part.text
    return text === '' ? '' : this.#choice(index, text)
  }

  end(outcomes: readonly Outcome[]): string {
    return (this.#usage ? sse({ ...this.#header, choices: [], usage: usageOf(outcomes, this.#n) }) : '') + DONE
  }

  error = (error: ApiError) => sse(openaiError(error))

  errorBody = openaiError

  whole(outcomes: readonly Outcome[]): object {
    const choices = outcomes.map((outcome, index) => ({
      text: (this.#shown[index]?.text ?? '') + outcome.text,
      index,
      logprobs: this.#legacy ? (this.#lists[index]!.take() ?? NO_LOGPROBS) : null,
      finish_reason: finishReason(outcome),
      ...this.#routed[index]?.take(),
      ...(!this.#isOnePrompt && this.#promptExperts(index)),
    }))
    const ofPrompt = this.#isOnePrompt && this.#promptExperts(0)
    return { ...this.#header, choices, usage: usageOf(outcomes, this.#n), ...ofPrompt }
  }

  *prepare(event: AnswerEvent): Steps<void> {
    if ('outcome' in event || !event.part.scored) return
    const { index, part } = event
    yield* this.#lists[index]!.addPrompt(this.#shown[index]!.ids, part.scored!, this.#served.model.tokenizer)
  }

  learn(event: AnswerEvent): void {
    if ('outcome' in event) return
    const { index, part } = event
    const { promptExperts, experts, logprobs = [] } = part
    const list = this.#lists[index]!
    this.#prompts[index]!.add(promptExperts)
    this.#routed[index]?.add(experts)
    for (const one of logprobs) list.add(one)
  }

  #choice(index: number, text: string, finish: string | null = null): string {
    const logprobs = this.#legacy ? (this.#lists[index]!.take() ?? null) : null
    const choice = { text, index, logprobs, finish_reason: finish, ...this.#routed[index]?.take() }
    return sse({ ...this.#header, choices: [choice], ...(this.#usage && { usage: null }) })
  }

  /** As vLLM has them: of one prompt, they stand beside the choices. */
  get #isOnePrompt(): boolean {
    return this.#shown.length === this.#n
  }

  #promptExperts(index: number): { readonly prompt_routed_experts: number[][][] } | undefined {
    const routed = this.#prompts[index]!.take()
    return routed && { prompt_routed_experts: routed.routed_experts }
  }

  #promptChunk(index: number): string {
    const experts = this.#promptExperts(index)
    const choice = { text: '', index, logprobs: null, finish_reason: null, ...(!this.#isOnePrompt && experts) }
    return sse({ ...this.#header, choices: [choice], ...(this.#isOnePrompt && experts), ...(this.#usage && { usage: null }) })
  }
}
