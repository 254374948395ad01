// The texts of a report, token by token in the colors of their experts, and what its script knows of them. Pure.

import type { DomainStatistics } from '../../evaluation/experts/domainFigures.js'
import type { RoutingShape } from '../../evaluation/experts/routingCounts.js'
import { type Html, html } from './html.js'

/** Two experts fit into a byte. */
const SMALL = 16

/**
 * A text as elements, one for each token that has a text of its own, in the colors of their first experts in a layer.
 * @param pieces the text of each token
 */
export function coloredText({ domain, beginning }: DomainStatistics, pieces: readonly string[], layer: number, shape: RoutingShape): Html {
  const { layers, used } = shape
  const tokens = pieces.map((piece, token) => {
    const expert = beginning!.experts[(token * layers + layer) * used]
    return piece !== '' && html`<span class="token e${expert}" data-token="${token}">${piece}</span>`
  })
  const label = `Tokens of ${domain}, by expert`
  return html`<div class="colored" dir="auto" tabindex="0" aria-label="${label}">${tokens}</div>`
}

/** The tokens that each expert has most of, a table for each layer, of which one is shown. */
export function favorites({ layers }: DomainStatistics, spell: (id: number) => string, shown: number): Html {
  const bodies = layers.map(({ favorites }, layer) => {
    const rows = favorites.map((tokens, expert) => {
      const items = tokens.map(
        ({ id, share }) =>
          html`<li><code>${spell(id).replaceAll('\u2581', '␣').replaceAll('\n', '⏎')}</code> ${(share * 100).toFixed(0)} %</li>`,
      )
      return html`<tr><th scope="row"><span class="chip e${expert}">${expert}</span></th><td>${items.length > 0 ? html`<ul>${items}</ul>` : 'none came often enough'}</td></tr>`
    })
    return html`<tbody data-layer="${layer}"${layer !== shown && html` hidden`}>${rows}</tbody>`
  })
  return html`<h3>Favorite tokens</h3>
<p>The tokens of all domains that each expert of the layer has most of, and the share of their occurrences that it took part in. Tokens that came
fewer than 8 times do not count.</p>
<table class="favorites"><thead><tr><th scope="col">expert</th><th scope="col">tokens</th></tr></thead>${bodies}</table>`
}

/** What the report's script knows of a text: page/report/report.ts. */
export function routedText({ beginning }: DomainStatistics, { experts, used }: RoutingShape): { ids: string; weights: string } {
  const { experts: ids, weights } = beginning!
  const kept = Array.from(weights).filter((_, i) => i % used < used - 1) // the last one is what is left
  return { ids: base64(packed(ids, experts)), weights: base64(Uint8Array.from(kept, (weight) => Math.round(weight * 255))) }
}

function packed(ids: Uint16Array, experts: number): Uint8Array {
  if (experts > 256) return new Uint8Array(Uint16Array.from(ids).buffer) // little-endian, as all machines are that run this
  if (experts > SMALL) return Uint8Array.from(ids)
  return Uint8Array.from({ length: Math.ceil(ids.length / 2) }, (_, i) => ids[2 * i]! | ((ids[2 * i + 1] ?? 0) << 4))
}

const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64')
