// The steps that change single logits: bias, repetition, frequency and presence penalties, and DRY's. Owns the rules by
// which a logit is changed; what DRY subtracts is dry.ts's.

import { type Candidates, LARGEST } from './candidates.js'
import type { Job, TokenValues } from './job.js'

/** Adds the bias before everything else. A token with a bias of minus infinity is no candidate. */
export function addBias(candidates: Candidates, { bias }: Job): void {
  if (bias.ids.length === 0) return
  change(candidates, bias, (logit, value) => logit + value)
  if (bias.values.includes(-Infinity)) candidates.dropBanned()
}

/**
 * Positive logits are divided by the repetition penalty, the others multiplied (Keskar and others, 2019); then
 * frequency and presence are subtracted.
 */
export function penalties(candidates: Candidates, { settings, counts }: Job): void {
  const { repetitionPenalty, frequencyPenalty, presencePenalty } = settings
  change(candidates, counts, (logit, count) => {
    const penalized = logit > 0 ? logit / repetitionPenalty : logit * repetitionPenalty
    return penalized - (count * frequencyPenalty + presencePenalty)
  })
}

/** Subtracts what DRY has found. */
export function subtractDry(candidates: Candidates, { dry }: Job): void {
  change(candidates, dry, (logit, amount) => logit - amount)
}

/** How often each token is among the last `window` of `history`; -1 is all of it. */
export function countTokens(history: readonly number[], window: number): TokenValues {
  const counts = new Map<number, number>()
  for (let i = window < 0 ? 0 : Math.max(0, history.length - window); i < history.length; i++) {
    counts.set(history[i]!, (counts.get(history[i]!) ?? 0) + 1)
  }
  return { ids: Int32Array.from(counts.keys()), values: Float64Array.from(counts.values()) }
}

function change(candidates: Candidates, { ids, values }: TokenValues, changed: (logit: number, value: number) => number): void {
  if (ids.length === 0) return
  candidates.settle()
  ids.forEach((id, i) => {
    if (id >= candidates.vocabulary) return
    const logit = changed(candidates.logits[id]!, values[i]!)
    candidates.logits[id] = logit === -Infinity && values[i] === -Infinity ? logit : Math.max(-LARGEST, Math.min(LARGEST, logit))
  })
  candidates.changed()
}
