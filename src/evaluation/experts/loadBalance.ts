// How evenly a layer's load is spread over its experts, and the loss that training adds for it. Pure figures of shares;
// knows no model.

import { exp, ln } from '../../base/elementary.js'

/** Figures of how even shares are; each of a single share of 1 and of `experts` equal ones is given. */
export interface LoadBalance {
  /** The largest share over the mean: `experts`, and 1. */
  readonly maxOverMean: number
  /** Standard deviation over the mean, of the population: sqrt(experts - 1), and 0. */
  readonly coefficientOfVariation: number
  /** e to the entropy of the shares: 1, and `experts`. */
  readonly effectiveExperts: number
  /** Jain's index, (sum f)^2 / (experts * sum f^2): 1 / experts, and 1. */
  readonly jainIndex: number
}

/** shares: (experts), none below 0. Of a sum of 0, all are those of equal shares. */
export function loadBalance(shares: ArrayLike<number>): LoadBalance {
  const experts = shares.length
  let sum = 0
  let squares = 0
  let largest = 0
  for (let e = 0; e < experts; e++) {
    const share = shares[e]!
    sum += share
    squares += share * share
    largest = Math.max(largest, share)
  }
  if (sum === 0) return { maxOverMean: 1, coefficientOfVariation: 0, effectiveExperts: experts, jainIndex: 1 }
  let entropy = 0
  for (let e = 0; e < experts; e++) {
    const p = shares[e]! / sum
    if (p > 0) entropy -= p * ln(p)
  }
  const mean = sum / experts
  return {
    maxOverMean: largest / mean,
    coefficientOfVariation: Math.sqrt(Math.max(0, squares / experts - mean * mean)) / mean,
    effectiveExperts: exp(entropy),
    jainIndex: (sum * sum) / (experts * squares),
  }
}

/** What `loadBalancingLoss` needs of the tokens of one layer, or of all. */
export interface RouterMeans {
  /** How many rows of router logits there were: tokens, or tokens times layers. */
  readonly rows: number
  /** (used, experts): how often each expert was the first choice, the second, and so on. */
  readonly choices: ArrayLike<number>
  /** (experts): sums over the rows of the softmax over all experts. */
  readonly probabilities: ArrayLike<number>
}

/**
 * The loss of load balancing as transformers' `load_balancing_loss_func` defines it, before its coefficient: experts *
 * sum over ranks j and experts e of F_je * P_e, where F_je is the share of rows whose j-th choice is e, and P_e is the
 * mean probability of e. Even load gives the number of experts per token.
 */
export function loadBalancingLoss({ rows, choices, probabilities }: RouterMeans): number {
  const experts = probabilities.length
  if (rows === 0) return 0
  let sum = 0
  for (let i = 0; i < choices.length; i++) sum += (choices[i]! / rows) * (probabilities[i % experts]! / rows)
  return experts * sum
}

/** Jensen-Shannon divergence of two distributions in nats: 0 for equal ones, ln 2 for such that share nothing. */
export function jensenShannon(p: ArrayLike<number>, q: ArrayLike<number>): number {
  const [pSum, qSum] = [total(p), total(q)]
  if (pSum === 0 || qSum === 0) return 0
  let divergence = 0
  for (let e = 0; e < p.length; e++) {
    const [a, b] = [p[e]! / pSum, q[e]! / qSum]
    const middle = (a + b) / 2
    if (a > 0) divergence += (a * ln(a / middle)) / 2
    if (b > 0) divergence += (b * ln(b / middle)) / 2
  }
  return Math.max(0, divergence)
}

function total(values: ArrayLike<number>): number {
  let sum = 0
  for (let i = 0; i < values.length; i++) sum += values[i]!
  return sum
}
