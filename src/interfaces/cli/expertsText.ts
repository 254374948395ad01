// The statistics of experts as a command prints them: tables with bars, and CSV. Pure; measures nothing.

import { plainLine, textWidth } from '../../base/terminalText.js'
import type { DomainStatistics } from '../../evaluation/experts/domainFigures.js'
import type { ExpertStatistics } from '../../evaluation/experts/expertStatistics.js'
import { chanceOfAny, middleOf, type RoutingShape } from '../../evaluation/experts/routingCounts.js'
import { columns } from './layout.js'

/** Tables of two domains that are printed: those of eight. */
const MOST_PAIRS = 28

/** Eighths of a cell, from nothing to all of it. */
const BARS = ' ▁▂▃▄▅▆▇█'

interface TextOptions {
  /** The name of the model. */
  readonly model: string
  /** The spelling of a token in the vocabulary. */
  readonly spell: (id: number) => string
  /** Columns that a line may take: a table that is wider becomes several. */
  readonly width: number
}

export function expertsText(statistics: ExpertStatistics, { model, spell, width }: TextOptions): string {
  const { shape, contextLength, domains, all, comparisons, cache, prediction } = statistics
  const { layers, experts, used } = shape
  const parts = [
    `${plainLine(model)}: ${layers} layers of ${experts} experts, ${used} for each token; windows of ${contextLength} tokens\n`,
  ]
  const shown = domains.length > 1 ? [...domains, { ...all, domain: 'all domains' }] : domains
  for (const domain of shown) parts.push(domainText(domain, shape, width))
  for (const { domains: names, layers } of comparisons.slice(0, MOST_PAIRS)) {
    const least = (p: number | undefined) => (p === undefined ? 'too short' : p <= 0.001 ? '<= 0.001' : p.toFixed(3))
    const table = [['layer', 'divergence', 'p'], ...layers.map(({ divergence, p }, layer) => [`${layer}`, divergence.toFixed(5), least(p)])]
    parts.push(
      `${plainLine(names[0])} and ${plainLine(names[1])}: Jensen-Shannon divergence in nats, at most 0.693, and the chance of as much between texts of one kind\n${columns(table, [0, 1, 2])}`,
    )
  }
  const more = comparisons.length - MOST_PAIRS
  if (more > 0) parts.push(`${more} more pairs of domains are compared; --json has them.\n`)
  parts.push(`Favorite tokens of each expert in the first, the middle and the last layer\n${favorites(all, spell)}`)
  const keys = shape.layers * shape.experts
  const slots = [1 / 4, 1 / 2, 3 / 4].map((share) => Math.round(keys * share))
  const rates = slots.map((count) => `${count} of ${keys} experts ${percent(cache.hitRates[count - 1] ?? 0)}`)
  const reached = cache.reached.filter((at) => at > 0)
  parts.push(
    `A cache of the experts that were used last would have had: ${rates.join(', ')}.\n${reached.length} of ${keys} experts were used, the last of them first by token ${reached.at(-1) ?? 0}.\n`,
  )
  const mean = (values: readonly number[]) => percent(values.reduce((sum, value) => sum + value, 0) / values.length)
  if (shape.layers > 1)
    parts.push(
      `Of a token's experts, the tokens before it tell ${mean(prediction.fromLayerBefore.slice(1))} by those of the layer before, and ${mean(prediction.fromUses)} by those that a layer uses most; by chance ${percent(used / experts)}.\n`,
    )
  return parts.join('\n')
}

function domainText({ domain, tokens, layers, balancingLoss }: DomainStatistics, shape: RoutingShape, width: number): string {
  const { experts, used } = shape
  const even = 1 / experts
  const ofShares = (shares: readonly number[]) => [
    shares.map((share) => BARS[Math.min(8, Math.round(share * experts * 4))]).join(''), // half a cell is an even share
    shares.map((share) => (share * 100).toFixed(1).padStart(4)).join(' '),
  ]
  const names = ['layer', ...layers.map((_, layer) => `${layer}`), 'if even'].map((name) => [name])
  const blocks: readonly Rows[] = [
    [
      ['experts', `shares of experts 0 to ${experts - 1} in %`],
      ...layers.map(({ shares }) => ofShares(shares)),
      ofShares(Array.from({ length: experts }, () => even)),
    ],
    [
      ['same first', 'any same'],
      ...layers.map(({ firstRepeats, anyRepeats }) => [percent(firstRepeats), percent(anyRepeats)]),
      [percent(even), percent(chanceOfAny(shape))],
    ],
    [
      ['entropy', 'margin', 'in effect', 'loss'],
      ...layers.map(({ entropy, margin, balance, balancingLoss }) => inDigits(entropy, margin, balance.effectiveExperts, balancingLoss)),
      inDigits(Math.log(experts), 0, experts, used),
    ],
  ]
  return `${plainLine(domain)}: ${tokens} tokens, loss of load balancing ${balancingLoss.toFixed(4)}\n${tablesWithin(names, blocks, width)}`
}

type Rows = readonly (readonly string[])[]

const inDigits = (entropy: number, margin: number, effective: number, loss: number) => [
  entropy.toFixed(3),
  margin.toFixed(3),
  effective.toFixed(2),
  loss.toFixed(3),
]

/** Blocks of columns behind the names of their rows: side by side as far as they have room, then below each other. */
function tablesWithin(names: Rows, blocks: readonly Rows[], width: number): string {
  const beside = (left: Rows, right: Rows) => left.map((row, i) => [...row, ...right[i]!])
  const textOf = (rows: Rows) =>
    columns(
      rows,
      rows[0]!.flatMap((head, i) => (/^(experts|shares)/.test(head) ? [] : [i])),
    )
  const isWithin = (rows: Rows) =>
    textOf(rows)
      .split('\n')
      .every((line) => textWidth(line) <= width)
  const tables: Rows[] = []
  for (const block of blocks) {
    const last = tables.at(-1)
    if (last && isWithin(beside(last, block))) tables[tables.length - 1] = beside(last, block)
    else tables.push(beside(names, block))
  }
  return tables.map(textOf).join('\n')
}

function favorites({ layers }: DomainStatistics, spell: (id: number) => string): string {
  const shown = [...new Set([0, middleOf(layers.length), layers.length - 1])]
  const rows = shown.flatMap((layer) =>
    layers[layer]!.favorites.map((tokens, expert) => [
      `${layer}`,
      `${expert}`,
      tokens.map(({ id, share }) => `${spell(id)} ${percent(share)}`).join('  ') || 'none came often enough',
    ]),
  )
  return columns([['layer', 'expert', 'share of their occurrences'], ...rows], [0, 1])
}

/** A row for each domain, layer and expert. */
export function expertsCsv({ domains }: ExpertStatistics): string {
  const ranks = domains[0]!.layers[0]!.rankShares.map((_, rank) => `share_of_choice_${rank + 1}`)
  const rows = domains.flatMap(({ domain, layers }) =>
    layers.flatMap(({ shares, rankShares }, layer) =>
      shares.map((share, expert) => [cell(domain), layer, expert, share, ...rankShares.map((rank) => rank[expert]!)].join(',')),
    ),
  )
  return `${['domain', 'layer', 'expert', 'share', ...ranks].join(',')}\n${rows.map((row) => `${row}\n`).join('')}`
}

/** A text for a cell of CSV: quoted where it must be, and no formula for a spreadsheet. */
function cell(text: string): string {
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text
  return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}

const percent = (part: number) => `${(part * 100).toFixed(1)} %`
