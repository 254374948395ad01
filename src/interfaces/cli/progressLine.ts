// A line on stderr that tells how far long work is. A terminal has one line that changes and fits it, and gets it only
// after the work has taken a second. A log gets a new line now and then, with `--json` none. Does not know the work.

import { byteCount } from '../../base/amounts.js'
import { colorsOf, hasColors, hasCursor, say, widthOf } from './layout.js'
import { visibleWidth } from './wordWrap.js'

const PATIENCE_MS = 1000
const REDRAW_MS = 100
const CELLS = 30
const FEWEST_CELLS = 10
/** A log gets a line if so much time has passed, and the work has come on by a percent or a minute has passed. */
const LOG_MS = 10_000
const LONGEST_SILENCE_MS = 60_000

/** A terminal may tell late that it has become narrower: until then, a line is cut there and not broken. */
const NO_WRAP = '\x1b[?7l'
const WRAP = '\x1b[?7h'

export interface ProgressSettings {
  /** What is counted, such as `tokens`. */
  readonly unit: 'bytes' | 'tokens' | 'layers' | 'windows' | 'requests' | 'items'
  /** Whether a log gets no lines. */
  readonly quiet: boolean
}

interface State {
  readonly done: number
  readonly total: number
  /** What else there is to tell. */
  readonly note: string
}

export class ProgressLine {
  readonly #label: string
  readonly #settings: ProgressSettings
  readonly #start = performance.now()
  readonly #redraw = () => this.#draw()
  /** The count at the first update: a resumed download has most of its bytes already. */
  #begun: { readonly done: number; readonly at: number } | undefined
  #state: State | undefined
  #told = { at: performance.now(), share: 0 }
  #drawnAt = 0
  /** Columns of what is on the screen, 0 if nothing is. */
  #drawnWidth = 0

  constructor(label: string, settings: ProgressSettings) {
    this.#label = label
    this.#settings = settings
  }

  update(done: number, total: number, note = ''): void {
    const now = performance.now()
    this.#begun ??= { done, at: now }
    this.#state = { done, total, note }
    if (!hasCursor(process.stderr)) {
      this.#log(now)
      return
    }
    if (now - this.#start < PATIENCE_MS || now - this.#drawnAt < REDRAW_MS) return
    if (this.#drawnWidth === 0) process.stderr.on('resize', this.#redraw)
    this.#draw()
  }

  /** Removes the line from the screen. */
  clear(): void {
    process.stderr.off('resize', this.#redraw)
    if (this.#drawnWidth > 0) process.stderr.write(this.#cleared())
    this.#drawnWidth = 0
    this.#drawnAt = 0
  }

  #draw(): void {
    this.#drawnAt = performance.now()
    const cleared = this.#cleared()
    const text = this.#fitting(this.#state!)
    this.#drawnWidth = visibleWidth(text)
    process.stderr.write(`${cleared}${NO_WRAP}${text}${WRAP}`)
  }

  /** Clears the line, which takes several rows in a terminal that has become narrower. */
  #cleared(): string {
    const rows = Math.max(1, Math.ceil(this.#drawnWidth / widthOf(process.stderr)))
    return `\r${'\x1b[A'.repeat(rows - 1)}${rows > 1 ? '\x1b[J' : '\x1b[K'}`
  }

  #log(now: number): void {
    const { done, total, note } = this.#state!
    const share = total > 0 ? done / total : 0
    const since = now - this.#told.at
    const enough = since >= LOG_MS && (share - this.#told.share >= 0.01 || since >= LONGEST_SILENCE_MS)
    if (this.#settings.quiet || !enough || done >= total) return
    this.#told = { at: now, share }
    say(`${this.#label}: ${[percent(share), this.#amounts(this.#state!), ...this.#speeds(this.#state!), note].filter(Boolean).join(', ')}`)
  }

  /** The longest form that fits: the bar becomes shorter first, then the speed goes, the bar, and what is left. */
  #fitting(state: State): string {
    const room = widthOf(process.stderr) - 3 // behind it, a terminal shows ^C; at the last column it begins another row
    const share = state.total > 0 ? Math.min(1, state.done / state.total) : 0
    const amounts = this.#amounts(state)
    const note = state.note && `, ${state.note}`
    const [rate, left] = this.#speeds(state).map((text) => text && `, ${text}`)
    const line = (cells: number, rest: string) => `${this.#label} ${cells > 0 ? `${bar(share, cells)} ` : ''}${rest}`
    for (const rest of [`${amounts}${note}${rate}${left}`, `${amounts}${note}${left}`]) {
      const cells = Math.min(CELLS, room - visibleWidth(line(0, rest)) - 1)
      if (cells >= FEWEST_CELLS) return line(cells, rest)
    }
    const short = [`${amounts}${note}${left}`, `${percent(share)}${note}${left}`, `${percent(share)}${note}`, percent(share)]
    return short.map((rest) => line(0, rest)).find((text) => visibleWidth(text) <= room) ?? percent(share)
  }

  #amounts({ done, total }: State): string {
    const { unit } = this.#settings
    return unit === 'bytes' ? `${byteCount(done)} of ${byteCount(total)}` : `${done} of ${total} ${unit}`
  }

  /** The speed, empty where it is below one a second, and the time that is left. */
  #speeds({ done, total }: State): [rate: string, left: string] {
    const begun = this.#begun!
    const rate = (done - begun.done) / ((performance.now() - begun.at) / 1000)
    if (!(rate > 0 && rate < Number.POSITIVE_INFINITY)) return ['', '']
    const { unit } = this.#settings
    const count = Math.round(rate)
    const speed = count < 1 ? '' : `${unit === 'bytes' ? byteCount(count) : `${count} ${unit}`}/s`
    return [speed, `${timeText((total - done) / rate)} left`]
  }
}

const percent = (share: number) => `${Math.floor(share * 100)} %`

function bar(share: number, cells: number): string {
  const full = Math.round(share * cells)
  const [done, rest] = isUnicode() ? ['━', hasColors(process.stderr) ? '━' : '·'] : ['#', '.']
  const { cyan, dim } = colorsOf(process.stderr)
  return cyan(done.repeat(full)) + dim(rest.repeat(cells - full))
}

/** Whether the terminal takes more than ASCII, as far as the locale tells. */
function isUnicode(): boolean {
  const { LC_ALL, LC_CTYPE, LANG } = process.env
  return process.platform === 'win32' || /utf-?8/i.test(LC_ALL || LC_CTYPE || LANG || '')
}

/** `42 s`, `3 min`, `2 h 5 min`. */
function timeText(seconds: number): string {
  const minutes = Math.ceil(seconds / 60)
  if (seconds < 100) return `${Math.ceil(seconds)} s`
  return minutes < 100 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}
