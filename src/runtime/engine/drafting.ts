// Drafts in steps: tokens that may come next run behind a request's own row, and count if the request chooses just
// them. Owns when a step has drafts and how long they are, which nobody can see but by the clock. Where drafts come
// from, and what becomes of their rows, is the business of others.

import type { RowJob } from '../sampler/jobMemory.js'
import { PAGE_POSITIONS } from '../weights/pages.js'
import { ATTENTION_TOKENS } from '../weights/scratch.js'
import { type Draft, noDraft, type Request } from './request.js'
import type { Scheduler, Share } from './scheduler.js'
import type { StepCost } from './stepCost.js'

/** Most requests of a step that has drafts: with more, there are rows enough without. */
const REQUESTS = 2
/** Most rows of a step that has drafts: as many as a prompt has in any case beside those that decode. */
const ROWS = ATTENTION_TOKENS
/** Drafts run where each of the requests is expected to be this many times as fast. */
const LEAST_GAIN = 1.05

/** Of all time, how much may be spent on asking for drafts where that brings less than it takes. */
const ASKING = 0.01
/** How much the last time that a request was asked counts in what it takes and brings. */
const WEIGHT = 0.2
/** Most steps between two times that a request is asked for the sake of time. */
const LONGEST_REST = 64
/** Steps without a draft behind one that failed; twice as many behind the next, up to a bound. */
const FIRST_PAUSE = 4
const LONGEST_PAUSE = 1024

/** What is known of the drafts of a request. */
interface Asking {
  /** Steps in which it is not asked. */
  rest: number
  /** The length of the last pause behind a step that failed; 0 after one that did not. */
  pause: number
  /** Milliseconds that making a draft takes, and that it saves. */
  takes: number
  saves: number
}

/** Milliseconds of a clock. */
type Clock = () => number

export class Drafting {
  readonly #scheduler: Scheduler
  readonly #cost: StepCost
  readonly #setting: boolean | undefined
  readonly #now: Clock
  readonly #askings = new WeakMap<Request, Asking>()
  /** Tokens that ran as drafts, and those of them that came. */
  drafted = 0
  accepted = 0

  /** @param setting whether drafts run wherever there is one, or never. Default: where they pay. */
  constructor(scheduler: Scheduler, cost: StepCost, setting?: boolean, now: Clock = () => performance.now()) {
    this.#scheduler = scheduler
    this.#cost = cost
    this.#setting = setting
    this.#now = now
  }

  /** Lets drafts run in a planned step where all rows are those of a few decoding requests. */
  extend(shares: readonly Share[]): readonly Share[] {
    const { batchSize, pairs } = this.#scheduler.limits
    const decode = shares.length <= REQUESTS && shares.every(({ request }) => request.remaining === 1 && !request.over)
    if (this.#setting === false || shares.length === 0 || !decode) return shares
    const pairRows = Math.floor(pairs / Math.max(...shares.map(({ request }) => request.used)))
    const timely = shares.length + this.#cost.draftRows(shares.length)
    const most = Math.min(ROWS, batchSize, pairRows, timely) - shares.length
    if (most < 1) return shares
    const times = shares.map(() => 0)
    const drafts = shares.map((share, i) => {
      const begun = this.#now()
      const draft = this.#ask(share, most)
      if (draft) times[i] = this.#now() - begun
      return draft
    })
    const given = drafts.map((draft) => draft ?? noDraft)
    const lengths = this.#setting ? sharedOut(given, most) : this.#lengths(given, most)
    const growth = this.#cost.growth(
      shares.length,
      lengths.reduce((sum, length) => sum + length, shares.length),
    )
    for (const [i, { request }] of shares.entries()) {
      const tokens = expectedTokens(given[i]!.chances.slice(0, lengths[i]!)).at(-1)!
      if (drafts[i]) this.#judge(request, times[i]!, tokens - growth, this.#cost.fewMs(shares.length))
    }
    return shares.map((share, i) => this.#longer(share, given[i]!.ids.slice(0, lengths[i]!)))
  }

  /** It is known how much of a share's draft came. */
  ran(share: Share, accepted: number): void {
    this.#scheduler.accepted(share, accepted)
    this.#askingOf(share.request).pause = 0
    this.drafted += share.draft.length
    this.accepted += accepted
  }

  /** A step has failed, it may be for its drafts: their requests have none for some steps. */
  failed(shares: readonly Share[]): void {
    for (const { request, draft } of shares) {
      if (draft.length === 0) continue
      const asking = this.#askingOf(request)
      asking.pause = Math.min(LONGEST_PAUSE, Math.max(FIRST_PAUSE, 2 * asking.pause))
      asking.rest = asking.pause
    }
  }

  /** The draft of a request; undefined where it is not asked. An error ends its drafts and nothing else. */
  #ask(share: Share, most: number): Draft | undefined {
    const { request } = share
    const { task, ids } = request
    const room = Math.min(most, this.#ownRoom(share) + this.#freePages(share) * PAGE_POSITIONS)
    const asking = this.#askingOf(request)
    if (!task.draft || room < 1 || asking.rest-- > 0) return undefined
    asking.rest = 0
    try {
      return task.draft(ids, room)
    } catch {
      asking.rest = Number.POSITIVE_INFINITY
      return undefined
    }
  }

  /**
   * Learns what a draft took, in milliseconds, and how many steps it may save. Where drafts take more than they save,
   * it is a while before the request is asked again.
   */
  #judge(request: Request, ms: number, steps: number, stepMs: number | undefined): void {
    if (this.#setting || stepMs === undefined) return
    const asking = this.#askingOf(request)
    asking.takes += WEIGHT * (ms - asking.takes)
    asking.saves += WEIGHT * (steps * stepMs - asking.saves)
    const loss = Math.max(0, asking.takes - asking.saves)
    asking.rest = Math.min(LONGEST_REST, Math.floor(loss / (ASKING * stepMs)))
  }

  #askingOf(request: Request): Asking {
    const asking = this.#askings.get(request) ?? { rest: 0, pause: 0, takes: 0, saves: 0 }
    this.#askings.set(request, asking)
    return asking
  }

  /** As long as makes tokens come fastest: none, where one of the requests would wait for those of the other. */
  #lengths(drafts: readonly Draft[], most: number): number[] {
    const gains = drafts.map(({ chances }) => expectedTokens(chances.slice(0, most)))
    const base = drafts.length
    let best = gains.map(() => 0)
    let bestGain = 0
    const [first, second = [1]] = gains as [number[], number[]?]
    for (const [i, one] of first.entries()) {
      for (const [j, other] of second.entries()) {
        if (i + j > most) break
        const growth = this.#cost.growth(base, base + i + j)
        const tokens = base > 1 ? [one, other] : [one]
        const gain = tokens.reduce((sum, count) => sum + count, 0) / growth
        if (Math.min(...tokens) / growth < LEAST_GAIN || gain <= bestGain) continue
        bestGain = gain
        best = [i, j]
      }
    }
    return best
  }

  /** Lets a draft run behind a request's own row, as far as there are free pages: nobody gives any back for it. */
  #longer(share: Share, draft: readonly number[]): Share {
    const { cache } = this.#scheduler
    const { sequence } = share
    const fits = cache.wanted(sequence, 1 + draft.length) <= this.#freePages(share)
    const own = fits ? draft : draft.slice(0, this.#ownRoom(share))
    if (own.length === 0) return share
    cache.extend(sequence, 1 + own.length) // its last page is its own already: there is nothing to copy
    return { ...share, rows: 1 + own.length, draft: own }
  }

  /** Tokens that have room behind a share's own row on the pages that its sequence has. */
  #ownRoom({ sequence }: Share): number {
    return sequence.table.length * PAGE_POSITIONS - sequence.ids.length - 1
  }

  /** Free pages, less one for each other request that runs: it is not suspended for the sake of a draft. */
  #freePages({ request }: Share): number {
    const { cache, running } = this.#scheduler
    return Math.max(0, cache.free - (running - (request.over ? 0 : 1)))
  }
}

/** The jobs behind the tokens of a share's draft, as far as they are known. An error leaves them to their turns. */
export function jobsAhead({ request, draft }: Share): readonly (RowJob | undefined)[] {
  if (draft.length === 0 || request.over) return []
  try {
    return request.task.jobsAhead?.(draft) ?? []
  } catch {
    return []
  }
}

/** A share without its draft: what is run again where a step has failed, since rows that nobody wants may fail. */
export function plain(share: Share): Share {
  return share.draft.length > 0 ? { ...share, rows: share.rows - share.draft.length, draft: [] } : share
}

/** How many tokens come from a step with the first 0, 1, 2 .. tokens of a draft. */
function expectedTokens(chances: readonly number[]): number[] {
  const sums = [1]
  let all = 1
  for (const chance of chances) {
    all *= chance
    sums.push(sums.at(-1)! + all)
  }
  return sums
}

/** All of the drafts, as far as there are rows. */
function sharedOut(drafts: readonly Draft[], most: number): number[] {
  const share = Math.floor(most / drafts.length)
  return drafts.map(({ ids }) => Math.min(ids.length, share))
}
