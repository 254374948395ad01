// Drafts in steps: tokens that may come next run behind a request's own row, and count if the request chooses just
// them. Owns when a step has drafts and how long they are, which nobody can see but by the clock. Where drafts come
// from, and what becomes of their rows, is the business of others.

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

export class Drafting {
  readonly #scheduler: Scheduler
  readonly #cost: StepCost
  readonly #setting: boolean | undefined
  /** Tokens that ran as drafts, and those of them that came. */
  drafted = 0
  accepted = 0

  /** @param setting whether drafts run wherever there is one, or never. Default: where they pay. */
  constructor(scheduler: Scheduler, cost: StepCost, setting?: boolean) {
    this.#scheduler = scheduler
    this.#cost = cost
    this.#setting = setting
  }

  /**
   * Lets drafts run in a planned step where all rows are those of a few decoding requests.
   * @param call calls what belongs to a request: undefined where that throws
   */
  extend(shares: readonly Share[], call: <T>(request: Request, what: () => T) => T | undefined): readonly Share[] {
    const { batchSize, pairs } = this.#scheduler.limits
    const decode = shares.length <= REQUESTS && shares.every(({ request }) => request.remaining === 1 && !request.over)
    if (this.#setting === false || shares.length === 0 || !decode) return shares
    const pairRows = Math.floor(pairs / Math.max(...shares.map(({ request }) => request.used)))
    const most = Math.min(ROWS, batchSize, pairRows) - shares.length
    if (most < 1) return shares
    const drafts = shares.map(({ request }) => call(request, () => request.task.draft?.(request.ids, most)) ?? noDraft)
    if (drafts.every(({ ids }) => ids.length === 0)) return shares
    const lengths = this.#setting ? sharedOut(drafts, most) : this.#lengths(drafts, most)
    return shares.map((share, i) => this.#longer(share, drafts[i]!.ids.slice(0, lengths[i]!)))
  }

  /** It is known how much of a share's draft came. */
  ran(share: Share, accepted: number): void {
    this.#scheduler.accepted(share, accepted)
    this.drafted += share.draft.length
    this.accepted += accepted
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

  /** Lets a draft run behind a request's own row. Nobody gives pages back for it. */
  #longer(share: Share, draft: readonly number[]): Share {
    const { cache } = this.#scheduler
    const { sequence } = share
    const onOwnPages = sequence.table.length * PAGE_POSITIONS - sequence.ids.length - 1
    const fits = cache.wanted(sequence, 1 + draft.length) <= cache.available
    const own = fits ? draft : draft.slice(0, onOwnPages)
    if (own.length === 0) return share
    cache.extend(sequence, 1 + own.length) // its last page is its own already: there is nothing to copy
    return { ...share, rows: 1 + own.length, draft: own }
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
