// The sections of a report on experts: what was found, heat maps, charts after the Mixtral paper's figures, and tables.
// Pure; measures nothing. Definitions: docs/experts.md.

import type { DomainStatistics, LayerStatistics } from '../../evaluation/experts/domainFigures.js'
import type { DomainComparison, ExpertStatistics } from '../../evaluation/experts/expertStatistics.js'
import { chanceOfAny, type RoutingShape } from '../../evaluation/experts/routingCounts.js'
import { type Html, html } from './html.js'
import { barChart, legend, lineChart } from './reportCharts.js'
import { figuresTable, LEVEL, percent, range, section } from './reportParts.js'

/** How many strengths a color has in heat maps: the classes `s0` to `s40`. */
export const STRENGTHS = 40
/** A share of this many times an even one has the full color. */
const FULL = 2.5
/** More pairs of domains than this have a table and no sentence. */
const MOST_SENTENCES = 6

/** What stands in the figures, in sentences. */
export function findings({ shape, all, comparisons }: ExpertStatistics): Html {
  const { experts, used } = shape
  const of = (what: (layer: LayerStatistics) => number) => all.layers.map(what)
  const known = of(({ vocabularySpecialization }) => vocabularySpecialization ?? Number.NaN).filter((value) => !Number.isNaN(value))
  return section(
    'found',
    'In short',
    html`<ul class="findings">
${comparisons.length <= MOST_SENTENCES && comparisons.map((pair) => html`<li>${difference(pair)}</li>`)}
<li>Load: by layer, as if ${range(
      of(({ balance }) => balance.effectiveExperts),
      (value) => value.toFixed(1),
    )} of ${experts} experts were used alike. The loss of load balancing is ${all.balancingLoss.toFixed(3)}; even load gives ${used}.</li>
<li>The next token has the same first expert in ${range(
      of(({ firstRepeats }) => firstRepeats),
      (value) => percent(value),
    )} of cases, by layer; by chance it would be ${percent(1 / experts)}.</li>
${
  known.length > 0 &&
  html`<li>A token goes to its favorite expert of a layer in ${range(known, (value) => percent(value, 0))} of its occurrences; if tokens did not matter, it
would be ${percent(used / experts, 0)}.</li>`
}
</ul>`,
  )
}

function difference({ domains: [a, b], layers }: DomainComparison): Html {
  const both = html`<bdi>${a}</bdi> and <bdi>${b}</bdi>`
  if (layers[0]!.p === undefined) return html`${both}: a text is too short to tell whether they differ.`
  const differing = layers.filter(({ p }) => p! <= LEVEL).length
  const divergences = layers.map(({ divergence }) => divergence)
  const most = divergences.indexOf(Math.max(...divergences))
  const by = html`by chance it would be ${(layers.length * LEVEL).toFixed(1)}`
  if (differing === 0) return html`${both} do not differ by more than chance in any layer.`
  return html`${both} differ in ${differing} of ${layers.length} layers (p at most ${LEVEL}; ${by}), most in layer ${most}, by
${divergences[most]!.toFixed(4)} of at most 0.693 nats.`
}

/** A grid of layers and experts for each domain. */
export function heatMaps({ shape, domains, all }: ExpertStatistics): Html {
  const shown = domains.length > 1 ? [...domains, { ...all, domain: 'all domains' }] : domains
  return section(
    'maps',
    'Which experts the tokens go to',
    html`<p>The share of each expert among a layer’s choices, in percent. Even shares would be ${percent(1 / shape.experts)}. On the right, the load of the
layer’s busiest expert, beside an even load.</p>
<div class="maps">${shown.map((domain) => heatMap(domain, shape))}</div>`,
  )
}

function heatMap({ domain, tokens, layers }: DomainStatistics, { experts }: RoutingShape): Html {
  const name = html`<bdi>${domain}</bdi> <small>${tokens.toLocaleString('en')} tokens</small>`
  const columns = Array.from(
    { length: experts },
    (_, e) => html`<th scope="col" class="e${e}"><span class="unseen">expert </span>${e}</th>`,
  )
  const rows = layers.map(({ shares, balance }, layer) => {
    const cells = shares.map((share, e) => {
      const strength = Math.round(Math.min(1, (share * experts) / FULL) * STRENGTHS)
      return html`<td class="e${e} s${strength}"><span class="value${experts > 16 && ' unseen'}">${(share * 100).toFixed(0)}</span></td>`
    })
    const load = html`<td class="even">${balance.maxOverMean.toFixed(1)}×</td>`
    return html`<tr data-layer="${layer}"><th scope="row"><span class="unseen">layer </span>${layer}</th>${cells}${load}</tr>`
  })
  return html`<figure><figcaption>${name}</figcaption><table class="heat"><caption class="unseen">Shares of experts by layer, ${domain}</caption>
<thead><tr><th scope="col" class="corner"><span class="unseen">layer</span></th>${columns}<th scope="col" class="even">load</th></tr></thead>
<tbody>${rows}</tbody></table></figure>`
}

const RANKS = ['first', 'second', 'third', 'fourth']
const rankName = (rank: number) => `${RANKS[rank] ?? `${rank + 1}th`} choice`

/** The paper's figures 7 and 9: shares in some layers, of all choices and of the first ones. */
export function shareCharts({ shape, domains }: ExpertStatistics, layers: readonly number[]): Html {
  const { experts, used } = shape
  const kinds = [undefined, ...(used > 1 ? [0, 1] : [])]
  const valuesOf = ({ layers }: DomainStatistics, layer: number, rank: number | undefined) =>
    rank === undefined ? layers[layer]!.shares : layers[layer]!.rankShares[rank]!
  const shown = [...new Set(layers)]
  const all = shown.flatMap((layer) => kinds.flatMap((rank) => domains.flatMap((domain) => valuesOf(domain, layer, rank))))
  const most = all.reduce((most, share) => Math.max(most, share), 0) * 1.04
  const charts = shown.flatMap((layer) =>
    kinds.map((rank) => {
      const title = `Layer ${layer}, ${rank === undefined ? (used > 1 ? 'all choices' : 'the choice') : rankName(rank)}`
      const series = domains.map((domain) => ({ name: domain.domain, values: valuesOf(domain, layer, rank) }))
      const chart = barChart({ label: `${title}: share of each expert, by domain`, series, most, chance: 1 / experts })
      return html`<figure><figcaption>${title}</figcaption>${chart}</figure>`
    }),
  )
  const numbers = shown.flatMap((layer) =>
    kinds.flatMap((rank) =>
      domains.map((domain) => {
        const name = html`<bdi>${domain.domain}</bdi>`
        const shares = valuesOf(domain, layer, rank).map((share) => (share * 100).toFixed(1))
        return [name, `${layer}`, rank === undefined ? 'all' : rankName(rank).split(' ')[0]!, ...shares]
      }),
    ),
  )
  const head = ['domain', 'layer', 'choice', ...Array.from({ length: experts }, (_, e) => `${e}`)]
  return section(
    'shares',
    'Shares by domain',
    html`<p>The same in the first, a middle and the last layer: figures 7 and 9 of the Mixtral paper.</p>
${legend(
  domains.map(({ domain }) => domain),
  `even shares, ${percent(1 / experts)}`,
)}
<div class="charts">${charts}</div>
<details><summary>The numbers, in percent</summary>${figuresTable({ label: 'Shares in percent', head, rows: numbers })}</details>`,
  )
}

/** The paper's figure 10 and its table 5: how often the next token stays with its experts. */
export function repetition({ shape, domains }: ExpertStatistics, layers: readonly number[]): Html {
  const kinds = [
    { title: 'The same first expert', of: ({ firstRepeats }: LayerStatistics) => firstRepeats, chance: 1 / shape.experts },
    { title: 'An expert in common', of: ({ anyRepeats }: LayerStatistics) => anyRepeats, chance: chanceOfAny(shape) },
  ].slice(0, Math.min(2, shape.used))
  const charts = kinds.map(({ title, of, chance }) => {
    const series = domains.map(({ domain, layers }) => ({ name: domain, values: layers.map(of) }))
    const most = Math.min(1, Math.max(chance, ...series.flatMap(({ values }) => values)) * 1.08)
    const label = `${title} as the token before, by layer and domain`
    return html`<figure><figcaption>${title}, by layer</figcaption>${lineChart({ label, series, most, chance })}</figure>`
  })
  const shown = [...new Set(layers)]
  const head = ['domain', ...kinds.flatMap(({ title }) => shown.map((layer) => `${title.toLowerCase()}, layer ${layer}`))]
  const rows = domains.map(({ domain, layers }) => {
    return [html`<bdi>${domain}</bdi>`, ...kinds.flatMap(({ of }) => shown.map((layer) => percent(of(layers[layer]!))))]
  })
  const chances = ['by chance', ...kinds.flatMap(({ chance }) => shown.map(() => percent(chance)))]
  return section(
    'repeats',
    'Does the next token stay?',
    html`<p>How often a token has an expert of the one before it: figure 10 and table 5 of the paper. Above the dashed line it is more often than by
chance.</p>
${legend(
  domains.map(({ domain }) => domain),
  'by chance',
)}
<div class="charts">${charts}</div>
<details><summary>The numbers</summary>${figuresTable({ label: 'Repetitions', head, rows: [...rows, chances] })}</details>`,
  )
}
