// The experts that wrote an answer, as requests ask for them with `return_routed_experts`, SGLang's name, and as vLLM
// gives them: (tokens, layers, used) ids, best first. Beside them their weights, which are ours. Owns those of tokens
// whose text is not out yet. And what all answers together have used. Knows no stream.

import { loadBalance } from '../../../evaluation/experts/loadBalance.js'
import type { Routing } from '../../../runtime/model/routes.js'
import type { ServedModel } from '../servedModel.js'

export interface RoutedExperts {
  /** (tokens, layers, used): an entry for each token drawn, the end token too. */
  readonly routed_experts: number[][][]
  /** (tokens, layers, used): what the experts' outputs are multiplied by. */
  readonly expert_weights: number[][][]
}

/** The experts of one answer, since the last call of `take`. */
export class RoutedList {
  readonly #layers: number
  #held: Routing[] = []

  constructor(layers: number) {
    this.#layers = layers
  }

  add(routings: readonly Routing[] = []): void {
    for (const routing of routings) this.#held.push(routing) // a prompt may have more than a call has arguments
  }

  /** Undefined for no token. */
  take(): RoutedExperts | undefined {
    const held = this.#held
    this.#held = []
    if (held.length === 0) return undefined
    return {
      routed_experts: held.map(({ ids }) => this.#byLayer(Array.from(ids))),
      expert_weights: held.map(({ weights }) => this.#byLayer(Array.from(weights, shortest))),
    }
  }

  #byLayer(values: readonly number[]): number[][] {
    const used = values.length / this.#layers
    return Array.from({ length: this.#layers }, (_, layer) => values.slice(layer * used, (layer + 1) * used))
  }
}

/**
 * GET /v1/routed-experts/stats: how often each expert was used since the model was loaded, prompts too. The route and
 * `load_balance_score` are those of a proposal for vLLM (pull request 46146).
 */
export function routedStats({ model, name }: Pick<ServedModel, 'model' | 'name'>): object {
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

/** The number of fewest digits that is this one in float32: it loses no bit, and JSON no space. */
function shortest(value: number): number {
  for (let digits = 6; digits < 9; digits++) {
    const rounded = Number(value.toPrecision(digits))
    if (Math.fround(rounded) === value) return rounded
  }
  return Number(value.toPrecision(9))
}
