// What a server counts, in the text format of Prometheus: our names, and llama-server's for the dashboards that know
// them; and the loads of a server of many models. Written by hand, since the format is a few lines. No label comes from
// a request.

import type { EngineStatus } from '../../../runtime/engine/status.js'
import type { CatalogHost } from '../models/catalogHost.js'
import type { Outcome } from '../streams/answerRuns.js'

/** Upper ends of buckets, in seconds: CPUs take from milliseconds to many minutes. */
const BUCKETS = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800] as const

class Histogram {
  readonly #counts = BUCKETS.map(() => 0)
  #count = 0
  #sum = 0

  observe(value: number): void {
    this.#count++
    this.#sum += value
    for (const [i, most] of BUCKETS.entries()) if (value <= most) this.#counts[i]!++
  }

  text(name: string, help: string): string {
    const buckets = BUCKETS.map((most, i) => `${name}_bucket{le="${most}"} ${this.#counts[i]}\n`).join('')
    const all = `${name}_bucket{le="+Inf"} ${this.#count}\n${name}_sum ${this.#sum}\n${name}_count ${this.#count}\n`
    return `# HELP ${name} ${help}\n# TYPE ${name} histogram\n${buckets}${all}`
  }
}

export class Metrics {
  readonly #requests = new Map<string, number>()
  readonly #finished = new Map<string, number>(
    ['stop', 'length', 'context', 'tool_calls', 'aborted', 'timeout'].map((reason) => [reason, 0]),
  )
  readonly #firstToken = new Histogram()
  readonly #duration = new Histogram()
  #promptTokens = 0
  #cachedTokens = 0
  #promptSeconds = 0
  #generatedTokens = 0
  #draftedTokens = 0
  #acceptedTokens = 0
  #generatingSeconds = 0
  #longest = 0

  /** A request is over. `route` is one of the server's own. */
  request(route: string, status: number, seconds: number): void {
    const labels = `route="${route}",status="${status}"`
    this.#requests.set(labels, (this.#requests.get(labels) ?? 0) + 1)
    this.#duration.observe(seconds)
  }

  firstToken(seconds: number): void {
    this.#firstToken.observe(seconds)
  }

  answered({ promptTokens, reusedTokens, prefillSeconds, ids, decodeSeconds, finishReason, vector, ...drafts }: Outcome): void {
    this.#promptTokens += promptTokens - reusedTokens
    this.#cachedTokens += reusedTokens
    this.#promptSeconds += prefillSeconds
    this.#generatedTokens += ids.length
    this.#draftedTokens += drafts.draftedTokens
    this.#acceptedTokens += drafts.acceptedTokens
    this.#generatingSeconds += decodeSeconds
    this.#longest = Math.max(this.#longest, promptTokens + ids.length)
    if (!vector) this.#finished.set(finishReason, this.#finished.get(finishReason)! + 1)
  }

  /** Answers that nobody waited for to the end, and the tokens that they had. */
  aborted(reason: 'aborted' | 'timeout', answers: number, tokens: number): void {
    this.#generatedTokens += tokens
    this.#finished.set(reason, this.#finished.get(reason)! + answers)
  }

  /** All of it. `inside` is the number of requests that run or wait. */
  text({ running, waiting, suspended, kvTokens, kvFree, prefixTokens, steps, rowsPerStep }: EngineStatus, inside: number): string {
    const [computed, cached, generated] = [this.#promptTokens, this.#cachedTokens, this.#generatedTokens]
    const rows: [name: string, type: 'counter' | 'gauge', help: string, values: number | ReadonlyMap<string, number>][] = [
      ['mixtral_requests_total', 'counter', 'Requests that are over.', this.#requests],
      ['mixtral_answers_total', 'counter', 'Answers, by how they ended.', reasons(this.#finished)],
      ['mixtral_prompt_tokens_total', 'counter', 'Tokens of prompts that were computed.', computed],
      ['mixtral_cached_tokens_total', 'counter', 'Tokens of prompts that were in the KV cache.', cached],
      ['mixtral_generated_tokens_total', 'counter', 'Tokens written.', generated],
      ['mixtral_drafted_tokens_total', 'counter', 'Tokens of answers that ran as drafts.', this.#draftedTokens],
      ['mixtral_accepted_tokens_total', 'counter', 'Of these, tokens that came.', this.#acceptedTokens],
      ['mixtral_prompt_seconds_total', 'counter', 'Seconds from the start of answers to their first tokens.', this.#promptSeconds],
      ['mixtral_generating_seconds_total', 'counter', 'Seconds from first tokens to the end of answers.', this.#generatingSeconds],
      ['mixtral_steps_total', 'counter', 'Steps of the engine.', steps],
      ['mixtral_requests_inside', 'gauge', 'Requests that run or wait.', inside],
      ['mixtral_sequences_running', 'gauge', 'Sequences that have a part of the KV cache.', running],
      ['mixtral_sequences_waiting', 'gauge', 'Sequences that have not begun.', waiting],
      ['mixtral_sequences_suspended', 'gauge', 'Sequences that gave their part of the KV cache to others.', suspended],
      ['mixtral_step_rows', 'gauge', 'Rows of the last step.', rowsPerStep],
      ['mixtral_kv_tokens', 'gauge', 'Positions of the KV cache.', kvTokens],
      ['mixtral_kv_free_tokens', 'gauge', 'Positions that a request can have.', kvFree],
      ['mixtral_prefix_tokens', 'gauge', 'Tokens in the prefix cache.', prefixTokens],
      ['mixtral_kv_usage_ratio', 'gauge', 'Part of the KV cache that sequences have.', kvTokens === 0 ? 0 : 1 - kvFree / kvTokens],
      ['llamacpp:prompt_tokens_total', 'counter', 'Number of prompt tokens processed.', computed],
      ['llamacpp:prompt_tokens_cache_total', 'counter', 'Number of prompt tokens reused.', cached],
      ['llamacpp:prompt_seconds_total', 'counter', 'Prompt process time.', this.#promptSeconds],
      ['llamacpp:tokens_predicted_total', 'counter', 'Number of generation tokens processed.', generated],
      ['llamacpp:tokens_predicted_seconds_total', 'counter', 'Predict process time.', this.#generatingSeconds],
      ['llamacpp:n_decode_total', 'counter', 'Total number of steps.', steps],
      ['llamacpp:n_tokens_max', 'counter', 'Largest observed number of tokens of a sequence.', this.#longest],
      ['llamacpp:prompt_tokens_seconds', 'gauge', 'Average prompt tokens per second since the start.', rate(computed, this.#promptSeconds)],
      [
        'llamacpp:predicted_tokens_seconds',
        'gauge',
        'Average tokens per second since the start.',
        rate(generated, this.#generatingSeconds),
      ],
      ['llamacpp:requests_processing', 'gauge', 'Number of sequences processing.', running],
      ['llamacpp:requests_deferred', 'gauge', 'Number of sequences deferred.', waiting + suspended],
    ]
    return [
      ...rows.map(([name, type, help, values]) => `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${samples(name, values)}`),
      this.#firstToken.text('mixtral_first_token_seconds', 'Seconds from a request to its first token.'),
      this.#duration.text('mixtral_request_seconds', 'Seconds from a request to the end of its answer.'),
    ].join('')
  }
}

function samples(name: string, values: number | ReadonlyMap<string, number>): string {
  if (typeof values === 'number') return `${name} ${values}\n`
  return [...values].map(([labels, value]) => `${name}{${labels}} ${value}\n`).join('')
}

function reasons(finished: ReadonlyMap<string, number>): ReadonlyMap<string, number> {
  return new Map([...finished].map(([reason, count]) => [`reason="${reason}"`, count]))
}

function rate(tokens: number, seconds: number): number {
  return seconds > 0 ? tokens / seconds : 0
}

/** What a server of many models counts of their loads. */
export function modelMetrics(catalog: CatalogHost): string {
  const loaded = catalog.loaded()
  const bytes = loaded.reduce((sum, { served }) => sum + served.model.memory.totalBytes, 0)
  return [
    '# HELP mixtral_model_loads_total Loads of models, by how they ended.',
    '# TYPE mixtral_model_loads_total counter',
    `mixtral_model_loads_total{outcome="loaded"} ${catalog.loads.loaded}`,
    `mixtral_model_loads_total{outcome="failed"} ${catalog.loads.failed}`,
    '# HELP mixtral_models_loaded Models in memory.',
    '# TYPE mixtral_models_loaded gauge',
    `mixtral_models_loaded ${loaded.length}`,
    '# HELP mixtral_models_bytes Bytes of memory that they take.',
    '# TYPE mixtral_models_bytes gauge',
    `mixtral_models_bytes ${bytes}`,
    '',
  ].join('\n')
}
