// The line that shows how far a measurement over windows is, and its perplexity so far: on stderr, on a terminal only.

import type { WindowProgress } from '../../evaluation/perplexity/windowOptions.js'

export class WindowLine {
  readonly #start = performance.now()
  #drawn = false

  update({ loaded, total, perplexity }: WindowProgress): void {
    if (!process.stderr.isTTY) return
    const minutes = ((performance.now() - this.#start) / loaded) * ((total - loaded) / 60_000)
    const left = minutes > 1 ? `, ${Math.ceil(minutes)} min left` : ''
    const value = `PPL ${perplexity.value.toFixed(4)} ± ${perplexity.error.toFixed(4)}`
    process.stderr.write(`\r\x1b[Kwindow ${loaded} of ${total}, ${value}${left}`)
    this.#drawn = true
  }

  /** Takes the line off the screen. */
  clear(): void {
    if (this.#drawn) process.stderr.write('\r\x1b[K')
    this.#drawn = false
  }
}
