// An answer as the tokens that it was written in, each in the color of its first expert in one layer. A click, or the
// arrow keys, choose a token; what it was routed to is shown beside the chat.

import { useRef } from 'preact/hooks'
import type { Routing } from '../chats/routing.js'
import { routingChanges } from '../state/library.js'
import { chosenToken, hueOf, layer, showsNumbers } from './expertChoice.js'

interface Props {
  readonly message: string
  readonly text: string
  readonly routing: Routing
}

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
  const ended = routing.length > 0 ? routing.span(routing.length - 1)[1] : 0
  return (
    <div class={`colored ${showsNumbers.value ? 'numbered' : ''}`} dir="auto">
      <div class="tokens" role="listbox" tabIndex={-1} aria-label="Tokens, by expert" ref={box} onKeyDown={onKeyDown} onClick={onClick}>
        {shown.map((token) => {
          const [begin, end] = routing.span(token)
          const piece = text.slice(begin, end)
          const expert = routing.first(token, at)
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
        })}
      </div>
      {text.slice(ended)}
    </div>
  )
}
