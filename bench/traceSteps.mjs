// A trace of routing (routing.mjs) as steps: a prompt of half the tokens, the rest one by one; and the runtime's choice
// of the expert to evict (src/runtime/residency/residencyTable.ts).

import { blendShare, layersToNextUse } from '../dist/runtime/residency/nextUse.js'
import { chosen } from './routingStatistics.mjs'

/**
 * The steps of a trace: per step and layer the experts used, the mean probabilities, and predictions of the next
 * layers' experts.
 */
export function stepsOf({ tokens, layers, experts, used, logits, predictions }) {
  const prompt = tokens >> 1
  const groups = [Array.from({ length: prompt }, (_, t) => t), ...Array.from({ length: tokens - prompt }, (_, t) => [prompt + t])]
  return groups.map((group) => ({
    tokens: group.length,
    layers: Array.from({ length: layers }, (_, layer) => {
      const keys = (rows, at) => [...new Set(group.flatMap((t) => chosen(rows, t, experts, used)))].map((expert) => at * experts + expert)
      const shares = new Array(experts).fill(0)
      for (const t of group) {
        const odds = logits[layer].slice(t * experts, (t + 1) * experts).map(Math.exp)
        const sum = odds.reduce((a, b) => a + b)
        for (let e = 0; e < experts; e++) shares[e] += odds[e] / sum / group.length
      }
      return { keys: keys(logits[layer], layer), shares, predictions: predictions[layer].map((rows, k) => keys(rows, layer + 1 + k)) }
    }),
  }))
}

/** The runtime's policy, as those of policies.mjs. */
export function nextUse() {
  let place = { layer: 0, tokens: 1 }
  const share = new Map()
  return {
    see(trace, step, _, layer) {
      place = { layer, tokens: step.tokens }
      const { shares } = step.layers[layer]
      for (const [e, value] of shares.entries()) {
        const key = layer * trace.experts + e
        share.set(key, blendShare(share.get(key) ?? 1 / 4, Math.min(1, trace.used * value), step.tokens))
      }
    },
    cost: (key, trace) =>
      layersToNextUse(Math.floor(key / trace.experts), share.get(key) ?? 1 / 4, place.layer, trace.layers, place.tokens),
  }
}
