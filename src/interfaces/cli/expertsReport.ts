// `mixtral experts --html`: the statistics of experts as one file for a browser, which asks nobody for anything. Owns
// what stands in it, in which order, and what may run in it; its script and style are built of page/report/.

import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { DomainStatistics } from '../../evaluation/experts/domainFigures.js'
import type { ExpertStatistics } from '../../evaluation/experts/expertStatistics.js'
import { middleOf } from '../../evaluation/experts/routingCounts.js'
import { packageVersion } from '../server/packageVersion.js'
import { type Html, html, jsonData, trusted } from './html.js'
import { findings, heatMaps, repetition, STRENGTHS, shareCharts } from './reportSections.js'
import { balance, comparisons, memory } from './reportTables.js'
import { coloredText, favorites, routedText } from './reportText.js'

/** How much a report shows: tokens in color of all domains together, domains, and favorite tokens of an expert. */
interface Detail {
  readonly tokens: number
  readonly domains: number
  readonly favorites: number
}

/** All that a report shows: more domains would share colors. With 32 layers, 2,000 tokens take some 250 kB. */
const FULL: Detail = { tokens: 2000, domains: 8, favorites: 5 }
/** What is left out where a report would be too large: models with many layers or experts take more for all of it. */
const LESS: readonly Detail[] = [
  { tokens: 1000, domains: 8, favorites: 5 },
  { tokens: 1000, domains: 8, favorites: 3 },
  { tokens: 500, domains: 8, favorites: 2 },
  { tokens: 500, domains: 4, favorites: 1 },
  { tokens: 100, domains: 2, favorites: 0 },
]
/** What a browser shows without waiting, and a mail takes. */
const MOST_BYTES = 500_000
/** Characters of a domain's name, which stands in many places. */
const LONGEST_NAME = 80

/** How many of the first tokens of each domain a report can show. */
export const shownTokens = (domains: number) => Math.floor(FULL.tokens / Math.min(FULL.domains, domains))

export interface ReportSource {
  /** The name of the model. */
  readonly model: string
  readonly statistics: ExpertStatistics
  /** The spelling of a token in the vocabulary. */
  readonly spell: (id: number) => string
  /** The text of each of successive tokens; empty for a part of a character. */
  readonly pieces: (ids: readonly number[]) => readonly string[]
}

/**
 * The report, as a file's text of at most 500 kB: of large models and of many domains, it shows less. The domains must
 * have their beginnings.
 */
export function expertsReport(source: ReportSource): string {
  let report = reportOf(source, FULL)
  for (const detail of LESS) {
    if (Buffer.byteLength(report) <= MOST_BYTES) break
    report = reportOf(source, detail)
  }
  return report
}

/** What a report shows of statistics. */
function shownPart(
  { domains, all, comparisons, ...others }: ExpertStatistics,
  { tokens, domains: most, favorites }: Detail,
): ExpertStatistics {
  const { layers, used } = others.shape
  const shown = domains.slice(0, most)
  const isShown = new Set(shown.map(({ domain }) => domain))
  const begun = Math.floor(tokens / shown.length)
  const cut = ({ beginning, ...domain }: DomainStatistics): DomainStatistics => ({
    ...domain,
    domain: nameOf(domain.domain),
    beginning: {
      tokens: beginning!.tokens.slice(0, begun),
      experts: beginning!.experts.slice(0, begun * layers * used),
      weights: beginning!.weights.slice(0, begun * layers * used),
    },
  })
  return {
    ...others,
    domains: shown.map(cut),
    all: { ...all, layers: all.layers.map((layer) => ({ ...layer, favorites: layer.favorites.map((list) => list.slice(0, favorites)) })) },
    comparisons: comparisons
      .filter(({ domains: [a, b] }) => isShown.has(a) && isShown.has(b))
      .map(({ domains: [a, b], layers }) => ({ domains: [nameOf(a), nameOf(b)], layers })),
  }
}

const nameOf = (domain: string) => (domain.length > LONGEST_NAME ? `${domain.slice(0, LONGEST_NAME - 3)}...` : domain)

function reportOf({ model, statistics: whole, spell, pieces }: ReportSource, detail: Detail): string {
  const statistics = shownPart(whole, detail)
  const { shape, domains, all } = statistics
  const left = whole.domains.length - domains.length
  const { layers, experts, used } = shape
  const { script, style } = reportParts()
  const styles = trusted(style + classes(experts))
  const scripts = trusted(script)
  const policy = [
    "default-src 'none'",
    `script-src '${hash(scripts)}'`,
    `style-src '${hash(styles)}'`,
    "base-uri 'none'",
    "form-action 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join('; ')
  const shown = middleOf(layers)
  const data = { layers, experts, used, texts: domains.map((domain) => routedText(domain, shape)) }
  const title = `The experts of ${model}`
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>${title}</title>
<style>${styles}</style>
</head>
<body>
<main class="report">
<h1>${title}</h1>
<p class="facts">${all.tokens.toLocaleString('en')} tokens of ${domains.map(({ domain }, i) => html`${i > 0 && ', '}<bdi>${domain}</bdi>`)}.
${layers} layers of ${experts} experts; ${used} work on each token. Texts were run in windows of ${statistics.contextLength} tokens.${
    left > 0 &&
    html` ${left} more ${left === 1 ? 'domain is' : 'domains are'} counted
and not shown; <code>--json</code> and <code>--csv</code> have them.`
  }</p>
${findings(statistics)}
${heatMaps(statistics)}
${shareCharts(statistics, [0, shown, layers - 1])}
${repetition(statistics, [0, shown, layers - 1])}
${comparisons(statistics)}
${balance(statistics)}
<section aria-labelledby="text">
<h2 id="text">Token by token</h2>
<p>The first tokens of each domain, in the colors of their first experts. A token that is chosen, by a click or with the arrow keys, tells its experts
in all layers.</p>
<div id="controls" hidden>
<label class="slider"><span>Layer <strong id="layer-name">${shown}</strong></span><input id="layer" type="range" min="0" max="${layers - 1}" value="${shown}"></label>
<label class="check"><input type="checkbox" id="numbers">Write the experts’ numbers</label>
</div>
${domains.map(
  (domain) => html`<h3><bdi>${domain.domain}</bdi></h3>
${coloredText(domain, pieces(domain.beginning!.tokens), shown, shape)}`,
)}
<div id="token" role="status" aria-label="The token that is chosen"></div>
${detail.favorites > 0 && favorites(all, spell, shown)}
</section>
${memory(statistics)}
<footer><p>Written by mixtral-wasm ${packageVersion()}. The figures are defined in its docs/experts.md.</p></footer>
</main>
<script type="application/json" id="data">${jsonData(data)}</script>
<script>${scripts}</script>
</body>
</html>
`.text
}

interface ReportParts {
  readonly script: string
  readonly style: string
}

/** What the build has made of page/report/. */
function reportParts(): ReportParts {
  return JSON.parse(readFileSync(new URL('./report.json', import.meta.url), 'utf8'))
}

/** The classes that stand for values: the policy allows no styles of elements. */
function classes(experts: number): string {
  const hues = Array.from({ length: experts }, (_, e) => `.e${e}{--hue:${Math.round(25 + (360 / experts) * e) % 360}}`)
  const shares = Array.from({ length: STRENGTHS + 1 }, (_, n) => `.s${n}{--share:${n / STRENGTHS}}`)
  return [...hues, ...shares].join('')
}

function hash({ text }: Html): string {
  return `sha256-${createHash('sha256').update(text).digest('base64')}`
}
