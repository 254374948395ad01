// The pages of the KV cache: which are free, and how many holders each of the others has. Owns counts only. Does not
// know which tokens are in a page, nor where its bytes lie.

export class KvPool {
  /** How many pages there are. */
  readonly pages: number
  /** A stack. It is sorted at first, so that a lone sequence gets ascending pages. */
  readonly #free: number[]
  /** How many holders a page has: page tables, and the prefix tree. */
  readonly #holders: Int32Array

  constructor(pages: number) {
    this.pages = pages
    this.#free = Array.from({ length: pages }, (_, i) => pages - 1 - i)
    this.#holders = new Int32Array(pages)
  }

  /** How many pages nobody holds. */
  get free(): number {
    return this.#free.length
  }

  /** A page that nobody held, with one holder; undefined if there is none. */
  take(): number | undefined {
    const page = this.#free.pop()
    if (page !== undefined) this.#holders[page] = 1
    return page
  }

  /** One holder more of a page that is held. */
  share(page: number): void {
    if (this.holders(page) < 1) throw new RangeError(`page ${page} is free and cannot be shared`)
    this.#holders[page]!++
  }

  /** One holder less; without any, the page is free. */
  release(page: number): void {
    if (this.holders(page) < 1) throw new RangeError(`page ${page} is free and cannot be released`)
    if (--this.#holders[page]! === 0) this.#free.push(page)
  }

  holders(page: number): number {
    const holders = this.#holders[page]
    if (holders === undefined) throw new RangeError(`page ${page} does not exist, there are ${this.pages}`)
    return holders
  }
}
