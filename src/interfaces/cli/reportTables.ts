// The tables of a report on experts: whether domains differ, how even the load is, and what a cache of experts would
// have had. Pure; measures nothing. Definitions: docs/experts.md.

import type { DomainStatistics, LayerStatistics } from '../../evaluation/experts/domainFigures.js'
import type { ExpertStatistics } from '../../evaluation/experts/expertStatistics.js'
import { type Html, html } from './html.js'
import { lineChart } from './reportCharts.js'
import { figuresTable, LEVEL, percent, section } from './reportParts.js'

/** Points of the curve of hits. */
const MOST_POINTS = 64

/** The permutation tests of each two domains. */
export function comparisons({ comparisons, shape }: ExpertStatistics): Html | undefined {
  if (comparisons.length === 0) return undefined
  const shownP = (p: number | undefined) => {
    if (p === undefined) return 'too short'
    const text = p <= 0.001 ? '≤ 0.001' : p.toFixed(3)
    return p <= LEVEL ? html`<span class="differs">${text}</span>` : text
  }
  const pairName = ([a, b]: readonly [string, string]) => html`<bdi>${a}</bdi> and <bdi>${b}</bdi>`
  const head = ['layer', ...comparisons.map(({ domains }) => pairName(domains))]
  const layers = Array.from({ length: shape.layers }, (_, layer) => layer)
  const p = layers.map((layer) => [`${layer}`, ...comparisons.map((pair) => shownP(pair.layers[layer]!.p))])
  const apart = layers.map((layer) => [`${layer}`, ...comparisons.map((pair) => pair.layers[layer]!.divergence.toFixed(5))])
  return section(
    'differences',
    'Do domains differ?',
    html`<p>Two texts always differ a little. This is the chance of as large a difference between texts of one kind: blocks of each two domains were dealt
out at random 999 times. Below ${LEVEL} it is bold; of ${shape.layers} layers, ${(shape.layers * LEVEL).toFixed(1)} are by chance.</p>
${figuresTable({ label: 'p-values by layer', head, rows: p })}
<details><summary>How far they are apart: Jensen-Shannon divergence in nats</summary>${figuresTable({ label: 'Divergences by layer', head, rows: apart })}</details>`,
  )
}

type Figure = readonly [name: string, of: (layer: LayerStatistics) => string]

/** How even the load of layers is, and how sure the routers are. */
export function balance({ shape, domains, all }: ExpertStatistics): Html {
  const { experts, used } = shape
  const figures: readonly Figure[] = [
    ['experts in effect', ({ balance }) => balance.effectiveExperts.toFixed(2)],
    ['largest over mean', ({ balance }) => balance.maxOverMean.toFixed(2)],
    ['coefficient of variation', ({ balance }) => balance.coefficientOfVariation.toFixed(3)],
    ['Jain’s index', ({ balance }) => balance.jainIndex.toFixed(3)],
    ['loss', ({ balancingLoss }) => balancingLoss.toFixed(3)],
    ['entropy in nats', ({ entropy }) => entropy.toFixed(3)],
    ['margin', ({ margin }) => margin.toFixed(3)],
    ['weight of the first', ({ firstWeight }) => firstWeight.toFixed(3)],
  ]
  const even = [experts.toFixed(2), '1.00', '0.000', '1.000', used.toFixed(3), Math.log(experts).toFixed(3), '0.000', (1 / used).toFixed(3)]
  const rows = [...all.layers.map((layer, i) => [`${i}`, ...figures.map(([, of]) => of(layer))]), ['if even', ...even]]
  const shown: readonly DomainStatistics[] = domains.length > 1 ? [...domains, { ...all, domain: 'all domains' }] : domains
  const losses = shown.map(({ domain, balancingLoss, layers }) => [
    html`<bdi>${domain}</bdi>`,
    balancingLoss.toFixed(4),
    ...[Math.min, Math.max].map((end) => end(...layers.map(({ balancingLoss }) => balancingLoss)).toFixed(4)),
  ])
  return section(
    'load',
    'How even is the load?',
    html`<p>Of all domains together. The loss is the one that training adds, without its coefficient; entropy and margin tell how sure a router is.</p>
${figuresTable({ label: 'Load by layer', head: ['layer', ...figures.map(([name]) => name)], rows })}
<h3>The loss of load balancing</h3>
<p>Layers that are uneven in opposite ways look even when they are pooled, as training pools them.</p>
${figuresTable({ label: 'Loss by domain', head: ['domain', 'all layers together', 'least of a layer', 'largest of a layer'], rows: losses })}`,
  )
}

/** What a cache of experts would have had, and how well the next experts can be told. */
export function memory({ shape, cache, prediction }: ExpertStatistics): Html {
  const { layers, experts, used } = shape
  const keys = layers * experts
  const every = Math.ceil(keys / MOST_POINTS)
  const slots = Array.from({ length: Math.ceil(keys / every) }, (_, i) => Math.min(keys, (i + 1) * every))
  const series = [{ name: 'hits', values: slots.map((count) => cache.hitRates[count - 1]!) }]
  const label = 'Share of requests that a cache of the last used experts would have had, by its slots'
  const shares = [...new Set([1 / 4, 1 / 2, 3 / 4, 1].map((share) => Math.max(1, Math.round(keys * share))))]
  const rows = shares.map((count) => [`${count} of ${keys}`, percent(cache.hitRates[count - 1]!)])
  const told = Array.from({ length: layers }, (_, layer) => [
    `${layer}`,
    layer === 0 ? '' : percent(prediction.fromLayerBefore[layer]!),
    percent(prediction.fromUses[layer]!),
  ])
  return section(
    'memory',
    'What less memory would cost',
    html`<p>With <code>--ram</code>, experts that do not fit are read from the file. A cache of those that were used last would have had:</p>
<div class="charts"><figure><figcaption>Hits by slots</figcaption>${lineChart({ label, series, most: 1, place: (i) => String(slots[i]) })}</figure>
${figuresTable({ label: 'Hits by slots', head: ['slots', 'hits'], rows })}</div>
<p>How many of a token’s experts the tokens before it tell: those that followed most often on the experts of the layer before, and those that
the layer used most. By chance it would be ${percent(used / experts)}.</p>
${figuresTable({ label: 'Predictions by layer', head: ['layer', 'from the layer before', 'from the layer’s uses'], rows: told })}`,
  )
}
