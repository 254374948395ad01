// What moves in the report of `mixtral experts --html`: the layer that colors the text, and the token whose experts are
// shown. The report itself is written by the command, and can be read without this. Knows nothing of figures.

import '../style/base.css'
import '../style/experts.css'
import '../style/report.css'

/** What the command has written into the report (expertsReport.ts). */
interface Data {
  readonly layers: number
  readonly experts: number
  readonly used: number
  readonly texts: readonly Routed[]
}

interface Routed {
  /** (tokens, layers, used), best first: in base64, two of them in a byte where that is enough. */
  readonly ids: string
  /** (tokens, layers, used - 1): weights of all but the last in parts of 255, in base64. */
  readonly weights: string
}

const only = <T extends Element>(selector: string) => document.querySelector<T>(selector)!
const all = <T extends Element>(selector: string, from: ParentNode = document) => [...from.querySelectorAll<T>(selector)]

const data: Data = JSON.parse(only('#data').textContent!)
const { layers, experts, used } = data
const slider = only<HTMLInputElement>('#layer')
const named = only('#layer-name')
const shown = only<HTMLElement>('#token')

const bytesOf = (text: string) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0))

function idsOf({ ids }: Routed): ArrayLike<number> {
  const bytes = bytesOf(ids)
  if (experts <= 16) return Uint8Array.from({ length: bytes.length * 2 }, (_, i) => (bytes[i >> 1]! >> (4 * (i & 1))) & 15)
  return experts <= 256 ? bytes : new Uint16Array(bytes.buffer)
}

/**
 * The texts as they are on the page: their tokens are the elements of a list, one of which is in the order of focus.
 */
const texts = all<HTMLElement>('.colored').map((box, i) => {
  const routed = data.texts[i]!
  return { box, tokens: all<HTMLElement>('.token', box), ids: idsOf(routed), weights: bytesOf(routed.weights) }
})
type Text = (typeof texts)[number]

/**
 * The token of an element. Those without a text of their own are not on the page; the one after them has its number.
 */
const placeOf = (token: HTMLElement) => Number(token.dataset.token)

function colorBy(layer: number): void {
  named.textContent = String(layer)
  slider.setAttribute('aria-valuetext', `layer ${layer}`)
  for (const { tokens, ids } of texts) {
    for (const token of tokens) {
      const expert = ids[(placeOf(token) * layers + layer) * used]!
      token.className = `token e${expert}`
      token.dataset.expert = String(expert)
      const text = token.textContent!
      token.setAttribute('aria-label', `${text.trim() || (text.includes('\n') ? 'new line' : 'space')}, expert ${expert}`)
    }
  }
  for (const body of all<HTMLElement>('.favorites tbody')) body.hidden = Number(body.dataset.layer) !== layer
  for (const row of all<HTMLElement>('.heat tbody tr')) row.classList.toggle('current', Number(row.dataset.layer) === layer)
}

/** Shows the experts of a token in all layers. */
function choose({ box, tokens, ids, weights }: Text, index: number): void {
  const token = tokens[index]
  if (!token) return
  for (const other of all('.token[aria-selected="true"]')) other.setAttribute('aria-selected', 'false')
  token.setAttribute('aria-selected', 'true')
  for (const other of all<HTMLElement>('.token[tabindex="0"]', box)) other.tabIndex = -1
  token.tabIndex = 0
  const place = placeOf(token)
  const name = document.createElement('code')
  name.textContent = token.textContent!.replaceAll('\n', '⏎').replaceAll(' ', '␣')
  const list = document.createElement('ol')
  list.start = 0
  for (let layer = 0; layer < layers; layer++) {
    const item = document.createElement('li')
    const at = place * layers + layer
    let rest = 1
    for (let k = 0; k < used; k++) {
      const weight = k < used - 1 ? weights[at * (used - 1) + k]! / 255 : Math.max(0, rest)
      rest -= weight
      const expert = document.createElement('span')
      expert.className = `chip e${ids[at * used + k]}`
      expert.textContent = `${ids[at * used + k]} · ${Math.round(weight * 100)} %`
      item.append(expert, ' ')
    }
    list.append(item)
  }
  shown.replaceChildren('The experts of ', name, ' in each layer, and their weights', list)
  shown.tabIndex = 0 // it may have to be scrolled
  document.documentElement.style.scrollPaddingBottom = `${shown.offsetHeight}px`
  token.focus() // not under what is shown
}

/** The token below or above another one, in the next line that has any: the nearest one there. */
function beside({ tokens }: Text, index: number, step: 1 | -1): number {
  const boxOf = (token: HTMLElement) => token.getClientRects()[0] ?? token.getBoundingClientRect()
  const from = boxOf(tokens[index]!)
  let line: number | undefined
  let best = index
  let nearest = Number.POSITIVE_INFINITY
  for (let i = index + step; i >= 0 && i < tokens.length; i += step) {
    const { top, left } = boxOf(tokens[i]!)
    if (Math.abs(top - from.top) < from.height / 2) continue
    line ??= top
    if (Math.abs(top - line) >= from.height / 2) break
    const distance = Math.abs(left - from.left)
    if (distance < nearest) [nearest, best] = [distance, i]
  }
  return best
}

for (const text of texts) {
  const { box, tokens } = text
  box.setAttribute('role', 'listbox')
  box.tabIndex = -1 // one of its tokens takes its place
  for (const [index, token] of tokens.entries()) {
    token.dataset.token ??= String(placeOf(tokens[index - 1]!) + 1)
    token.setAttribute('role', 'option')
    token.setAttribute('aria-selected', 'false')
    token.tabIndex = index === 0 ? 0 : -1
  }
  box.addEventListener('click', ({ target }) => choose(text, tokens.indexOf(target as HTMLElement)))
  box.addEventListener('keydown', (event) => {
    const at = tokens.indexOf(event.target as HTMLElement)
    const keys: Readonly<Record<string, () => number>> = {
      ArrowRight: () => at + 1,
      ArrowLeft: () => at - 1,
      ArrowDown: () => beside(text, at, 1),
      ArrowUp: () => beside(text, at, -1),
      Home: () => 0,
      End: () => tokens.length - 1,
      Enter: () => at,
      ' ': () => at,
    }
    const next = keys[event.key]
    if (at < 0 || next === undefined || event.ctrlKey || event.altKey || event.metaKey) return
    event.preventDefault()
    choose(text, next())
  })
}
slider.addEventListener('input', () => colorBy(Number(slider.value)))
only<HTMLInputElement>('#numbers').addEventListener('change', ({ currentTarget }) => {
  document.body.classList.toggle('numbered', (currentTarget as HTMLInputElement).checked)
})
only<HTMLElement>('#controls').hidden = false
colorBy(Number(slider.value))
