// A progress bar on stderr for long work. It is drawn on a terminal only, and only after the work has taken a second.
// Does not know the work.

import { colorsOf } from './layout.js'

const PATIENCE_MS = 1000
const REDRAW_MS = 100
const CELLS = 30

export class ProgressBar {
  readonly #label: string
  readonly #show: (count: number) => string
  readonly #start = performance.now()
  /** The count at the first update: a resumed download has most of its bytes already. */
  #begun: { readonly done: number; readonly at: number } | undefined
  #drawn = 0 // time of the last drawing, 0 before the first

  /** @param show formats a count, such as `7.3 MB` */
  constructor(label: string, show: (count: number) => string) {
    this.#label = label
    this.#show = show
  }

  update(done: number, total: number): void {
    const now = performance.now()
    this.#begun ??= { done, at: now }
    if (!process.stderr.isTTY || now - this.#start < PATIENCE_MS || now - this.#drawn < REDRAW_MS) return
    this.#drawn = now
    const share = total > 0 ? Math.min(1, done / total) : 0
    const full = Math.round(share * CELLS)
    const rate = (done - this.#begun.done) / ((now - this.#begun.at) / 1000)
    const left = rate > 0 ? `, ${this.#show(Math.round(rate))}/s, ${timeText((total - done) / rate)} left` : ''
    const { cyan, dim } = colorsOf(process.stderr)
    const bar = cyan('━'.repeat(full)) + dim('━'.repeat(CELLS - full))
    process.stderr.write(`\r\x1b[K${this.#label} ${bar} ${this.#show(done)} of ${this.#show(total)}${left}`)
  }

  /** Removes the bar from the screen. */
  clear(): void {
    if (this.#drawn > 0) process.stderr.write('\r\x1b[K')
    this.#drawn = 0
  }
}

/** `42 s`, `3 min`, `2 h 5 min`. */
function timeText(seconds: number): string {
  const minutes = Math.ceil(seconds / 60)
  if (seconds < 100) return `${Math.ceil(seconds)} s`
  return minutes < 100 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}
