// What llama-server's own completion is on the wire: an object for each piece, and one for the end that has everything.
// There is no [DONE].

import { stepNamed, steps } from '../../../runtime/sampler/steps.js'
import type { GenerationOptions } from '../../../text/generate/generationOptions.js'
import { generationTable } from '../../../text/generate/generationTable.js'
import type { DrawnLogprob, TokenLogprob } from '../../../text/generate/tokenLogprobs.js'
import { type ApiError, llamaError } from '../apiError.js'
import { PING, sse } from '../openai/wire.js'
import type { ServedModel } from '../servedModel.js'
import type { AnswerEvent, Outcome, Part } from '../streams/answerRuns.js'
import type { Wire } from '../streams/respond.js'

/** Stands for minus infinity: the lowest float32. */
const LOWEST = -3.4028234663852886e38

export interface NativeForm {
  /** The tokens of each. */
  readonly prompts: readonly (readonly number[])[]
  readonly options: GenerationOptions & { readonly n_predict: number }
  readonly streams: boolean
  /** Whether probabilities are told, and not their logarithms. */
  readonly postSampling: boolean
  readonly returnsTokens: boolean
  /** The only fields of the answer that are wanted. */
  readonly fields: readonly string[] | undefined
  readonly wireNames: ReadonlyMap<string, string>
}

export class NativeWire implements Wire {
  readonly contentType = 'text/event-stream'
  readonly begin = '' // some clients take a comment for the first event
  readonly ping = PING
  readonly wireNames: ReadonlyMap<string, string>
  readonly #served: ServedModel
  readonly #form: NativeForm
  /** Of each answer, what is not out yet: tokens whose text is held back. */
  readonly #held: { tokens: number[]; logprobs: DrawnLogprob[]; predicted: number }[]

  constructor(served: ServedModel, form: NativeForm) {
    this.#served = served
    this.#form = form
    this.wireNames = form.wireNames
    this.#held = form.prompts.map(() => ({ tokens: [], logprobs: [], predicted: 0 }))
  }

  event(event: AnswerEvent): string {
    const { index } = event
    if ('outcome' in event) return sse(this.#last(index, event.outcome, this.#take(index)))
    return this.#part(index, event.part)
  }

  end(): string {
    return ''
  }

  error = (error: ApiError) => sse(llamaError(error))

  errorBody = llamaError

  whole(outcomes: readonly Outcome[]): object {
    const answers = outcomes.map((outcome, index) => {
      const { ids, logprobs = [] } = outcome
      return this.#last(index, outcome, { content: outcome.text, tokens: this.#form.returnsTokens ? ids : [], logprobs })
    })
    return answers.length === 1 ? answers[0]! : answers
  }

  #part(index: number, { text, ids, logprobs = [], progress }: Part): string {
    const held = this.#held[index]!
    held.tokens.push(...ids)
    held.logprobs.push(...logprobs)
    held.predicted += ids.length
    if (text === '' && !progress) return ''
    const taken = progress ? { tokens: [], logprobs: [] } : this.#take(index)
    return sse({
      index,
      content: text,
      tokens: taken.tokens,
      stop: false,
      id_slot: -1,
      tokens_predicted: held.predicted,
      tokens_evaluated: this.#form.prompts[index]!.length,
      ...this.#probabilities(taken.logprobs),
      ...(progress && { prompt_progress: progress }),
    })
  }

  /** What has come since the last event. */
  #take(index: number) {
    const held = this.#held[index]!
    return { content: '', tokens: held.tokens.splice(0), logprobs: held.logprobs.splice(0) }
  }

  #last(index: number, outcome: Outcome, { content, tokens, logprobs }: { content: string } & LastPart): object {
    const { ids, promptTokens, finishReason, stopText } = outcome
    const prompt = this.#form.prompts[index]!
    const answer = {
      index,
      content,
      tokens,
      id_slot: -1,
      stop: true,
      model: this.#served.name,
      tokens_predicted: ids.length,
      tokens_evaluated: promptTokens,
      generation_settings: this.#settings(outcome),
      prompt: this.#served.model.tokenizer.decode(prompt, { special: true }),
      has_new_line: outcome.text.includes('\n'),
      truncated: finishReason === 'context',
      stop_type: finishReason !== 'stop' ? 'limit' : stopText === undefined ? 'eos' : 'word',
      stopping_word: stopText ?? '',
      tokens_cached: promptTokens + ids.length,
      timings: timingsOf(outcome),
      ...this.#probabilities(logprobs),
    }
    return this.#form.fields ? picked(answer, this.#form.fields) : answer
  }

  #probabilities(logprobs: readonly DrawnLogprob[]): object {
    if (!this.#form.options.logprobs || logprobs.length === 0) return {}
    const entry = ({ id, token, bytes, logprob }: TokenLogprob) => ({
      id,
      token,
      bytes,
      ...(this.#form.postSampling ? { prob: Math.exp(logprob) } : { logprob: Math.max(logprob, LOWEST) }),
    })
    const name = this.#form.postSampling ? 'top_probs' : 'top_logprobs'
    return { completion_probabilities: logprobs.map(({ top, ...drawn }) => ({ ...entry(drawn), [name]: top.map(entry) })) }
  }

  /** All options by llama-server's names. */
  #settings({ seed }: Outcome): object {
    const { options, streams } = this.#form
    const settings = Object.entries(generationTable).flatMap(([own, { llama, default: value }]) => {
      const set = options[own as keyof GenerationOptions] ?? value
      return llama === undefined || set === undefined ? [] : [[llama, own === 'samplers' ? stepsOf(set) : set]]
    })
    const { n_predict } = options
    return { ...Object.fromEntries(settings), n_predict, seed, stream: streams, n_ctx: this.#served.model.contextLength }
  }
}

/** Steps by llama-server's names. */
function stepsOf(names: unknown): unknown {
  const nameOf = (name: unknown) => {
    const [own, llama] = steps[stepNamed(name)]!.names
    return llama?.includes('_') ? llama : own
  }
  return (names as unknown[]).map(nameOf)
}

interface LastPart {
  readonly tokens: readonly number[]
  readonly logprobs: readonly DrawnLogprob[]
}

function timingsOf({ promptTokens, reusedTokens, prefillSeconds, ids, decodeSeconds, ...drafts }: Outcome): object {
  const computed = promptTokens - reusedTokens
  const [promptMs, predictedMs] = [prefillSeconds * 1000, decodeSeconds * 1000]
  return {
    cache_n: reusedTokens,
    prompt_n: computed,
    prompt_ms: promptMs,
    prompt_per_token_ms: ratio(promptMs, computed),
    prompt_per_second: ratio(computed, prefillSeconds),
    predicted_n: ids.length,
    predicted_ms: predictedMs,
    predicted_per_token_ms: ratio(predictedMs, ids.length),
    predicted_per_second: ratio(ids.length, decodeSeconds),
    ...(drafts.draftedTokens > 0 && { draft_n: drafts.draftedTokens, draft_n_accepted: drafts.acceptedTokens }),
  }
}

const ratio = (a: number, b: number) => (b > 0 ? a / b : 0)

/** The named fields of an answer, those inside of others by their paths. */
function picked(answer: object, fields: readonly string[]): object {
  const found = fields.flatMap((path) => {
    let value: unknown = answer
    for (const name of path.split('/')) {
      const isOwn = typeof value === 'object' && value !== null && Object.hasOwn(value, name)
      value = isOwn ? (value as Record<string, unknown>)[name] : undefined
    }
    return value === undefined ? [] : [[path, value] as const]
  })
  return Object.fromEntries(found)
}
