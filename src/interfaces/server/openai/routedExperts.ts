// What all answers together have used of a model's experts, since it was loaded.

import { loadBalance } from '../../../evaluation/experts/loadBalance.js'
import { type ModelHost, modelInMemory } from '../models/modelHost.js'

/**
 * GET /v1/routed-experts/stats: how often each expert was used since the model was loaded, prompts too. The route and
 * `load_balance_score` are those of a proposal for vLLM (pull request 46146). Throws an ApiError 503 for a model that
 * is not in memory.
 */
export function routedStats(host: ModelHost, asked?: string): object {
  const { model, name } = modelInMemory(host, asked)
  const { layers, experts, expertsPerToken } = model.config
  const uses = Array.from(model.expertUses())
  const balanceOf = (counts: readonly number[]) => {
    const { jainIndex, maxOverMean, effectiveExperts } = loadBalance(counts)
    return { load_balance_score: jainIndex, max_over_mean: maxOverMean, effective_experts: effectiveExperts }
  }
  return {
    model: name,
    n_layer: layers,
    n_expert: experts,
    n_expert_used: expertsPerToken,
    total: uses.reduce((sum, count) => sum + count, 0),
    load_balance_score: loadBalance(uses).jainIndex,
    layers: Array.from({ length: layers }, (_, layer) => {
      const counts = uses.slice(layer * experts, (layer + 1) * experts)
      const sum = counts.reduce((sum, count) => sum + count, 0)
      return { layer, counts, shares: counts.map((count) => (sum ? count / sum : 0)), ...balanceOf(counts) }
    }),
  }
}
