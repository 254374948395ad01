// An answer that is there already, checked in one pass: the rows of prompt and answer run together, and a generation
// draws each token again, as it would if it wrote it. Owns the comparison. What is drawn and what it does to the text
// is the generation's.

import { MixtralError } from '../../base/errors.js'
import type { Failure, Task } from '../../runtime/engine/request.js'
import type { FullRouting } from '../../runtime/model/routes.js'
import { type Choice, noValues } from '../../runtime/sampler/job.js'
import { doJob, type RowJob } from '../../runtime/sampler/jobMemory.js'
import type { Generation } from './generation.js'

/**
 * The generation is that of the answer, before its first token. The task ends with `OPTION` at the first token that is
 * another one.
 */
export class ExpectedAnswer implements Task {
  /** The prompt and the answer. */
  readonly ids: readonly number[]
  readonly from: number
  readonly everyRow = true
  readonly salt: string
  readonly expertsPerToken?: number
  readonly adapters?: readonly number[]
  readonly routed?: (routing: FullRouting, place: number) => void
  readonly job?: (place: number) => RowJob
  readonly take?: (choice: Choice, place: number) => readonly number[]
  readonly #generation: Generation
  /** The jobs that have been made and not been done. A step that fails asks for them again. */
  readonly #jobs = new Map<number, RowJob>()
  /** The place of the next job. */
  #ahead: number
  readonly #promptTokens: number
  /** The place whose row foretells the next token that is drawn. Forced tokens have rows that nobody asks for. */
  #next: number

  /**
   * @param ahead a second generation of the same answer, which makes the jobs: it takes the tokens as they are. Without
   * it, jobs depend on each other, and rows are read one by one.
   */
  constructor(generation: Generation, ahead: Generation | undefined, prompt: readonly number[], expected: readonly number[]) {
    this.#generation = generation
    this.#promptTokens = prompt.length
    this.ids = [...prompt, ...expected]
    this.salt = generation.salt
    if (generation.expertsPerToken !== undefined) this.expertsPerToken = generation.expertsPerToken
    if (generation.adapters !== undefined) this.adapters = generation.adapters
    if (generation.routed) {
      this.routed = (routing, place) => {
        if (place === this.#next) generation.routed!(routing)
      }
    }
    this.from = Math.min(generation.from, this.ids.length - 1)
    this.#next = generation.from
    this.#ahead = generation.from
    if (ahead) {
      this.job = (place) => this.#job(place, ahead)
      this.take = (choice, place) => {
        this.#jobs.delete(place)
        this.#accept(choice, place)
        return []
      }
    }
    this.#compare(generation.ids.slice(prompt.length), prompt.length)
  }

  ready(): boolean {
    return this.#generation.ready()
  }

  started(reused: number): void {
    this.#generation.started(reused)
  }

  read(logits: Float32Array, place: number): void {
    if (place === this.#next) this.#accept(doJob(logits, this.#generation.job(place)), place)
  }

  /** The job of a place. Where nobody asks for a token, one that does nothing. */
  #job(place: number, ahead: Generation): RowJob {
    const known = this.#jobs.get(place)
    if (known) return known
    const id = this.ids[place + 1]
    let job: RowJob = { score: id ?? 0, top: 0 }
    if (place === this.#ahead && !ahead.isOver) {
      job = ahead.job(place)
      if (id !== undefined) this.#goAhead(ahead, id, place)
    }
    this.#jobs.set(place, job)
    return job
  }

  #goAhead(ahead: Generation, id: number, place: number): void {
    try {
      const more = ahead.take({ id, state: new Float64Array(2), logprob: 0, top: noValues }, place)
      this.#ahead = ahead.everyRow ? place + 1 : place + more.length
    } catch {
      this.#ahead = Number.POSITIVE_INFINITY // a token that may not stand there, as its own row will tell
    }
  }

  #accept(choice: Choice, place: number): void {
    if (place !== this.#next) return
    const generation = this.#generation
    const more = generation.take(choice, place)
    this.#next = generation.everyRow ? place + 1 : place + more.length
    if (!generation.isOver) {
      this.#compare(more, place + 1)
      return
    }
    this.#next = Number.POSITIVE_INFINITY
    const { ids } = generation.partial
    this.#compare(ids, this.#promptTokens)
    const left = this.ids.length - this.#promptTokens - ids.length
    if (left > 0) throw new MixtralError('OPTION', `the answer has ${left} tokens behind its end, which is after ${ids.length} tokens`)
  }

  ended(...failure: Failure): void {
    this.#generation.ended(...failure)
  }

  /** Throws where tokens from a place on are not those of the answer. */
  #compare(tokens: readonly number[], start: number): void {
    const wrong = tokens.findIndex((id, i) => id !== this.ids[start + i])
    if (wrong < 0) return
    const place = start + wrong
    const found = this.ids[place] === undefined ? 'none' : `${this.ids[place]}`
    throw new MixtralError('OPTION', `token ${place - this.#promptTokens + 1} of the answer is ${found}, expected ${tokens[wrong]}`)
  }
}
