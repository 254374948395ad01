// The mixture of experts, what makes a Mixtral: each layer holds several feed-forward networks, and a router picks the
// few that suit a token. All experts must be stored, but only the chosen ones cost time.

import { exp } from '../../base/elementary.js'
import type { Layer } from './layer.js'
import { softmax } from './matrix.js'

/**
 * (tokens, hidden) -> (tokens, hidden): for each token the sum of the chosen experts' answers, weighted by the router.
 */
export function mixtureOfExperts({ config, tensors, multiply, show }: Layer, x: Float64Array): Float64Array {
  const { hiddenSize: hidden, intermediateSize: ffn, experts, expertsPerToken: used } = config
  const tokens = x.length / hidden
  const logits = show('ffn_moe_logits', multiply(x, tensors.ffnGateInp), experts)
  const chosen = new Float64Array(tokens * used) // (tokens, used), expert indices, best first
  const shares = new Float64Array(tokens * used) // (tokens, used), of the chosen among all experts
  const weights = new Float64Array(tokens * used) // (tokens, used), of the chosen among themselves
  for (let token = 0; token < tokens; token++) {
    const scores = row(logits, token, experts)
    const best = topK(scores, used)
    chosen.set(best, token * used)
    const probabilities = softmax(scores)
    shares.set(
      best.map((expert) => probabilities[expert]!),
      token * used,
    )
    weights.set(softmax(Float64Array.from(best, (expert) => scores[expert]!)), token * used)
  }
  show('ffn_moe_topk', chosen, used)
  show('ffn_moe_weights', shares, used)
  show('ffn_moe_weights_norm', weights, used)

  // Expert by expert with all the tokens that chose it, so that its matrices are loaded once. A choice is an index into
  // (tokens, used).
  const inner = new Float64Array(tokens * used * ffn) // (tokens, used, ffn)
  const answers = new Float64Array(tokens * used * hidden) // (tokens, used, hidden)
  for (const [expert, { ffnGate, ffnUp, ffnDown }] of tensors.experts.entries()) {
    const choices = [...chosen.keys()].filter((choice) => chosen[choice] === expert)
    if (choices.length === 0) continue
    const input = new Float64Array(choices.length * hidden)
    for (const [i, choice] of choices.entries()) input.set(row(x, Math.floor(choice / used), hidden), i * hidden)

    // SwiGLU: the gate, bent by silu, says how much of each inner value passes.
    const gate = multiply(input, ffnGate)
    const gated = multiply(input, ffnUp).map((value, i) => value * silu(gate[i]!))
    const answer = multiply(gated, ffnDown)
    for (const [i, choice] of choices.entries()) {
      inner.set(row(gated, i, ffn), choice * ffn)
      answers.set(row(answer, i, hidden), choice * hidden)
    }
  }
  show('ffn_moe_gate_par', inner, used, ffn)
  show('ffn_moe_down', answers, used, hidden)

  const y = new Float64Array(x.length)
  for (let choice = 0; choice < chosen.length; choice++) {
    const at = Math.floor(choice / used) * hidden
    for (let c = 0; c < hidden; c++) y[at + c]! += weights[choice]! * answers[choice * hidden + c]!
  }
  return y
}

/** The indices of the k largest scores, best first; of equal scores the lower index first. */
export const topK = (scores: Float32Array | Float64Array, k: number) =>
  [...scores.keys()].sort((a, b) => scores[b]! - scores[a]! || a - b).slice(0, k)
const row = (x: Float64Array, index: number, width: number) => x.subarray(index * width, (index + 1) * width)
const silu = (x: number) => x / (1 + exp(-x))
