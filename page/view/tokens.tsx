// An answer as the tokens that it was written in, each in the color of its first expert in one layer. A click, or the
// arrow keys, choose a token; what it was routed to is shown beside the chat.

import { memo } from 'preact/compat'
import { useRef } from 'preact/hooks'
import type { Routing } from '../chats/routing.js'
import { routingChanges } from '../state/library.js'
import { chosenToken, hueOf, layer, showsNumbers } from './expertChoice.js'

interface Props {
  readonly message: string
  readonly text: string
  readonly routing: Routing
}

/** Tokens that are drawn anew together: the others stay as they are while the answer grows. */
const RUN = 64

export function ColoredText({ message, text, routing }: Props) {
  routingChanges.value // the arrays grow in place
  const box = useRef<HTMLDivElement>(null)
  const at = Math.min(layer.value, routing.layers - 1)
  const chosen = chosenToken.value?.message === message ? chosenToken.value.token : -1
  const shown: number[] = []
  for (let token = 0; token < routing.length; token++) {
    const [begin, end] = routing.span(token)
    if (end > begin) shown.push(token)
  }
  // one place in the order of focus: the arrow keys go on from there
  const entry = shown.includes(chosen) ? chosen : (shown[0] ?? -1)
  const go = (token: number | undefined) => {
    if (token === undefined) return
    chosenToken.value = { message, token }
    box.current?.querySelector<HTMLElement>(`[data-token="${token}"]`)?.focus()
  }
  const onKeyDown = (event: KeyboardEvent) => {
    const place = shown.indexOf(entry)
    const keys = { ArrowRight: shown[place + 1], ArrowLeft: shown[place - 1], Home: shown[0], End: shown.at(-1), Enter: entry, ' ': entry }
    const next = keys[event.key as keyof typeof keys]
    if (next === undefined) return
    event.preventDefault()
    go(next)
  }
  const onClick = ({ target }: MouseEvent) => {
    const token = (target as HTMLElement).dataset.token
    if (token !== undefined) go(Number(token))
  }
  const runs = Array.from({ length: Math.ceil(routing.length / RUN) }, (_, i) => i * RUN)
  const within = (token: number, from: number) => (token >= from && token < from + RUN ? token : -1)
  const ended = routing.length > 0 ? routing.span(routing.length - 1)[1] : 0
  return (
    <div class={`colored ${showsNumbers.value ? 'numbered' : ''}`} dir="auto">
      {text.slice(0, routing.start)}
      <div class="tokens" role="listbox" tabIndex={-1} aria-label="Tokens, by expert" ref={box} onKeyDown={onKeyDown} onClick={onClick}>
        {runs.map((from) => (
          <Run
            key={from}
            routing={routing}
            from={from}
            to={Math.min(from + RUN, routing.length)}
            text={text.slice(routing.span(from)[0], routing.span(Math.min(from + RUN, routing.length) - 1)[1])}
            layer={at}
            chosen={within(chosen, from)}
            entry={within(entry, from)}
          />
        ))}
      </div>
      {text.slice(ended)}
    </div>
  )
}

interface RunProps {
  readonly routing: Routing
  readonly from: number
  readonly to: number
  /** Of these tokens. */
  readonly text: string
  readonly layer: number
  /** -1 where it is not among them. */
  readonly chosen: number
  readonly entry: number
}

/** Some tokens, drawn anew when a property changes, and only then. */
const Run = memo(BareRun)

function BareRun({ routing, from, to, text, layer, chosen, entry }: RunProps) {
  const [start] = routing.span(from)
  const tokens = Array.from({ length: to - from }, (_, i) => from + i)
  return tokens.map((token) => {
    const [begin, end] = routing.span(token)
    if (end === begin) return null
    const piece = text.slice(begin - start, end - start)
    const expert = routing.first(token, layer)
    return (
      <span
        key={token}
        class="token"
        role="option"
        data-token={token}
        data-expert={expert}
        style={{ '--hue': hueOf(expert, routing.experts) }}
        aria-selected={token === chosen}
        aria-label={`${piece.trim() || (piece.includes('\n') ? 'new line' : 'space')}, expert ${expert}`}
        tabIndex={token === entry ? 0 : -1}
      >
        {piece}
      </span>
    )
  })
}
