// The drafts of recorded answers without a model: the runtime's own Drafter, Drafting and Scheduler, and steps that
// take what is said of their rows. Tells what comes of drafts by the texts alone, the same on every machine. For
// drafts.mjs.

import { Drafting } from '../dist/runtime/engine/drafting.js'
import { Request } from '../dist/runtime/engine/request.js'
import { Scheduler } from '../dist/runtime/engine/scheduler.js'
import { StepCost } from '../dist/runtime/engine/stepCost.js'
import { Drafter } from '../dist/text/generate/drafter.js'
import { PromptLookup } from '../dist/text/generate/promptLookup.js'

const LIMITS = { sequences: 1, batchSize: 128, kvTokens: 4096, pairs: 256, expertsPerToken: 2 }

/**
 * How many times as long as one row some rows take: a power of them, such as `0.75`, or by what 1, 2, 4, 8 and 16 took,
 * such as `1,1.68,2.9,4.76,7.4`.
 */
export function rowCost(text) {
  const costs = text.split(',').map(Number)
  if (costs.length === 1) return (rows) => rows ** costs[0]
  return (rows) => {
    const below = Math.min(costs.length - 2, Math.floor(Math.log2(rows)))
    return costs[below] * (costs[below + 1] / costs[below]) ** (Math.log2(rows) - below)
  }
}

/** Writes all answers. `encoded`: of each case the ids of its prompt and its answer. */
export function simulated(encoded, costOf) {
  const cost = new StepCost(undefined)
  const sums = { tokens: 0, drafted: 0, accepted: 0, steps: 0, time: 0 }
  for (const { ids, recorded } of encoded) write(ids, recorded, costOf, cost, sums)
  return { ...sums, gain: sums.tokens / sums.time }
}

function write(ids, recorded, costOf, cost, sums) {
  const scheduler = new Scheduler(LIMITS)
  const drafting = new Drafting(scheduler, cost, undefined, () => 0)
  const drafter = new Drafter({ forces: false, endIds: new Set() }, new PromptLookup(ids.length))
  const length = ids.length + recorded.length
  const draft = (all, most) => drafter.draft(all, Math.min(most, length - all.length - 1))
  const request = new Request({ ids: [...ids, recorded[0]], from: ids.length, draft, ended: () => {} }, 0, LIMITS)
  scheduler.add(request)
  while (request.ids.length < length) {
    const decodes = request.done > 0 && request.remaining === 1
    const planned = scheduler.plan(() => LIMITS.batchSize)
    const [share] = decodes ? drafting.extend(planned) : planned
    scheduler.ran(share)
    if (request.remaining > 0) continue
    const left = recorded.slice(request.ids.length - ids.length)
    const wrong = share.draft.findIndex((id, i) => id !== left[i])
    const accepted = wrong < 0 ? share.draft.length : wrong
    request.ids.push(...left.slice(0, accepted + 1))
    if (share.draft.length > 0) drafting.ran(share, accepted)
    if (!decodes) continue
    const rows = 1 + share.draft.length
    cost.add(rows, 100 * costOf(rows), true)
    sums.time += costOf(rows)
    sums.steps++
    sums.tokens += accepted + 1
    sums.drafted += share.draft.length
    sums.accepted += accepted
  }
}
