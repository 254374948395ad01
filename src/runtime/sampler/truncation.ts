// The steps that take tokens away by their probabilities: top-n-sigma, top-k, typical, top-p, min-p and XTC. All but
// typical and XTC keep the most likely tokens and only differ in how many. Probabilities are among the candidates that
// earlier steps left.

import { ln } from '../../base/elementary.js'
import type { Candidates } from './candidates.js'
import type { Job } from './job.js'
import { Ranking } from './ranking.js'

/**
 * Keeps logits from the highest down to `topNSigma` standard deviations of all candidates' logits below it (Tang and
 * others, 2024).
 */
export function topNSigma(candidates: Candidates, { settings }: Job): void {
  const { count, logits } = candidates
  if (settings.topNSigma <= 0 || count < 2) return
  let sum = 0
  for (let i = 0; i < count; i++) sum += logits[candidates.member(i)]!
  const mean = sum / count
  let squares = 0
  for (let i = 0; i < count; i++) squares += (logits[candidates.member(i)]! - mean) ** 2
  const least = logits[candidates.at(0)]! - settings.topNSigma * Math.sqrt(squares / count)
  keepFrom(candidates, least, 1)
}

/** Keeps the k most likely. */
export function topK(candidates: Candidates, { settings }: Job): void {
  if (settings.topK > 0) candidates.keepFirst(settings.topK)
}

/**
 * Keeps the tokens whose information, -ln p, is nearest to the entropy, until their probabilities sum to more than
 * `typicalP` (Meister and others, 2022).
 */
export function typical(candidates: Candidates, { settings }: Job): void {
  const { count } = candidates
  const { typicalP, minKeep } = settings
  if (typicalP >= 1) return
  const entropy = candidates.entropy()
  const total = candidates.sumOfWeights()
  const logTotal = ln(total)
  const members = new Int32Array(count)
  const nearness = new Float64Array(candidates.vocabulary)
  for (let place = 0; place < count; place++) {
    const id = candidates.member(place)
    members[place] = id
    // Weights of 0 may be infinitely far; the ranking needs finite numbers.
    nearness[id] = -Math.min(Math.abs(logTotal - candidates.distance(id) - entropy), Number.MAX_VALUE / 4)
  }
  const ranking = new Ranking(count)
  ranking.begin(nearness, members, count)
  let sum = 0
  let kept = 0
  while (kept < count && !(sum > typicalP && kept >= minKeep)) {
    members[kept] = ranking.at(kept)
    sum += candidates.weight(members[kept++]!) / total
  }
  if (kept < count) candidates.keep(members.subarray(0, kept))
}

/** Keeps the most likely until their probabilities sum to `topP` (Holtzman and others, 2019). */
export function topP(candidates: Candidates, { settings }: Job): void {
  const { count } = candidates
  if (settings.topP >= 1) return
  const wanted = settings.topP * candidates.sumOfWeights()
  let sum = 0
  let kept = 0
  while (kept < count && !(kept > 0 && sum >= wanted)) sum += candidates.weight(candidates.at(kept++))
  candidates.keepFirst(Math.max(kept, settings.minKeep))
}

/** Keeps tokens at least `minP` times as likely as the most likely one (Nguyen and others, 2024). */
export function minP(candidates: Candidates, { settings }: Job): void {
  if (settings.minP <= 0) return
  const top = candidates.logits[candidates.at(0)]!
  keepFrom(candidates, top + candidates.divisor * ln(settings.minP), Math.max(1, settings.minKeep))
}

/**
 * With probability `xtcProbability`, takes away every token of at least `xtcThreshold` but the least likely of them.
 */
export function xtc(candidates: Candidates, { settings, xtc: drawn }: Job): void {
  const { count } = candidates
  const { xtcProbability, xtcThreshold, minKeep } = settings
  if (xtcProbability <= 0 || xtcThreshold > 0.5 || count < 2 || drawn > xtcProbability) return
  const least = xtcThreshold * candidates.sumOfWeights()
  let above = 0
  while (above < count && candidates.weight(candidates.at(above)) >= least) above++
  const dropped = above - 1
  if (dropped > 0 && count - dropped >= minKeep) candidates.dropFirst(dropped)
}

/** Keeps logits of at least `least`, and the first `minKeep` in any case. */
function keepFrom(candidates: Candidates, least: number, minKeep: number): void {
  const { count, logits } = candidates
  let kept = minKeep
  while (kept < count && logits[candidates.at(kept)]! >= least) kept++
  candidates.keepFirst(kept)
}
