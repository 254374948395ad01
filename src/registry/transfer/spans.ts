// The bytes of a file that are written, as disjoint spans in order. Pure.

export interface Span {
  readonly start: number
  /** The byte after the last one. */
  readonly end: number
}

export class Spans {
  #spans: Span[]
  #bytes: number

  /** The spans, in any order, may overlap. Time is that of sorting them. */
  constructor(given: readonly Span[] = []) {
    this.#spans = []
    for (const { start, end } of given.toSorted((a, b) => a.start - b.start)) {
      const last = this.#spans.at(-1)
      if (end <= start) continue
      if (last === undefined || last.end < start) this.#spans.push({ start, end })
      else if (last.end < end) this.#spans[this.#spans.length - 1] = { start: last.start, end }
    }
    this.#bytes = this.#spans.reduce((sum, { start, end }) => sum + end - start, 0)
  }

  /** How many there are, none touching another. */
  get count(): number {
    return this.#spans.length
  }

  /** Bytes in all spans. */
  get bytes(): number {
    return this.#bytes
  }

  /** Bytes from the first on without a gap. */
  get prefix(): number {
    const first = this.#spans[0]
    return first?.start === 0 ? first.end : 0
  }

  /** Adds a span, which may overlap others. Takes time for each span that there is. */
  add(start: number, end: number): void {
    if (end <= start) return
    const before = this.#spans.filter((span) => span.end < start)
    const after = this.#spans.filter((span) => span.start > end)
    const touching = this.#spans.slice(before.length, this.#spans.length - after.length)
    const joined = { start: Math.min(start, touching[0]?.start ?? start), end: Math.max(end, touching.at(-1)?.end ?? end) }
    this.#spans = [...before, joined, ...after]
    this.#bytes += joined.end - joined.start - touching.reduce((sum, span) => sum + span.end - span.start, 0)
  }

  /** The gaps between two offsets, in order, cut to at most `most` bytes each. */
  gaps(from: number, to: number, most = Number.POSITIVE_INFINITY): Span[] {
    const gaps: Span[] = []
    let at = from
    for (const { start, end } of [...this.#spans, { start: to, end: to }]) {
      for (; at < Math.min(start, to); at = Math.min(start, to, at + most)) gaps.push({ start: at, end: Math.min(start, to, at + most) })
      at = Math.max(at, end)
    }
    return gaps
  }
}
