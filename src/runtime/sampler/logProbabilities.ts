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
  let sum = 0
  for (let id = 0; id < row.length; id++) sum += exp(row[id]! - most)
  const offset = most + ln(sum)
  const logprobOf = (id: number) => row[id]! - offset
  const asked = best.subarray(0, top)
  return { logprob: logprobOf(id), top: { ids: asked, values: Float64Array.from(asked, logprobOf) } }
}
