// What a step has computed, as the loop hands it on: choices, and the experts of each row, which listeners are told and
// uses are counted of. Owns the form of what runs a step, and which rows count: those of a draft do when its tokens
// came.

import type { FullRouting } from '../model/routes.js'
import type { Choice } from '../sampler/job.js'
import { doJob, type RowJob } from '../sampler/jobMemory.js'
import type { RoutedToken, RoutingListeners } from './routingListeners.js'
import type { Share } from './scheduler.js'
import type { Rows } from './stepRows.js'

export interface Runner {
  /** Returns which of the jobs it has done. Throws a MixtralError; `ABORTED` when the signal fires. */
  run(rows: Rows, signal: AbortSignal): Promise<readonly boolean[]>
  /** The logits of the i-th wanted row: (vocabulary). A view, valid until the next step. */
  logits(row: number): Float32Array
  /** The hidden state of a row of the step, if it was wanted: (hidden). A view, valid until the next step. */
  hidden(row: number): Float32Array
  /** What came of the i-th wanted row's job. */
  choice(row: number): Choice
  /** The experts of a row of the step. */
  routing(row: number): FullRouting
  /** The same as views, valid until the next step. */
  routingView(row: number): FullRouting
  /** Copies those of `count` rows of one request, from `row` on, to rows `place` and following of a table of tokens. */
  copyRouting(row: number, count: number, table: FullRouting, place: number): void
  /** Counts the experts of `count` rows of one request, from `row` on, as used. */
  countUses(row: number, count: number): void
}

export class StepResults {
  readonly rows: Rows
  readonly #runner: Runner
  readonly #listeners: RoutingListeners
  readonly #shares: readonly Share[]
  readonly #done: readonly boolean[]

  /** @param done of each wanted row, whether a thread has done its job */
  constructor(runner: Runner, listeners: RoutingListeners, shares: readonly Share[], rows: Rows, done: readonly boolean[]) {
    this.#runner = runner
    this.#listeners = listeners
    this.#shares = shares
    this.rows = rows
    this.#done = done
  }

  /** What comes of a job with the `row`-th wanted row: the choice of a thread, if that has done just this job. */
  choice(row: number, job: RowJob): Choice {
    const isDone = this.#done[row] && this.rows.jobs[row] === job
    return isDone ? this.#runner.choice(row) : doJob(this.#runner.logits(row), job)
  }

  /** Counts all rows but those of drafts, and tells listeners of them. */
  countOwn(): void {
    const own = this.rows.segments.map(({ rows }, i) => rows - this.#shares[i]!.draft.length)
    for (const [i, count] of own.entries()) this.#countUses(i, 0, count)
    const each = (tokens: number, i: number) => this.#routed(i, 0, tokens)
    this.#listeners.tell(function* () {
      for (const [i, count] of own.entries()) yield* each(count, i)
    })
  }

  /** The same for tokens `from` to `to` - 1 of the draft of the i-th share, which came. */
  countDraft(i: number, from: number, to: number): void {
    if (from >= to) return
    const first = this.rows.segments[i]!.rows - this.#shares[i]!.draft.length
    this.#countUses(i, first + from, first + to)
    this.#listeners.tell(() => this.#routed(i, first + from, first + to))
  }

  #countUses(i: number, from: number, to: number): void {
    this.#runner.countUses(this.rows.segments[i]!.firstRow + from, to - from)
  }

  /** Copies the experts of all rows of the i-th share to a table of its tokens. */
  copyRouting(i: number, table: FullRouting): void {
    const { firstRow, rows, position } = this.rows.segments[i]!
    this.#runner.copyRouting(firstRow, rows, table, position)
  }

  *#routed(i: number, from: number, to: number): Generator<RoutedToken> {
    const { firstRow, position } = this.rows.segments[i]!
    const request = this.#shares[i]!.request.number
    for (let k = from; k < to; k++) {
      const token = this.rows.tokens[firstRow + k]!
      yield { request, position: position + k, token, ...this.#runner.routing(firstRow + k) }
    }
  }
}
