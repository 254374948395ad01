// The draw at the end of the steps: plain, by mirostat 1 or 2, which keep the surprise of the text near a target, or by
// adaptive-p, which keeps the probability of its tokens there. Owns these laws and their states; a state is a pair of
// numbers that moves with each token.

import { ln, pow } from '../../base/elementary.js'
import type { Candidates } from './candidates.js'
import type { Job } from './job.js'
import type { Settings } from './samplerOptions.js'

/**
 * A law: chooses among the candidates and returns the token and the state after it. The candidates are left as they
 * were drawn from.
 */
type Draw = (candidates: Candidates, job: Job) => { readonly id: number; readonly state: Float64Array }

/** Tokens that mirostat 1 looks at to see how fast probabilities fall. */
const MIROSTAT_TOKENS = 100

/**
 * Adaptive-p's transformation: logits of 5 at the target, falling by up to 10 for each 0.3 of probability away from it.
 */
const PEAK_LOGIT = 5
const SHARPNESS = 10
const WIDTH = 0.3

export const PLAIN = 0
export const ADAPTIVE = 3

/** By number: 1 and 2 are those of the option `mirostat`. */
export const draws: readonly Draw[] = [
  (candidates, job) => ({ id: drawPlain(candidates, job.u).id, state: job.state }),
  (candidates, job) => {
    candidates.keepFirst(zipfCount(candidates, job.state[0]!))
    return drawAndAdapt(candidates, job)
  },
  (candidates, job) => {
    const least = candidates.sumOfWeights() * pow(2, -job.state[0]!) // a surprise of mu bits
    let kept = 1
    while (kept < candidates.count && candidates.weight(candidates.at(kept)) >= least) kept++
    candidates.keepFirst(kept)
    return drawAndAdapt(candidates, job)
  },
  drawAdaptive,
]

/** The state before the first token. */
export function firstState(draw: number, { mirostatTau, adaptiveTarget, adaptiveDecay }: Settings): Float64Array {
  if (draw === ADAPTIVE) return Float64Array.of(adaptiveTarget / (1 - adaptiveDecay), 1 / (1 - adaptiveDecay))
  return Float64Array.of(draw === PLAIN ? 0 : 2 * mirostatTau, 0)
}

/**
 * One of the candidates, each with its probability: the first, by rank, with which the weights exceed `u` times their
 * sum.
 */
function drawPlain(candidates: Candidates, u: number): { id: number; probability: number } {
  const sum = candidates.sumOfWeights()
  const last = candidates.count - 1
  let rest = u * sum
  let rank = 0
  for (; rank < last; rank++) {
    rest -= candidates.weight(candidates.at(rank))
    if (rest < 0) break
  }
  const id = candidates.at(rank)
  return { id, probability: candidates.weight(id) / sum }
}

/**
 * Draws, and moves mirostat's bound by how much more or less than the target the token's surprise was, in bits (Basu
 * and others, 2020).
 */
function drawAndAdapt(candidates: Candidates, { u, state, settings }: Job) {
  const { id, probability } = drawPlain(candidates, u)
  return { id, state: Float64Array.of(state[0]! - settings.mirostatEta * (-log2(probability) - settings.mirostatTau), 0) }
}

/**
 * How many tokens mirostat 1 keeps for a surprise of `mu` bits, if probabilities fall as 1 / rank^s (Zipf). s is
 * estimated from the most likely: sum(t b) / sum(t^2) over t = ln((i + 2) / (i + 1)), b = ln(p_i / p_{i+1}).
 */
function zipfCount(candidates: Candidates, mu: number): number {
  let products = 0
  let squares = 0
  for (let i = 0; i < Math.min(MIROSTAT_TOKENS, candidates.count) - 1; i++) {
    const t = ln((i + 2) / (i + 1))
    products += t * (candidates.distance(candidates.at(i)) - candidates.distance(candidates.at(i + 1)))
    squares += t * t
  }
  if (squares === 0) return 1
  const s = products / squares
  const epsilon = s - 1
  // (1 - V^-e) / e goes to ln V as e goes to 0.
  const spread = epsilon === 0 ? ln(candidates.vocabulary) : (1 - pow(candidates.vocabulary, -epsilon)) / epsilon
  const count = pow(pow(2, mu) / spread, 1 / s)
  return count < candidates.count ? Math.max(1, Math.floor(count)) : Number.isNaN(count) ? 1 : candidates.count
}

/**
 * Adaptive-p (llama.cpp pull request 17927): makes tokens likelier the nearer their probability is to a target, which
 * moves so that the mean of the drawn ones comes to `adaptiveTarget`. The mean forgets by `adaptiveDecay`.
 */
function drawAdaptive(candidates: Candidates, { u, state, settings }: Job) {
  const weighted = state[0]!
  const total = state[1]!
  const target = Math.min(1, Math.max(0, 2 * settings.adaptiveTarget - weighted / total))
  const sum = candidates.sumOfWeights()
  const before = new Float64Array(candidates.vocabulary)
  for (let i = 0; i < candidates.count; i++) {
    const id = candidates.member(i)
    before[id] = candidates.weight(id) / sum
  }
  candidates.settle()
  for (let i = 0; i < candidates.count; i++) {
    const distance = Math.abs(before[candidates.member(i)]! - target) / WIDTH
    candidates.logits[candidates.member(i)] = PEAK_LOGIT - (SHARPNESS * distance * distance) / (1 + distance)
  }
  candidates.changed()
  const { id } = drawPlain(candidates, u)
  return { id, state: Float64Array.of(before[id]! + settings.adaptiveDecay * weighted, 1 + settings.adaptiveDecay * total) }
}

/** The binary logarithm of a probability. A probability that was rounded to 0 counts as the smallest number. */
function log2(probability: number): number {
  return ln(Math.max(probability, Number.MIN_VALUE)) / Math.LN2
}
