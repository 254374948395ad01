// The figures of a domain: what its counts say of each layer. Owns which figures there are, and how they are made of
// counts. Knows no model. Definitions: docs/experts.md.

import type { Steps } from '../../base/timeSlice.js'
import type { FavoriteToken, FavoriteTokens } from './favoriteTokens.js'
import { type LoadBalance, loadBalance, loadBalancingLoss } from './loadBalance.js'
import type { RoutingCounts } from './routingCounts.js'

/** What the experts of one layer did. Shares are of assignments: a token has one for each of its experts. */
export interface LayerStatistics {
  /** (experts): the share of assignments, of which all together are 1. */
  readonly shares: readonly number[]
  /** (used, experts): the same of first choices, of second ones, and so on. */
  readonly rankShares: readonly (readonly number[])[]
  /** How often the next token has the same first choice; of even, independent choices 1 / experts. */
  readonly firstRepeats: number
  /** How often the next token has an expert in common with this one. */
  readonly anyRepeats: number
  /** The mean entropy of the router's softmax over all experts, in nats: 0 to ln experts. */
  readonly entropy: number
  /** The mean difference between its two largest probabilities. */
  readonly margin: number
  /** The mean weight of the first choice among those that are used. */
  readonly firstWeight: number
  readonly balance: LoadBalance
  /** `load_balancing_loss_func` of transformers over this layer alone; even load gives the experts of a token. */
  readonly balancingLoss: number
  /** (experts, experts): of the tokens of an expert, the share that another one took part in; 1 on the diagonal. */
  readonly coactivation: readonly (readonly number[])[]
  /** (experts, experts): of the tokens of an expert, the share of their assignments in the next layer that each has. */
  readonly nextLayer: readonly (readonly number[])[] | undefined
  /** The mean over tokens of the largest share that one expert has of a token's occurrences. */
  readonly vocabularySpecialization: number | undefined
  /** (experts): the tokens of which each expert has the largest share. */
  readonly favorites: readonly (readonly FavoriteToken[])[]
}

export interface DomainStatistics {
  readonly domain: string
  readonly tokens: number
  readonly layers: readonly LayerStatistics[]
  /** `load_balancing_loss_func` of transformers over all layers together, as training has it. */
  readonly balancingLoss: number
  /** Its first tokens with their experts, as many as the option `beginning` asks for. */
  readonly beginning?: RoutedBeginning
}

/** The first tokens of a domain. */
export interface RoutedBeginning {
  readonly tokens: readonly number[]
  /** (tokens, layers, used), best first. */
  readonly experts: Uint16Array
  /** (tokens, layers, used): what the experts' outputs are multiplied by. */
  readonly weights: Float32Array
}

/** What is counted of a domain. */
interface Counted {
  readonly counts: RoutingCounts
  readonly favorites: FavoriteTokens
}

/** The figures of what was counted of a domain; `most` favorite tokens of each expert. */
export function* figuresOf(domain: string, { counts, favorites }: Counted, most: number): Steps<DomainStatistics> {
  const { layers, experts, used } = counts.shape
  const { tokens, choices, probabilities } = counts
  const ofAll = { choices: new Float64Array(used * experts), probabilities: new Float64Array(experts) }
  for (let i = 0; i < choices.length; i++) ofAll.choices[i % (used * experts)]! += choices[i]!
  for (let i = 0; i < probabilities.length; i++) ofAll.probabilities[i % experts]! += probabilities[i]!
  const figures: LayerStatistics[] = []
  for (let layer = 0; layer < layers; layer++) figures.push(yield* layerFigures(counts, favorites, layer, most))
  return { domain, tokens, layers: figures, balancingLoss: loadBalancingLoss({ rows: tokens * layers, ...ofAll }) }
}

function* layerFigures(counts: RoutingCounts, favorites: FavoriteTokens, layer: number, most: number): Steps<LayerStatistics> {
  const { layers, experts, used } = counts.shape
  const { tokens, pairs } = counts
  const perExpert = <T>(what: (expert: number) => T) => Array.from({ length: experts }, (_, expert) => what(expert))
  const choices = counts.choices.subarray(layer * used * experts, (layer + 1) * used * experts)
  const rankShares = Array.from({ length: used }, (_, rank) => perExpert((expert) => choices[rank * experts + expert]! / tokens))
  const shares = perExpert((expert) => rankShares.reduce((sum, rank) => sum + rank[expert]!, 0) / used)
  /** Of the tokens of each expert: (experts, experts) of `all` over how many there were. */
  const perToken = (all: Float64Array, over: number) =>
    perExpert((expert) => {
      const row = (layer * experts + expert) * experts
      const own = counts.together[row + expert]!
      return perExpert((other) => (own ? all[row + other]! / (own * over) : 0))
    })
  const favorite: FavoriteToken[][] = []
  for (let expert = 0; expert < experts; expert++) {
    yield // a text has thousands of tokens to sort
    favorite.push(favorites.of(layer, expert, most))
  }
  return {
    shares,
    rankShares,
    firstRepeats: pairs ? counts.firstRepeats[layer]! / pairs : 0,
    anyRepeats: pairs ? counts.anyRepeats[layer]! / pairs : 0,
    entropy: counts.entropies[layer]! / tokens,
    margin: counts.margins[layer]! / tokens,
    firstWeight: counts.firstWeights[layer]! / tokens,
    balance: loadBalance(shares),
    balancingLoss: loadBalancingLoss({
      rows: tokens,
      choices,
      probabilities: counts.probabilities.subarray(layer * experts, (layer + 1) * experts),
    }),
    coactivation: perToken(counts.together, 1),
    nextLayer: layer + 1 < layers ? perToken(counts.next, used) : undefined,
    vocabularySpecialization: favorites.specialization(layer),
    favorites: favorite,
  }
}
