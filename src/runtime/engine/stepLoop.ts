// Runs step after step while there is something to do, and calls each request between two steps. Owns promises, the
// clock, aborts, and what happens after a failure: one request's trouble ends that request alone. Which rows a step has
// is the scheduler's; how it is computed, the runner's.

import { setImmediate } from 'node:timers'
import { abortedError, closedError, MixtralError } from '../../base/errors.js'
import { onRejection, warn } from '../../base/onAbort.js'
import { TimeSlice } from '../../base/timeSlice.js'
import type { FullRouting } from '../model/routes.js'
import type { Choice } from '../sampler/job.js'
import { doJob, HIDDEN, type RowJob } from '../sampler/jobMemory.js'
import { holdOf, onSignal } from './hold.js'
import { type Failure, Request, type Task } from './request.js'
import type { Scheduler, Share } from './scheduler.js'
import type { LoopFigures } from './status.js'
import type { StepCost } from './stepCost.js'
import { type Rows, rowsOf, wantedPlaces } from './stepRows.js'

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
  /** The same: as views, valid until the next step; copied to row `place` of a table of tokens. */
  routingView(row: number): FullRouting
  copyRouting(row: number, table: FullRouting, place: number): void
}

/** The experts of one token of a request, and the routers' logits. */
export interface RoutedToken extends FullRouting {
  /** The number of the request, counted from 0 in the life of the model. */
  readonly request: number
  /** The token's place in its sequence. */
  readonly position: number
  readonly token: number
}

/** A request from its caller's side. */
export interface Handle {
  /** Ends it, with an error or without. Nothing happens if it has ended. */
  end(...failure: Failure): void
  /** It can take more: what `ready` says has changed. */
  wake(): void
}

export class StepLoop {
  readonly #scheduler: Scheduler
  readonly #cost: StepCost
  readonly #runner: Runner
  readonly #listeners = new Set<(routed: RoutedToken) => unknown>()
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

  constructor(scheduler: Scheduler, cost: StepCost, runner: Runner) {
    this.#scheduler = scheduler
    this.#cost = cost
    this.#runner = runner
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
    return { steps: this.#steps, rowsPerStep: this.#rowsPerStep, stepMs: this.#cost.stepMs }
  }

  onRouting(listener: (routed: RoutedToken) => void): () => void {
    const own = (routed: RoutedToken) => listener(routed) // one function may listen twice
    this.#listeners.add(own)
    return () => {
      this.#listeners.delete(own)
    }
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
        if (shares.length) await this.#runStep(shares)
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

  /** After a step that failed, each request's rows run by themselves, once. One that fails alone gets the error. */
  async #runStep(shares: readonly Share[]): Promise<void> {
    const started = performance.now()
    const ran = await this.#runShares(shares).catch((error: Error) => {
      if (shares.length === 1) this.#fail(shares[0]!, error)
      return shares.length > 1 ? undefined : 0
    })
    if (ran) this.#cost.add(ran, performance.now() - started)
    if (ran !== undefined) return
    for (const share of shares) {
      if (share.request.over) this.#scheduler.failed(share)
      else await this.#runShares([share]).catch((error: Error) => this.#fail(share, error))
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
      for (const place of places[i]!) jobs.push(task.hidden ? HIDDEN : this.#call(request, () => task.job?.(place)))
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
    this.#tellRouting(shares, rows)
    const choiceOf = (row: number) => (done[row] ? this.#runner.choice(row) : doJob(this.#runner.logits(row), rows.jobs[row] as RowJob))
    let row = 0
    slice = new TimeSlice()
    for (const [i, { request }] of shares.entries()) {
      this.#deliver(request, places[i]!, row, rows, choiceOf)
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

  /** Hands a request the rows of logits that it wants, from the `row`-th wanted row of the step on. */
  #deliver(request: Request, places: readonly number[], row: number, { wanted }: Rows, choiceOf: (row: number) => Choice): void {
    const { task } = request
    this.#call(request, () => {
      if (request.ids.length === task.ids.length) this.#tellProgress(request)
      for (const [i, place] of places.entries()) {
        if (request.over) return
        request.next = place + 1
        if (task.routed) task.routed(this.#runner.routingView(wanted[row + i]!), place)
        if (task.routingTable) this.#runner.copyRouting(wanted[row + i]!, task.routingTable, place)
        if (typeof task.hidden === 'function') task.hidden(this.#runner.hidden(wanted[row + i]!), place)
        if (task.hidden) continue
        if (!task.job) task.read?.(this.#runner.logits(row + i), place)
        else {
          const more = task.take!(choiceOf(row + i), place)
          request.ids.push(...more)
          if (more.length > 1 && !task.everyRow) request.next = request.ids.length - 1
        }
      }
      if (request.next === request.ids.length) this.#end(request)
    })
  }

  /** Calls the listeners with the experts of all rows. A listener that throws or rejects is not called again. */
  #tellRouting(shares: readonly Share[], { segments, tokens }: Rows): void {
    for (const listener of [...this.#listeners]) {
      const fail = (error: unknown) => {
        if (this.#listeners.delete(listener)) warn(error, 'a routing listener')
      }
      try {
        for (const [i, { firstRow, rows, position }] of segments.entries()) {
          const request = shares[i]!.request.number
          for (let k = 0; k < rows; k++) {
            const row = firstRow + k
            onRejection(listener({ request, position: position + k, token: tokens[row]!, ...this.#runner.routing(row) }), fail)
          }
        }
      } catch (error) {
        fail(error)
      }
    }
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
