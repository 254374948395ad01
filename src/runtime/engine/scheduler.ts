// What the next step does: which requests take part, and with how many rows. Owns the requests that wait, run or were
// suspended, and the KV cache that they share. Pure: it knows no clock, no promise and no thread.

import type { PageCopy } from '../model/step.js'
import { PAGE_POSITIONS } from '../weights/pages.js'
import { commonPrefix, KvCache, type Sequence } from './kvCache.js'
import { PromptTurns } from './promptTurns.js'
import type { Request, RequestDefaults } from './request.js'

export interface SchedulerLimits extends RequestDefaults {
  /** Most requests of a step. */
  readonly sequences: number
  /** Most rows of a step. */
  readonly batchSize: number
  /** Positions of the KV cache. */
  readonly kvTokens: number
  /** Most pairs of a row and one of its experts in a step: at least all experts of `sequences` rows. */
  readonly pairs: number
}

/** A request's part in a step: its next `rows` tokens. */
export interface Share {
  readonly request: Request
  readonly sequence: Sequence
  /** Those of the draft, too. */
  readonly rows: number
  /** Tokens that may come behind all that the request has: the last rows. */
  readonly draft: readonly number[]
  /** Pages to copy before. */
  readonly copies: readonly PageCopy[]
}

/**
 * Pages that must be there beside those of its text before a suspended request goes on, so that it does not stop soon.
 */
const SPARE_PAGES = 8

export class Scheduler {
  readonly cache: KvCache
  readonly limits: SchedulerLimits
  /** In the order in which they came. */
  #waiting: Request[] = []
  /** They had pages and gave them back; oldest first. They go before all that wait. */
  #suspended: Request[] = []
  /** They have pages; oldest first. */
  #running: Request[] = []
  readonly #turns = new PromptTurns()
  /** Counts how often a request gave its pages back. */
  #suspensions = 0

  constructor(limits: SchedulerLimits) {
    this.limits = limits
    this.cache = new KvCache(limits.kvTokens)
  }

  get waiting(): number {
    return countOpen(this.#waiting)
  }

  get suspended(): number {
    return countOpen(this.#suspended)
  }

  get running(): number {
    return countOpen(this.#running)
  }

  /** All requests that are not over; oldest first. */
  get requests(): Request[] {
    return [...this.#running, ...this.#suspended, ...this.#waiting]
  }

  /**
   * A request that could go on but never will: the plan is empty, and nobody outside holds pages that may come free.
   * There is none, unless the plan is wrong.
   */
  get stuck(): Request | undefined {
    const holders = this.#running.filter(({ sequence }) => sequence).length
    return this.cache.sequences > holders ? undefined : this.requests.find(({ ready, over }) => ready && !over)
  }

  add(request: Request): void {
    this.#waiting.push(request)
  }

  /**
   * The next step; without shares if there is nothing to do. Call `ran` or `failed` for each share, once.
   * @param promptRows how many rows of prompts may join a number of decoding rows; with none, prompts have all rows
   */
  plan(promptRows: (decoding: number) => number): Share[] {
    this.#drop()
    // where all that had rows were suspended for want of pages, others go on: those that waited for them, too
    for (let tries = this.requests.length; tries > 0; tries--) {
      const before = this.#suspensions
      this.#admit()
      const shares = this.#shares(this.#rows(promptRows))
      if (shares.length > 0 || this.#suspensions === before) return shares
    }
    return []
  }

  /** A step has run the share. Where it has a draft, call `accepted` when it is known how much of it came true. */
  ran({ request, sequence, rows, copies, draft }: Share): void {
    const { length } = sequence.ids
    this.cache.copied(copies)
    this.cache.commit(sequence, request.ids.slice(length, length + rows - draft.length))
    if (draft.length === 0) this.cache.trim(sequence) // it may have had one in a step that failed
  }

  /** The first `count` tokens of the draft came. The rows of the others are forgotten, with their pages. */
  accepted({ sequence, draft }: Share, count: number): void {
    if (count > 0) this.cache.commit(sequence, draft.slice(0, count))
    this.cache.trim(sequence)
  }

  /** No step has run the share: nothing is known of the pages that it was to write. */
  failed({ sequence, copies, draft }: Share): void {
    this.cache.notCopied(sequence, copies)
    if (draft.length > 0) this.cache.trim(sequence)
  }

  /**
   * Makes places in a sequence that belongs to no request, and suspends requests where there are no pages else.
   * Undefined if there are not enough in all.
   */
  extend(sequence: Sequence, tokens: number): readonly PageCopy[] | undefined {
    for (;;) {
      const copies = this.cache.extend(sequence, tokens)
      if (copies) return copies
      const victim = this.#victim()
      if (!victim) return undefined
      this.#suspend(victim)
    }
  }

  /** Takes out what is over. */
  #drop(): void {
    const isOpen = (request: Request) => {
      if (!request.over) return true
      this.#release(request)
      return false
    }
    this.#running = this.#running.filter(isOpen)
    this.#suspended = this.#suspended.filter(isOpen)
    this.#waiting = this.#waiting.filter(isOpen)
  }

  /** Lets requests in while there are places and pages, in their order: suspended ones before new ones. */
  #admit(): void {
    for (const request of [...this.#suspended]) {
      if (request.ready && !this.#enter(request, SPARE_PAGES)) return
    }
    for (const request of [...this.#waiting]) if (request.ready && !this.#enter(request, 0)) return
  }

  /**
   * Lets a request in, if there are pages for all that it has to run, one for each of those that run, and the spare
   * ones. They are taken only when they are written.
   */
  #enter(request: Request, spare: number): boolean {
    const { cache } = this
    const active = this.#running.filter(({ ready }) => ready)
    if (active.length >= this.limits.sequences) return false
    const sequence = cache.open(request.ids, request.next, request.salt)
    request.sequence = sequence
    const twin = this.#twinOf(request)
    const shared = twin ? Math.max(0, fullPages(twin.length) - fullPages(sequence.ids.length)) : 0
    const own = () => cache.wanted(sequence, request.remaining) - shared + 1
    const fits = () => !active.length || Math.min(own() + active.length + spare, cache.pages) <= cache.available
    while (!fits()) {
      const idle = this.#running.findLast(({ ready }) => !ready)
      if (!idle) break
      this.#suspend(idle)
    }
    if (!fits()) {
      cache.close(sequence)
      request.sequence = undefined
      return false
    }
    request.twin = twin
    this.#waiting = this.#waiting.filter((other) => other !== request)
    this.#suspended = this.#suspended.filter((other) => other !== request)
    this.#running.push(request)
    this.#running.sort((a, b) => a.number - b.number)
    return true
  }

  /** The running request that has most of this one's tokens in common and will have run them first. */
  #twinOf(request: Request): Request['twin'] {
    let best: Request['twin']
    for (const other of this.#running) {
      if (other.salt !== request.salt) continue
      const length = Math.min(request.next, commonPrefix(other.ids, request.ids))
      if (length > request.done && length > (best?.length ?? 0)) best = { request: other, length }
    }
    return best
  }

  /** How many rows each request that takes part has. */
  #rows(promptRows: (decoding: number) => number): Map<Request, number> {
    const ready = this.#running.filter((request) => request.ready).slice(0, this.limits.sequences)
    const rows = new Map<Request, number>()
    const prompts: Request[] = []
    for (const request of ready) {
      if (this.#waitsForTwin(request)) continue
      if (request.remaining > 1) prompts.push(request)
      else rows.set(request, 1)
    }
    const most = this.limits.batchSize - rows.size
    const isShort = rows.size > 0 || prompts.every(({ hold }) => hold) // who comes to take their place waits for the step
    if (prompts.length) this.#turns.deal(prompts, isShort ? Math.min(most, promptRows(rows.size)) : most, this.limits.pairs, rows)
    return rows
  }

  /** Takes what the twin has run by now. Whether it is better to wait for the rest of what they share. */
  #waitsForTwin(request: Request): boolean {
    const { twin, sequence } = request
    if (!twin) return false
    const { request: other, length } = twin
    if (other.sequence) this.cache.join(sequence!, other.sequence, request.ids, length)
    const isAhead = other.sequence !== undefined && other.ready && other.done >= request.done
    if (request.done < length && isAhead) return true
    request.twin = undefined
    if (request.done < length) this.#reopen(request)
    return false
  }

  /** Takes what the tree has by now: of a twin that has ended before this request had all of what they share. */
  #reopen(request: Request): void {
    const again = this.cache.open(request.ids, request.next, request.salt)
    const gains = again.ids.length > request.done
    this.cache.close(gains ? request.sequence! : again)
    if (gains) request.sequence = again
  }

  /** Makes places for the rows of each request. Where there are no pages, the youngest give theirs back. */
  #shares(rows: ReadonlyMap<Request, number>): Share[] {
    const shares: Share[] = []
    for (const request of [...rows.keys()].sort((a, b) => a.number - b.number)) {
      const { sequence } = request
      if (!sequence) continue // suspended for an older one
      let copies = this.cache.extend(sequence, rows.get(request)!)
      while (!copies) {
        const victim = this.#victim()!
        this.#suspend(victim)
        if (victim === request) break
        copies = this.cache.extend(sequence, rows.get(request)!)
      }
      if (copies) shares.push({ request, sequence, rows: rows.get(request)!, draft: [], copies })
    }
    return shares
  }

  /** Which request gives its pages back first: one that is paused, else the youngest. */
  #victim(): Request | undefined {
    return this.#running.findLast(({ ready }) => !ready) ?? this.#running.at(-1)
  }

  #suspend(request: Request): void {
    this.#suspensions++
    this.#release(request)
    for (const other of this.#running) if (other.twin?.request === request) other.twin = undefined
    this.#running = this.#running.filter((other) => other !== request)
    this.#suspended.push(request)
    this.#suspended.sort((a, b) => a.number - b.number)
  }

  #release(request: Request): void {
    if (request.sequence) this.cache.close(request.sequence)
    request.sequence = undefined
    request.twin = undefined
    this.#turns.forget(request)
  }
}

const fullPages = (positions: number) => Math.floor(positions / PAGE_POSITIONS)

const countOpen = (requests: readonly Request[]) => requests.filter(({ over }) => !over).length
