// Runs step after step while there is something to do, and calls each request between two steps. Owns promises, the
// clock, aborts, and what happens after a failure: one request's trouble ends that request alone. Which rows a step has
// is the scheduler's; how it is computed, the runner's.

import { setImmediate } from 'node:timers'
import { abortedError, closedError, MixtralError } from '../../base/errors.js'
import { onRejection, warn } from '../../base/onAbort.js'
import { TimeSlice } from '../../base/timeSlice.js'
import { HIDDEN, type RowJob } from '../sampler/jobMemory.js'
import { Drafting, jobsAhead, plain } from './drafting.js'
import { holdOf, onSignal } from './hold.js'
import { type Failure, Request, type Task } from './request.js'
import { type RoutedToken, RoutingListeners } from './routingListeners.js'
import type { Scheduler, Share } from './scheduler.js'
import type { LoopFigures } from './status.js'
import type { StepCost } from './stepCost.js'
import { type Runner, StepResults } from './stepResults.js'
import { rowsOf, wantedPlaces } from './stepRows.js'

/** A request from its caller's side. */
export interface Handle {
  /** Ends it, with an error or without. Nothing happens if it has ended. */
  end(...failure: Failure): void
  /** It can take more: what `ready` says has changed. */
  wake(): void
}

/** Where a share's rows are in the results of its step: the places of their tokens, and the first wanted row. */
interface Delivery {
  readonly places: readonly number[]
  readonly row: number
  readonly results: StepResults
  /** The number of the share. */
  readonly index: number
}

export class StepLoop {
  readonly #scheduler: Scheduler
  readonly #cost: StepCost
  readonly #runner: Runner
  readonly #drafting: Drafting
  readonly #listeners = new RoutingListeners()
  #requests = 0
  #steps = 0
  #rowsPerStep = 0
  #closed = false
  #paused = false
  /** Set while steps run; resolves when there is nothing to do, or when the loop was paused. */
  #driving: Promise<void> | undefined
  #woken = false
  /** The requests of the step that runs, and what ends it early. */
  #step: { readonly shares: readonly Share[]; readonly cancel: AbortController } | undefined

  /** @param drafts whether drafts run wherever there is one, or never. Default: where they pay. */
  constructor(scheduler: Scheduler, cost: StepCost, runner: Runner, drafts?: boolean) {
    this.#scheduler = scheduler
    this.#cost = cost
    this.#runner = runner
    this.#drafting = new Drafting(scheduler, cost, drafts)
  }

  /** Adds a request. Its task is never called before this returns, except by an abort or a close that was earlier. */
  submit(task: Task, signal?: AbortSignal): Handle {
    const request = new Request(task, this.#requests++, this.#scheduler.limits)
    const handle = { end: (...failure: Failure) => this.#end(request, ...failure), wake: () => this.wake() }
    if (this.#closed || signal?.aborted) {
      handle.end(this.#closed ? closedError() : abortedError(signal))
      return handle
    }
    request.hold = holdOf(signal)
    request.forget = onSignal(signal, () => handle.end(abortedError(signal)), handle.wake)
    this.#scheduler.add(request)
    this.wake()
    return handle
  }

  get figures(): LoopFigures {
    const { drafted, accepted } = this.#drafting
    const drafts = { draftedTokens: drafted, acceptedTokens: accepted }
    return { steps: this.#steps, rowsPerStep: this.#rowsPerStep, stepMs: this.#cost.stepMs, ...drafts }
  }

  onRouting(listener: (routed: RoutedToken) => void): () => void {
    return this.#listeners.add(listener)
  }

  /** Whether there is a request that a step could run. */
  get hasWork(): boolean {
    return this.#scheduler.requests.some(({ over, ready }) => !over && ready)
  }

  /** Waits for the end of the step that runs; no other begins before `resume`. */
  async pause(): Promise<void> {
    this.#paused = true
    await this.#driving
  }

  resume(): void {
    this.#paused = false
    this.wake()
  }

  /** Ends all requests with `CLOSED`, and refuses those to come. */
  close(): void {
    this.#closed = true
    for (const request of this.#scheduler.requests) this.#end(request, closedError())
  }

  /** Starts the loop if it stands still: in a moment, so that what is submitted together begins together. */
  wake(): void {
    if (this.#woken || this.#driving || this.#paused || this.#closed) return
    this.#woken = true
    setImmediate(() => {
      this.#woken = false
      if (this.#driving || this.#paused || this.#closed) return
      this.#driving = this.#drive()
    })
  }

  async #drive(): Promise<void> {
    await undefined // `#driving` is set before this ends, also where there is nothing to do
    try {
      while (!this.#paused && !this.#closed) {
        const shares = this.#scheduler.plan((decoding) => this.#cost.promptRows(decoding))
        if (shares.length) await this.#runStep(this.#drafting.extend(shares))
        else if (!this.#endStuck()) break
      }
    } catch (error) {
      for (const request of this.#scheduler.requests) this.#end(request, error as Error) // a fault of ours: nobody waits
    } finally {
      this.#driving = undefined
    }
  }

  /** Nobody waits for ever: ends a request that no step will ever run. Whether there was one. */
  #endStuck(): boolean {
    const { stuck } = this.#scheduler
    if (stuck) this.#end(stuck, new MixtralError('MEMORY', `no step runs the ${stuck.ids.length} tokens of this call, expected one`))
    return stuck !== undefined
  }

  /**
   * After a step that failed, each request's rows run by themselves, once, and without a draft. One that fails alone
   * gets the error.
   */
  async #runStep(shares: readonly Share[]): Promise<void> {
    const started = performance.now()
    const decodes = shares.every(({ request, rows, draft }) => rows - draft.length === 1 && request.remaining === 1)
    const isAlone = shares.length === 1 && shares[0]!.draft.length === 0
    const ran = await this.#runShares(shares).catch((error: Error) => {
      if (isAlone) this.#fail(shares[0]!, error)
      return isAlone ? 0 : undefined
    })
    if (ran) this.#cost.add(ran, performance.now() - started, decodes)
    if (ran !== undefined) return
    this.#drafting.failed(shares)
    for (const share of shares) {
      if (share.request.over) this.#scheduler.failed(share)
      else await this.#runShares([plain(share)]).catch((error: Error) => this.#fail(share, error))
    }
  }

  #fail(share: Share, error: Error): void {
    this.#scheduler.failed(share)
    this.#end(share.request, error)
  }

  /**
   * Runs a step, and gives each request what it wants. Returns how many rows have been run. Throws only while nothing
   * of the step counts: what comes after it throws nothing.
   */
  async #runShares(shares: readonly Share[]): Promise<number> {
    const step = { shares, cancel: new AbortController() }
    for (const { request, sequence } of shares) this.#begin(request, sequence.ids.length)
    const places = shares.map(wantedPlaces)
    const jobs: (RowJob | typeof HIDDEN | undefined)[] = []
    let slice = new TimeSlice()
    for (const [i, { request }] of shares.entries()) {
      const { task } = request
      const { draft } = shares[i]!
      const own = places[i]!.slice(0, places[i]!.length - draft.length)
      for (const place of own) jobs.push(task.hidden ? HIDDEN : this.#call(request, () => task.job?.(place)))
      const ahead = jobsAhead(shares[i]!)
      for (let k = 0; k < draft.length; k++) jobs.push(ahead[k])
      if (slice.isOver) await slice.pause()
    }
    const rows = { ...rowsOf(shares), jobs }
    if (shares.every(({ request }) => request.over)) {
      for (const share of shares) this.#scheduler.failed(share)
      return 0
    }
    let done: readonly boolean[] = []
    this.#step = step
    try {
      done = await this.#runner.run(rows, step.cancel.signal)
    } finally {
      this.#step = undefined
    }
    this.#steps++
    this.#rowsPerStep = rows.tokens.length
    for (const share of shares) this.#scheduler.ran(share)
    const results = new StepResults(this.#runner, this.#listeners, shares, rows, done)
    results.countOwn()
    let row = 0
    slice = new TimeSlice()
    for (const [i, share] of shares.entries()) {
      const accepted = this.#deliver(share, { places: places[i]!, row, results, index: i })
      if (share.draft.length > 0) this.#drafting.ran(share, accepted)
      row += places[i]!.length
      if (slice.isOver) await slice.pause()
    }
    return rows.tokens.length
  }

  /** Tells a request that it begins, before its first step. */
  #begin(request: Request, reused: number): void {
    if (request.over || request.reused !== undefined) return
    request.reused = reused
    this.#call(request, () => request.task.started?.(reused))
  }

  /**
   * Hands a request the rows of logits that it wants, from the `row`-th wanted row of the step on; those of its draft
   * as long as its tokens come. Returns how many of them came.
   */
  #deliver({ request, draft }: Share, { places, row, results, index }: Delivery): number {
    const { task } = request
    const { wanted, jobs } = results.rows
    const first = request.ids.length // the place of the draft's first token
    let accepted = 0
    let counted = 0
    this.#call(request, () => {
      if (first === task.ids.length) this.#tellProgress(request)
      if (task.routingTable) {
        results.copyRouting(index, task.routingTable)
        request.next = Math.max(request.next, request.done)
      }
      for (const [i, place] of places.entries()) {
        if (request.over || place >= first + accepted) break
        if (place < request.next) continue // the token behind it is not drawn
        results.countDraft(index, counted, place - first + 1)
        counted = Math.max(counted, place - first + 1)
        if (request.over) break // a listener has ended it
        request.next = place + 1
        if (task.routed) task.routed(this.#runner.routingView(wanted[row + i]!), place)
        if (task.hidden) task.hidden(this.#runner.hidden(wanted[row + i]!), place)
        else if (!task.job) task.read?.(this.#runner.logits(row + i), place)
        else {
          const job = place < first ? (jobs[row + i] as RowJob) : task.job(place)
          const more = task.take!(results.choice(row + i, job), place)
          request.ids.push(...more)
          while (accepted < draft.length && request.ids[first + accepted] === draft[accepted]) accepted++
          if (more.length > 1 && !task.everyRow) request.next = request.ids.length - 1
        }
      }
      if (request.over) return
      if (draft.length > 0) task.drafted?.(draft.length, accepted)
      if (request.next === request.ids.length) this.#end(request)
    })
    results.countDraft(index, counted, accepted)
    return accepted
  }

  /** Calls what belongs to a request: what it throws ends the request. */
  #call<T>(request: Request, what: () => T): T | undefined {
    if (request.over) return undefined
    try {
      return what()
    } catch (error) {
      this.#end(request, error)
      return undefined
    }
  }

  /** Tells progress. Where the function is asynchronous, its error ends the request as one that it throws. */
  #tellProgress(request: Request): void {
    const told = request.task.progress?.(request.done, request.ids.length)
    onRejection(told, (error) => (request.over ? warn(error, 'a function for progress') : this.#end(request, error)))
  }

  #end(request: Request, ...failure: Failure): void {
    if (request.over) return
    request.over = true
    request.forget?.()
    const step = this.#step
    if (step?.shares.every((share) => share.request.over)) step.cancel.abort()
    this.wake() // its pages are given back between two steps
    request.task.ended(...failure)
  }
}
