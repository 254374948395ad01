// What a model's experts do on texts: counts of the routing of every token, domain by domain, and the figures made of
// them. Owns how texts are run; the figures are defined beside their counts. Definitions: docs/experts.md.

import { abortedError, checkKind, checkText, listCopy, MixtralError, shown } from '../../base/errors.js'
import { limits } from '../../base/limits.js'
import { Told } from '../../base/onAbort.js'
import { inSlices, TimeSlice } from '../../base/timeSlice.js'
import { type CallOptions, checkCallOptions } from '../../runtime/engine/callArguments.js'
import type { Routing } from '../../runtime/model/routes.js'
import type { MixtralModel } from '../../text/generate/mixtralModel.js'
import { routingTableOf, TokenModel } from '../../text/generate/tokenModel.js'
import type { RoutingTable } from '../../text/generate/tokenRouting.js'
import { stepsOf } from '../../text/tokenizer/tokenizer.js'
import { DomainBlocks, domainDifference, type LayerDifference } from './domainBlocks.js'
import { type DomainStatistics, figuresOf, type RoutedBeginning } from './domainFigures.js'
import { ExpertCache } from './expertCache.js'
import { FavoriteTokens } from './favoriteTokens.js'
import { LayerPrediction } from './layerPrediction.js'
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
  /** How many of the first tokens of each domain are kept with their experts, to be shown. Default 0. */
  readonly beginning?: number
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
  /** What reading ahead could hope for: the experts of a token, told from the counts of the tokens before it. */
  readonly prediction: {
    /** (layers): of a layer's uses, the share that its most used experts had. */
    readonly fromUses: readonly number[]
    /** (layers): the share that followed most often from the experts of the layer before. None of the first: 0. */
    readonly fromLayerBefore: readonly number[]
  }
}

const USUAL_WINDOW = 512

/** Tokens that are counted together, before the clock is looked at. */
const PIECE = 64

/** What is counted of a domain. */
class Domain {
  readonly counts: RoutingCounts
  readonly blocks: DomainBlocks
  readonly favorites: FavoriteTokens
  readonly #begun: Routing[] = []
  readonly #tokens: number[] = []

  constructor(shape: RoutingShape) {
    this.counts = new RoutingCounts(shape)
    this.blocks = new DomainBlocks(shape)
    this.favorites = new FavoriteTokens(shape)
  }

  /** `count` tokens of a window, from the `place`-th on; kept if they are of the first `beginning`. */
  add(window: RoutingTable, place: number, count: number, beginning: number): void {
    const { tokens, ids, weights, width } = window
    this.counts.add(window, place, count)
    for (let i = place; i < place + count; i++) {
      const at = i * width
      this.blocks.add(ids, at)
      this.favorites.add(tokens[i]!, ids, at)
      if (this.#tokens.length >= beginning) continue
      this.#tokens.push(tokens[i]!)
      this.#begun.push({ ids: ids.slice(at, at + width), weights: weights.slice(at, at + width) })
    }
  }

  get beginning(): RoutedBeginning {
    return {
      tokens: this.#tokens,
      experts: Uint16Array.from(this.#begun.flatMap(({ ids }) => [...ids])),
      weights: Float32Array.from(this.#begun.flatMap(({ weights }) => [...weights])),
    }
  }
}

/**
 * Runs texts, and counts what the routers do with their tokens. BOS, if the model has it, comes before each window and
 * is not counted. The memory it takes beside the tokens depends on model and vocabulary, not on the length of the
 * texts.
 *
 * Throws `OPTION` for no text, a domain without tokens, too many domains and impossible options; `CONTEXT` for a window
 * that does not fit; and what `MixtralModel.routing` throws.
 * @example
 * const { all } = await expertStatistics(model, [{ domain: 'stories', text }])
 * console.log(all.layers[0].shares)
 */
export async function expertStatistics(
  model: MixtralModel,
  texts: readonly DomainText[],
  options: ExpertStatisticsOptions = {},
): Promise<ExpertStatistics> {
  checkKind('the model', model, model instanceof TokenModel, 'a MixtralModel')
  const { contextLength, most, favorites, beginning, call } = checkOptions(model, options)
  const { signal, expertsPerToken } = call
  const progress = new Told(call.onProgress)
  const { layers, experts } = model.config
  const shape = { layers, experts, used: expertsPerToken ?? model.config.expertsPerToken }
  const work = await tokensOf(model, checkedTexts(texts), most, signal)
  const total = work.reduce((sum, { ids }) => sum + ids.length, 0)
  const domains = new Map<string, Domain>()
  const cache = new ExpertCache(shape)
  const prediction = new LayerPrediction(shape)
  const slice = new TimeSlice()
  const bos = model.tokenizer.addBos ? [model.tokenizer.bosId] : []
  const pass = { ...(signal && { signal }), ...(expertsPerToken !== undefined && { expertsPerToken }) }
  const windows = windowsOf(work, contextLength - bos.length)
  const begin = () => {
    const { value } = windows.next()
    if (!value) return undefined
    const routed = routingTableOf(model, [...bos, ...value.ids], pass)
    routed.catch(() => {}) // it is told when its turn comes
    return { ...value, routed }
  }
  let loaded = 0
  let next = begin()
  while (next) {
    const { domain, ids, routed } = next
    const window = await routed
    next = begin() // runs while this one is counted
    const own = domains.get(domain) ?? new Domain(shape)
    domains.set(domain, own)
    own.counts.cut()
    for (let place = bos.length; place < window.tokens.length; place += PIECE) {
      const count = Math.min(PIECE, window.tokens.length - place)
      own.add(window, place, count, beginning)
      cache.add(window.ids, place * window.width, count)
      prediction.add(window.ids, place * window.width, count)
      if (slice.isOver) await slice.pause(signal)
    }
    loaded += ids.length
    progress.next({ loaded, total })
  }
  const comparisons: DomainComparison[] = []
  const figures: DomainStatistics[] = []
  const counts = new RoutingCounts(shape)
  const allFavorites = new FavoriteTokens(shape)
  const named = [...domains]
  for (const [i, [domain, own]] of named.entries()) {
    for (const [other, { blocks }] of named.slice(i + 1)) {
      comparisons.push({ domains: [domain, other], layers: await inSlices(domainDifference(own.blocks, blocks, shape), signal) })
    }
    figures.push({
      ...(await inSlices(figuresOf(domain, own, favorites), signal)),
      ...(beginning > 0 && { beginning: own.beginning }),
    })
    counts.addAll(own.counts)
    allFavorites.addAll(own.favorites)
  }
  const all = await inSlices(figuresOf('all', { counts, favorites: allFavorites }, favorites), signal)
  await progress.end()
  if (signal?.aborted) throw abortedError(signal)
  const uses = total * shape.used
  return {
    shape,
    contextLength,
    domains: figures,
    all,
    comparisons,
    cache: {
      hitRates: Array.from({ length: layers * experts }, (_, i) => cache.hitRate(i + 1)),
      reached: [...cache.reached],
    },
    prediction: {
      fromUses: Array.from(prediction.fromUses, (told) => told / uses),
      fromLayerBefore: Array.from(prediction.fromBefore, (told) => told / uses),
    },
  }
}

interface DomainTokens {
  readonly domain: string
  readonly ids: Uint32Array
}

/** The texts window by window. */
function* windowsOf(work: readonly DomainTokens[], length: number): Generator<DomainTokens, undefined> {
  for (const { domain, ids } of work) {
    for (let start = 0; start < ids.length; start += length) yield { domain, ids: ids.subarray(start, start + length) }
  }
}

/** A copy of texts. Throws `OPTION` for what is no list of texts with their domains, and for too many domains. */
function checkedTexts(texts: readonly DomainText[]): DomainText[] {
  checkKind('texts', texts, Array.isArray(texts) && texts.length > 0, 'a list of at least one { domain, text }')
  const own = listCopy(texts).map((given, i): DomainText => {
    checkKind(`text ${i}`, given, typeof given === 'object' && given !== null, 'an object with domain and text')
    const { domain, text } = given
    checkText(`the domain of text ${i}`, domain)
    checkText(`text ${i}`, text)
    return { domain, text }
  })
  const { size } = new Set(own.map(({ domain }) => domain))
  if (size <= limits.statisticsDomains.most) return own
  throw new MixtralError('OPTION', `${size} domains, expected at most ${limits.statisticsDomains.most}: each two are compared`)
}

async function tokensOf(model: MixtralModel, texts: readonly DomainText[], most: number, signal?: AbortSignal): Promise<DomainTokens[]> {
  const left = new Map<string, number>()
  const work: DomainTokens[] = []
  for (const { domain, text } of texts) {
    const room = left.get(domain) ?? most
    const all = room === 0 ? [] : await inSlices(stepsOf(model.tokenizer).encode(text, { addBos: false }), signal)
    const ids = Uint32Array.from(room < all.length ? all.slice(0, room) : all)
    left.set(domain, room - ids.length)
    if (ids.length > 0) work.push({ domain, ids })
  }
  const empty = [...left.keys()].find((domain) => work.every((one) => one.domain !== domain))
  if (empty !== undefined) throw new MixtralError('OPTION', `the texts of ${shown(empty)} have no tokens, expected at least one`)
  return work
}

function checkOptions(model: MixtralModel, given: ExpertStatisticsOptions) {
  const options = checkCallOptions(given, ['contextLength', 'tokens', 'expertsPerToken', 'favorites', 'beginning'])
  const longest = Math.min(model.contextLength, model.config.maxPositions)
  const {
    contextLength = Math.min(USUAL_WINDOW, longest),
    tokens: most = Number.MAX_SAFE_INTEGER,
    favorites = 5,
    beginning = 0,
    ...call
  } = options
  for (const [name, value, least] of [
    ['contextLength', contextLength, 2],
    ['tokens', most, 1],
    ['favorites', favorites, 0],
    ['beginning', beginning, 0],
  ] as const) {
    if (!Number.isSafeInteger(value) || value < least)
      throw new MixtralError('OPTION', `${name} is ${shown(value)}, expected a whole number from ${least}`)
  }
  if (contextLength > longest) throw new MixtralError('CONTEXT', `windows of ${contextLength} tokens, the context has room for ${longest}`)
  return { contextLength, most, favorites, beginning, call }
}
