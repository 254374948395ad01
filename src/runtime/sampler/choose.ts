// Chooses a token from a row of logits: bias, the steps in their order, the draw. A pure function, so any thread can do
// it: the same row and job give the same bits everywhere, since everything is float64 from exact operations in a fixed
// order. Random numbers are the caller's.

import { ln } from '../../base/elementary.js'
import { Candidates } from './candidates.js'
import { draws } from './draw.js'
import { type Choice, type Job, NOT_FINITE, NOTHING_LEFT, noValues } from './job.js'
import { scoreRow } from './logProbabilities.js'
import { addBias } from './penalties.js'
import { steps } from './steps.js'

/** Buffers of this thread; every choice writes them anew. */
let candidates = new Candidates(0)

/** @param row (vocabulary) left as it is */
export function choose(row: Float32Array, job: Job): Choice {
  if (candidates.vocabulary !== row.length) candidates = new Candidates(row.length)
  const broken = candidates.load(row, job.mask)
  if (broken >= 0) return notFinite(broken, row[broken]!, job)
  addBias(candidates, job)
  if (candidates.count === 0) return { id: NOTHING_LEFT, state: job.state, logprob: Number.NaN, top: noValues }
  for (const place of job.chain) steps[place]!.apply(candidates, job)
  const { id, state } = draws[job.draw]!(candidates, job)
  if (job.top < 0) return { id, state, logprob: Number.NaN, top: noValues }
  const score = job.postSampling ? scoreCandidates(id, job.top) : scoreRow(row, id, job.top)
  return { id, state, ...score }
}

function notFinite(id: number, logit: number, { state }: Job): Choice {
  return { id: NOT_FINITE, state, logprob: logit, top: { ids: Int32Array.of(id), values: Float64Array.of(logit) } }
}

/** Log-probabilities among the candidates that were drawn from: fewer than `top` if fewer were left. */
function scoreCandidates(id: number, top: number) {
  const sum = candidates.sumOfWeights()
  const logprobOf = (id: number) => ln(candidates.weight(id) / sum)
  const ids = Int32Array.from({ length: Math.min(top, candidates.count) }, (_, rank) => candidates.at(rank))
  return { logprob: logprobOf(id), top: { ids, values: Float64Array.from(ids, logprobOf) } }
}
