// Log-probabilities of a row of raw logits: the logarithm of their softmax, in float64, before any sampler. What is
// asked for are one token's and those of the most likely ones.

import { exp, ln } from '../../base/elementary.js'
import type { TokenValues } from './job.js'
import { highest } from './ranking.js'

/** The most tokens whose log-probabilities can be asked for beside the drawn one's: the OpenAI API's bound. */
export const MOST_TOP = 20

export interface RowScore {
  readonly logprob: number
  /** The most likely tokens, best first, equal ones by id. */
  readonly top: TokenValues
}

let ids = new Int32Array(0)

/**
 * @param row (vocabulary) finite logits
 * @param id the token that is scored
 * @param top how many of the most likely tokens are scored too
 */
export function scoreRow(row: Float32Array, id: number, top: number): RowScore {
  if (ids.length !== row.length) ids = Int32Array.from(row, (_, id) => id)
  const best = highest(row, ids, row.length, Math.min(Math.max(1, top), row.length))
  const most = row[best[0]!]!
  const offset = most + ln(sumOfPowers(row, most))
  const logprobOf = (id: number) => row[id]! - offset
  const asked = best.subarray(0, top)
  return { logprob: logprobOf(id), top: { ids: asked, values: Float64Array.from(asked, logprobOf) } }
}

/** Entries of the table for each halving of e^x. */
const PARTS = 32
/** Below it, e^x counts for nothing: a million of them are less than 1e-11. */
const LEAST = -40
const SCALE = PARTS * Math.LOG2E
const PART = Math.LN2 / PARTS
/** e^(-i PART). */
const powers = Float64Array.from({ length: Math.ceil(-LEAST * SCALE) + 2 }, (_, i) => exp(-i * PART))

/**
 * The sum of e^(logit - most), each to 1e-11 of itself: x = r - i PART with |r| <= PART / 2, and four terms of a series
 * for e^r. Only + - * and a table, so every engine gives the same bits.
 */
function sumOfPowers(row: Float32Array, most: number): number {
  let sum = 0
  for (let id = 0; id < row.length; id++) {
    const x = row[id]! - most
    if (x < LEAST) continue
    const scaled = x * SCALE
    const i = (0.5 - scaled) | 0
    const r = (scaled + i) * PART
    sum += powers[i]! * (1 + r * (1 + r * (1 / 2 + r * (1 / 6 + r * (1 / 24)))))
  }
  return sum
}
