// What a model's experts do on texts: counts of the routing of every token, domain by domain, and the figures made of
// them. Owns how texts are run; the figures are defined beside their counts. Definitions: docs/experts.md.

import { checkKind, checkText, MixtralError, shown } from '../../base/errors.js'
import { TimeSlice } from '../../base/timeSlice.js'
import { type CallOptions, checkCallOptions } from '../../runtime/engine/callArguments.js'
import type { MixtralModel } from '../../text/generate/mixtralModel.js'
import { DomainBlocks, domainDifference, type LayerDifference } from './domainBlocks.js'
import { ExpertCache } from './expertCache.js'
import { type FavoriteToken, FavoriteTokens } from './favoriteTokens.js'
import { type LoadBalance, loadBalance, loadBalancingLoss } from './loadBalance.js'
import { RoutingCounts, type RoutingShape } from './routingCounts.js'

/** A text and the domain that it belongs to. */
export interface DomainText {
  readonly domain: string
  readonly text: string
}

export interface ExpertStatisticsOptions extends CallOptions {
  /** Number of tokens in a window: a text is run window by window. Default: 512, or the model's context if shorter. */
  readonly contextLength?: number
  /** Most tokens of each domain. Default: all. */
  readonly tokens?: number
  /** How many experts each token has in a layer. Default: the model's own number. */
  readonly expertsPerToken?: number
  /** How many favorite tokens each expert has. Default 5. */
  readonly favorites?: number
}

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
}

/** Two domains in each layer. */
export interface DomainComparison {
  readonly domains: readonly [string, string]
  readonly layers: readonly LayerDifference[]
}

export interface ExpertStatistics {
  readonly shape: RoutingShape
  readonly contextLength: number
  /** Of each domain, in the order in which they came first. */
  readonly domains: readonly DomainStatistics[]
  /** Of all together. */
  readonly all: DomainStatistics
  /** Of each two domains. */
  readonly comparisons: readonly DomainComparison[]
  readonly cache: {
    /** (layers * experts): the share of requests that a cache of 1, 2, 3 ... experts would have had. */
    readonly hitRates: readonly number[]
    /** (layers * experts): after how many tokens 1, 2, 3 ... distinct experts had been asked for; 0: they were not. */
    readonly reached: readonly number[]
  }
}

const USUAL_WINDOW = 512

/** What is counted of a domain. */
class Domain {
  readonly counts: RoutingCounts
  readonly blocks: DomainBlocks
  readonly favorites: FavoriteTokens
  constructor(shape: RoutingShape) {
    this.counts = new RoutingCounts(shape)
    this.blocks = new DomainBlocks(shape)
    this.favorites = new FavoriteTokens(shape)
  }
}

/**
 * Runs texts, and counts what the routers do with their tokens. BOS, if the model has it, comes before each window and
 * is not counted. The memory it takes depends on model and vocabulary, not on the length of the texts.
 *
 * Throws `OPTION` for no text, a text without tokens and impossible options; `CONTEXT` for a window that does not fit;
 * and what `MixtralModel.routing` throws.
 * @example
 * const { all } = await expertStatistics(model, [{ domain: 'stories', text }])
 * console.log(all.layers[0].shares)
 */
export async function expertStatistics(
  model: MixtralModel,
  texts: readonly DomainText[],
  options: ExpertStatisticsOptions = {},
): Promise<ExpertStatistics> {
  const { contextLength, most, favorites, call } = checkOptions(model, options)
  const { signal, onProgress, expertsPerToken } = call
  const { layers, experts } = model.config
  const shape = { layers, experts, used: expertsPerToken ?? model.config.expertsPerToken }
  const work = await tokensOf(model, texts, most)
  const total = work.reduce((sum, { ids }) => sum + ids.length, 0)
  const domains = new Map<string, Domain>()
  const all = new Domain(shape)
  const cache = new ExpertCache(shape)
  const slice = new TimeSlice()
  const bos = model.tokenizer.addBos ? [model.tokenizer.bosId] : []
  let loaded = 0
  for (const { domain, ids } of work) {
    const own = domains.get(domain) ?? new Domain(shape)
    domains.set(domain, own)
    for (let start = 0; start < ids.length; start += contextLength - bos.length) {
      const window = ids.slice(start, start + contextLength - bos.length)
      const pass = { ...(signal && { signal }), ...(expertsPerToken !== undefined && { expertsPerToken }) }
      const routed = await model.routing([...bos, ...window], pass)
      for (const each of [own, all]) each.counts.cut()
      for (const token of routed.slice(bos.length)) {
        for (const { counts, blocks, favorites } of [own, all]) {
          counts.add(token)
          blocks.add(token.ids)
          favorites.add(token.id, token.ids)
        }
        cache.add(token.ids)
        if (slice.isOver) await slice.pause(signal)
      }
      loaded += window.length
      onProgress?.({ loaded, total })
    }
  }
  const named = [...domains]
  const comparisons = named.flatMap(([first, a], i) =>
    named
      .slice(i + 1)
      .map(([second, b]): DomainComparison => ({ domains: [first, second], layers: domainDifference(a.blocks, b.blocks, shape) })),
  )
  return {
    shape,
    contextLength,
    domains: named.map(([domain, counted]) => figuresOf(domain, counted, favorites)),
    all: figuresOf('all', all, favorites),
    comparisons,
    cache: {
      hitRates: Array.from({ length: layers * experts }, (_, i) => cache.hitRate(i + 1)),
      reached: [...cache.reached],
    },
  }
}

async function tokensOf(model: MixtralModel, texts: readonly DomainText[], most: number): Promise<{ domain: string; ids: number[] }[]> {
  checkKind('the texts', texts, Array.isArray(texts) && texts.length > 0, 'a list of at least one')
  const left = new Map<string, number>()
  const work = texts.map(({ domain, text }, i) => {
    checkText(`the domain of text ${i}`, domain)
    checkText(`text ${i}`, text)
    const room = left.get(domain) ?? most
    const ids = model.tokenizer.encode(text, { addBos: false }).slice(0, room)
    left.set(domain, room - ids.length)
    return { domain, ids }
  })
  const empty = [...left.keys()].find((domain) => work.every((one) => one.domain !== domain || one.ids.length === 0))
  if (empty !== undefined) throw new MixtralError('OPTION', `the texts of ${shown(empty)} have no tokens, expected at least one`)
  return work.filter(({ ids }) => ids.length > 0)
}

function checkOptions(model: MixtralModel, given: ExpertStatisticsOptions) {
  const options = checkCallOptions(given, ['contextLength', 'tokens', 'expertsPerToken', 'favorites'])
  const longest = Math.min(model.contextLength, model.config.maxPositions)
  const { contextLength = Math.min(USUAL_WINDOW, longest), tokens: most = Number.MAX_SAFE_INTEGER, favorites = 5, ...call } = options
  for (const [name, value, least] of [
    ['contextLength', contextLength, 2],
    ['tokens', most, 1],
    ['favorites', favorites, 0],
  ] as const) {
    if (!Number.isSafeInteger(value) || value < least)
      throw new MixtralError('OPTION', `${name} is ${shown(value)}, expected a whole number from ${least}`)
  }
  if (contextLength > longest) throw new MixtralError('CONTEXT', `windows of ${contextLength} tokens, the context has room for ${longest}`)
  return { contextLength, most, favorites, call }
}

function figuresOf(domain: string, { counts, favorites }: Domain, most: number): DomainStatistics {
  const { layers, experts, used } = counts.shape
  const { tokens, choices, probabilities } = counts
  const ofAll = { choices: new Float64Array(used * experts), probabilities: new Float64Array(experts) }
  for (let i = 0; i < choices.length; i++) ofAll.choices[i % (used * experts)]! += choices[i]!
  for (let i = 0; i < probabilities.length; i++) ofAll.probabilities[i % experts]! += probabilities[i]!
  return {
    domain,
    tokens,
    layers: Array.from({ length: layers }, (_, layer) => layerFigures(counts, favorites, layer, most)),
    balancingLoss: loadBalancingLoss({ rows: tokens * layers, ...ofAll }),
  }
}

function layerFigures(counts: RoutingCounts, favorites: FavoriteTokens, layer: number, most: number): LayerStatistics {
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
    favorites: perExpert((expert) => favorites.of(layer, expert, most)),
  }
}
