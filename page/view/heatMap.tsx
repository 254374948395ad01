// A grid of layers and experts: how often each was used in an answer, or what one token was routed to. Each expert has
// its color, and its use the strength of it; readers of screens get numbers.

import type { Routing } from '../chats/routing.js'
import { balanceOf } from '../chats/routing.js'
import { routingChanges } from '../state/library.js'
import { hueOf, layer, percent } from './expertChoice.js'

interface Props {
  readonly routing: Routing
  /** Of this token; undefined for the whole answer. */
  readonly token: number | undefined
  /** The tokens are being written: the experts of the last one stand out. */
  readonly writing: boolean
  readonly caption: string
}

export function HeatMap({ routing, token, writing, caption }: Props) {
  routingChanges.value // the arrays grow in place
  const { layers, experts } = routing
  const columns = Array.from({ length: experts }, (_, expert) => expert)
  const at = Math.min(layer.value, layers - 1)
  return (
    <table class={`heat ${token === undefined ? '' : 'of-token'}`}>
      <caption class="unseen">{caption}</caption>
      <thead>
        <tr>
          <th scope="col" class="corner">
            <span class="unseen">layer</span>
          </th>
          {columns.map((expert) => (
            <th scope="col" key={expert} style={{ '--hue': hueOf(expert, experts) }}>
              <span class="unseen">expert </span>
              {expert}
            </th>
          ))}
          <th scope="col" class="even">
            <abbr title="Load of the busiest expert, beside an even load">load</abbr>
          </th>
        </tr>
      </thead>
      <tbody>
        {Array.from({ length: layers }, (_, row) => (
          <Row key={row} routing={routing} row={row} token={token} writing={writing} current={row === at} />
        ))}
      </tbody>
    </table>
  )
}

interface RowProps extends Pick<Props, 'routing' | 'token' | 'writing'> {
  readonly row: number
  readonly current: boolean
}

function Row({ routing, row, token, writing, current }: RowProps) {
  routingChanges.value
  const { experts, length } = routing
  const shares = routing.shares(row)
  const { most } = balanceOf(shares)
  const last = writing && length > 0 ? routing.at(length - 1, row).map(({ expert }) => expert) : []
  const own = token === undefined ? undefined : new Map(routing.at(token, row).map(({ expert, weight }) => [expert, weight]))
  return (
    // the slider of layers does the same by keyboard
    <tr
      class={current ? 'current' : ''}
      onClick={() => {
        layer.value = row
      }}
    >
      <th scope="row">
        <span class="unseen">layer </span>
        {row}
      </th>
      {shares.map((_, expert) => {
        const value = own ? (own.get(expert) ?? 0) : routing.counts[row * experts + expert]! / Math.max(length, 1)
        return (
          <td
            key={expert}
            class={last.includes(expert) ? 'now' : ''}
            data-uses={routing.counts[row * experts + expert]}
            style={{ '--hue': hueOf(expert, experts), '--share': value.toFixed(3) }}
            title={`layer ${row}, expert ${expert}: ${percent(value)}`}
          >
            <span class={own ? 'weight' : 'unseen'}>{own && value === 0 ? '' : Math.round(value * 100)}</span>
          </td>
        )
      })}
      <td class="even" title={`the busiest expert of layer ${row} has ${most.toFixed(2)} times an even load`}>
        {most.toFixed(1)}×
      </td>
    </tr>
  )
}
