// How it went with experts that come and go, for people: counts of a stretch of work, and what follows from them. The ledger counts.

import { figure } from './ledger.js'

export interface ExpertFigures {
  /** Experts that layers asked for; one counts once for all tokens of a step. */
  readonly uses: number
  /** Of them in memory since an earlier use. */
  readonly hits: number
  /** Of them not in memory after their last use, but read ahead in time: parts of experts count as parts. */
  readonly ahead: number
  /** Bytes read from the file for experts, of wrong guesses too. */
  readonly bytesRead: number
  /** Time in which every thread waited for an expert. */
  readonly waitSeconds: number
}

/** What has been counted since `earlier`, or altogether. */
export function readFigures(figures: Float64Array, earlier?: ExpertFigures): ExpertFigures {
  return {
    uses: figures[figure.uses]! - (earlier?.uses ?? 0),
    hits: figures[figure.hits]! - (earlier?.hits ?? 0),
    ahead: figures[figure.ahead]! - (earlier?.ahead ?? 0),
    bytesRead: figures[figure.bytes]! - (earlier?.bytesRead ?? 0),
    waitSeconds: figures[figure.waitMs]! / 1000 - (earlier?.waitSeconds ?? 0),
  }
}

/** The part of uses that needed no reading, and the part of the others that was read in time. Between 0 and 1. */
export function expertRates({ uses, hits, ahead }: ExpertFigures): { hitRate: number; hiddenMisses: number } {
  const misses = uses - hits
  return { hitRate: uses ? hits / uses : 1, hiddenMisses: misses ? ahead / misses : 1 }
}
