// Texts that know where they come from. While a chat goes through a template, every part of a text keeps the number of
// the text that it was taken from: 0 is the template itself, any other number a text of the caller. So the text of a
// message never spells a control token, whatever the template does with it, and yet the template sees the real text.

/** A part of a text that is not the template's own: from `start` up to `end`, in UTF-16 units. */
export interface Run {
  readonly start: number
  readonly end: number
  readonly origin: number
}

const NO_RUNS: readonly Run[] = []

/** The origin of names, ids, arguments and tools, and of what a template makes by rules that are a caller's. */
export const DATA_ORIGIN = 1

export class Text {
  static readonly empty = new Text('')
  readonly value: string
  /** In order, without overlaps. */
  readonly runs: readonly Run[]

  constructor(value: string, runs: readonly Run[] = NO_RUNS) {
    this.value = value
    this.runs = runs
  }

  /** A text of one origin. */
  static of(value: string, origin: number): Text {
    return new Text(value, origin === 0 || value === '' ? NO_RUNS : [{ start: 0, end: value.length, origin }])
  }

  /** The texts one after another. */
  static concat(texts: readonly Text[]): Text {
    if (texts.length === 1) return texts[0]!
    let value = ''
    const runs: Run[] = []
    for (const text of texts) {
      for (const { start, end, origin } of text.runs) append(runs, value.length + start, value.length + end, origin)
      value += text.value
    }
    return new Text(value, runs)
  }

  static join(texts: readonly Text[], separator: Text): Text {
    if (separator.value === '') return Text.concat(texts)
    return Text.concat(texts.flatMap((text, index) => (index === 0 ? [text] : [separator, text])))
  }

  get length(): number {
    return this.value.length
  }

  /** Whether it is too long to be found in a Map: V8 knows texts of over 16,383 characters by their length alone. */
  get isLong(): boolean {
    return this.value.length > 10_000
  }

  /** The part between two positions, both within the text. */
  slice(start: number, end = this.value.length): Text {
    if (start === 0 && end === this.value.length) return this
    if (end <= start) return Text.empty
    const value = this.value.slice(start, end)
    if (this.runs.length === 0) return new Text(value)
    const runs: Run[] = []
    for (let at = this.#firstRunBehind(start); at < this.runs.length && this.runs[at]!.start < end; at++) {
      const run = this.runs[at]!
      append(runs, Math.max(run.start, start) - start, Math.min(run.end, end) - start, run.origin)
    }
    return new Text(value, runs)
  }

  /** The text with each part of one origin changed; what becomes of it has the same origin. */
  map(change: (part: string) => string): Text {
    if (this.runs.length === 0) return new Text(change(this.value))
    return Text.concat(this.parts().map(({ text, origin }) => Text.of(change(text), origin)))
  }

  /** The text, in which nothing is the template's own. */
  foreign(): Text {
    return Text.concat(this.parts().map(({ text, origin }) => Text.of(text, origin === 0 ? DATA_ORIGIN : origin)))
  }

  /** The text as what it is made by allows: nothing of it is the template's own where that is a caller's, in part. */
  madeBy(rule: Text): Text {
    return rule.runs.length > 0 ? this.foreign() : this
  }

  /** The parts of one origin each, in order. */
  parts(): { text: string; origin: number }[] {
    const parts: { text: string; origin: number }[] = []
    let at = 0
    for (const { start, end, origin } of this.runs) {
      if (start > at) parts.push({ text: this.value.slice(at, start), origin: 0 })
      parts.push({ text: this.value.slice(start, end), origin })
      at = end
    }
    if (at < this.value.length) parts.push({ text: this.value.slice(at), origin: 0 })
    return parts
  }

  /** Replaces the first `count` places of a text, from the left. */
  replace(pattern: string, by: Text, count = Number.POSITIVE_INFINITY): Text {
    const parts: Text[] = []
    let at = 0
    const found = placesOf(this.value, pattern, count)
    for (const place of found) {
      parts.push(this.slice(at, place), by)
      at = place + pattern.length
    }
    return found.length === 0 ? this : Text.concat([...parts, this.slice(at)])
  }

  /** The index of the first run that ends behind a position. */
  #firstRunBehind(position: number): number {
    let [low, high] = [0, this.runs.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.runs[middle]!.end > position) high = middle
      else low = middle + 1
    }
    return low
  }
}

/** The places of a pattern in a text, without overlaps. An empty pattern is before each character, and at the end. */
export function placesOf(text: string, pattern: string, count = Number.POSITIVE_INFINITY): number[] {
  const places: number[] = []
  if (pattern === '') {
    let at = 0
    for (const character of text) {
      if (places.length >= count) return places
      places.push(at)
      at += character.length
    }
    if (places.length < count) places.push(at)
    return places
  }
  for (let at = text.indexOf(pattern); at >= 0 && places.length < count; at = text.indexOf(pattern, at + pattern.length)) places.push(at)
  return places
}

/** Adds a run, or makes the last one longer. */
function append(runs: Run[], start: number, end: number, origin: number): void {
  if (end <= start) return
  const last = runs.at(-1)
  if (last && last.end === start && last.origin === origin) runs[runs.length - 1] = { ...last, end }
  else runs.push({ start, end, origin })
}

/** The order of code points, which is not that of UTF-16 units. */
export function comparePoints(a: string, b: string): number {
  let at = 0
  while (at < a.length && at < b.length && a.charCodeAt(at) === b.charCodeAt(at)) at++
  if (at === a.length || at === b.length) return a.length - b.length
  const [left, right] = [a.charCodeAt(at), b.charCodeAt(at)]
  const isSurrogate = (unit: number) => unit >= 0xd800 && unit < 0xe000
  return isSurrogate(left) === isSurrogate(right) ? left - right : isSurrogate(left) ? 1 : -1
}
