// The experts at work, beside the chat: the grid of an answer or of one token, the layer that colors the text, and how
// even the layer's load is.

import { useEffect } from 'preact/hooks'
import { balanceOf, type Routing } from '../chats/routing.js'
import { live } from '../state/answering.js'
import { routingChanges } from '../state/library.js'
import { preferences, set } from '../state/preferences.js'
import { chosenToken, hueOf, layer, lookedAt, percent, shownRouting, showsNumbers } from './expertChoice.js'
import { HeatMap } from './heatMap.js'
import { IconButton } from './icon.js'

export function ExpertsPanel() {
  routingChanges.value // the arrays grow in place
  const routing = shownRouting.value
  const message = lookedAt.value
  useEffect(() => {
    if (routing && layer.value >= routing.layers) layer.value = routing.layers - 1
  }, [routing])
  useEffect(() => {
    // a token that is chosen in the text is shown at the top, which may be out of sight
    if (chosenToken.value) document.querySelector('#panel .panel-body')?.scrollTo({ top: 0 })
  }, [chosenToken.value])
  if (!routing || !message || routing.length === 0) {
    return (
      <div class="panel-text">
        <p>In each layer, a router sends every token to a few of the experts. Ask something, and watch them at work here.</p>
        {message && !live.value && <p>The experts of this answer are not known.</p>}
      </div>
    )
  }
  const chosen = chosenToken.value
  const token = chosen?.message === message.id && chosen.token < routing.length ? chosen.token : undefined
  const writing = live.value?.message === message.id
  const text = writing ? live.value!.text : message.content
  return (
    <div class="experts">
      <p class="facts">
        {routing.layers} layers of {routing.experts} experts; {routing.used} write each token.
      </p>
      <Scope
        routing={routing}
        message={message.id}
        text={text}
        token={token}
        ended={!writing && message.finish === 'stop' && isEnd(routing, text)}
      />
      <HeatMap
        routing={routing}
        token={token}
        writing={writing}
        caption={
          token === undefined ? 'Percent of tokens that each expert wrote, by layer' : 'Weights of the token’s experts in percent, by layer'
        }
      />
      <p class="legend">
        {token === undefined
          ? 'The stronger a color, the more tokens the expert wrote. On the right, the load of a layer’s busiest expert, beside an even load.'
          : 'The weights, in percent, with which the token’s experts count in each layer.'}
      </p>
      <LayerChoice routing={routing} />
    </div>
  )
}

/** Whether the last token has no text. */
function isEnd(routing: Routing, text: string): boolean {
  return text.slice(...routing.span(routing.length - 1)) === ''
}

interface ScopeProps {
  readonly routing: Routing
  readonly message: string
  readonly text: string
  readonly token: number | undefined
  /** Whether the model has ended the answer itself. */
  readonly ended: boolean
}

function Scope({ routing, message, text, token, ended }: ScopeProps) {
  routingChanges.value
  const go = (next: number | undefined) => {
    chosenToken.value = next === undefined ? undefined : { message, token: next }
    document.querySelector(`[data-message="${CSS.escape(message)}"] [data-token="${next}"]`)?.scrollIntoView({ block: 'nearest' })
  }
  if (token === undefined) {
    return (
      <div class="scope">
        <span>
          <strong>{routing.length}</strong> {ended ? 'tokens with the end token' : 'tokens were drawn'}
        </span>
        <button type="button" class="quiet" onClick={() => go(0)}>
          Token by token
        </button>
      </div>
    )
  }
  const piece = text.slice(...routing.span(token))
  return (
    <div class="scope">
      <IconButton icon="left" label="Previous token" disabled={token === 0} onClick={() => go(token - 1)} />
      <span class="token-name" role="status">
        <code>
          {piece === '' ? (token === routing.length - 1 ? 'end' : 'part of a character') : piece.replaceAll('\n', '⏎').replaceAll(' ', '␣')}
        </code>
        <small>
          {token + 1} of {routing.length}
        </small>
      </span>
      <IconButton icon="right" label="Next token" disabled={token === routing.length - 1} onClick={() => go(token + 1)} />
      <button type="button" class="quiet" onClick={() => go(undefined)}>
        Whole answer
      </button>
    </div>
  )
}

function LayerChoice({ routing }: { readonly routing: Routing }) {
  routingChanges.value
  const at = Math.min(layer.value, routing.layers - 1)
  const shares = routing.shares(at)
  const { effective, most } = balanceOf(shares)
  return (
    <section class="layer" aria-labelledby="layer-name">
      <label class="slider">
        <span id="layer-name">
          Layer <strong>{at}</strong>
        </span>
        <input
          type="range"
          min={0}
          max={routing.layers - 1}
          value={at}
          aria-valuetext={`layer ${at}`}
          onInput={({ currentTarget }) => {
            layer.value = Number(currentTarget.value)
          }}
        />
      </label>
      <ul class="bars">
        {shares.map((share, expert) => (
          <li key={expert} style={{ '--hue': hueOf(expert, routing.experts), '--share': (share / Math.max(...shares, 1e-9)).toFixed(3) }}>
            <span class="bar-name">
              <span class="unseen">expert </span>
              {expert}
            </span>
            <span class="bar" aria-hidden="true">
              <i />
            </span>
            <span class="bar-value">{percent(share)}</span>
          </li>
        ))}
      </ul>
      <p class="facts">
        As diverse as <strong>{effective.toFixed(1)}</strong> experts used alike; the busiest has {most.toFixed(1)} times its even share.
      </p>
      <label class="check">
        <input
          type="checkbox"
          checked={preferences.value.colored}
          onChange={({ currentTarget }) => set({ colored: currentTarget.checked })}
        />
        Color the text by this layer’s experts
      </label>
      {preferences.value.colored && (
        <label class="check">
          <input
            type="checkbox"
            checked={showsNumbers.value}
            onChange={({ currentTarget }) => {
              showsNumbers.value = currentTarget.checked
            }}
          />
          Write their numbers, too
        </label>
      )}
    </section>
  )
}
