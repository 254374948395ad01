// Finds stop strings in a streamed text. The text ends before the stop string that is complete first; of several
// complete at one place, before the longest. The result does not depend on how the text is cut into pieces. Control
// tokens are no text, but they count where a stop string spells them. Owns the held text, which may still become the
// beginning of a stop string.

import { MixtralError, shown } from '../../base/errors.js'
import { Text } from '../templates/markedText.js'

/** The origin of what is matched and not part of the text: control tokens. */
const HIDDEN = 1

export class StopStrings {
  readonly #stops: readonly string[]
  readonly #longest: number
  #held = Text.empty
  #found: string | undefined

  /** Throws a MixtralError `OPTION` for a stop string that is empty or not a string. */
  constructor(stops: readonly string[]) {
    for (const stop of stops) {
      if (typeof stop !== 'string' || stop === '') {
        throw new MixtralError('OPTION', `stop has ${shown(stop)}, expected strings of at least one character`)
      }
    }
    this.#stops = stops
    this.#longest = stops.reduce((longest, stop) => Math.max(longest, stop.length), 0)
  }

  /** Whether a stop string was found. From then on, `push` returns no text. */
  get stopped(): boolean {
    return this.#found !== undefined
  }

  /** The stop string that was found. */
  get found(): string | undefined {
    return this.#found
  }

  /** Takes the next piece of text, and returns the text that certainly belongs to no stop string. */
  push(piece: string): string {
    return this.#push(new Text(piece))
  }

  /** Takes a control token, as `push` takes a text. One that no stop string spells is as nothing. */
  pushControl(token: string): string {
    return this.#stops.some((stop) => stop.includes(token)) ? this.#push(Text.of(token, HIDDEN)) : ''
  }

  #push(piece: Text): string {
    if (this.stopped) return ''
    const text = Text.concat([this.#held, piece])
    const { start, stop } = this.#find(text)
    this.#found = stop
    const certain = this.stopped ? start : text.length - this.#beginning(text.value)
    this.#held = this.stopped ? Text.empty : text.slice(certain)
    return visible(text.slice(0, certain))
  }

  /** Returns the text that is still held. Call it when the text has ended. */
  end(): string {
    const held = visible(this.#held)
    this.#held = Text.empty
    return held
  }

  /** The stop string that is complete first, and where it begins; -1 if there is none. */
  #find({ value, runs }: Text): { readonly start: number; readonly stop: string | undefined } {
    let start = -1
    let end = Infinity
    let found: string | undefined
    for (const stop of this.#stops) {
      // A part of a control token is no match.
      const cuts = (place: number) => runs.some((run) => run.start < place && place < run.end)
      let at = value.indexOf(stop)
      while (at >= 0 && (cuts(at) || cuts(at + stop.length))) at = value.indexOf(stop, at + 1)
      if (at < 0) continue
      if (at + stop.length < end || (at + stop.length === end && at < start)) {
        start = at
        end = at + stop.length
        found = stop
      }
    }
    return { start, stop: found }
  }

  /** The length of the longest end of the text that begins a stop string. */
  #beginning(text: string): number {
    for (let length = Math.min(this.#longest - 1, text.length); length > 0; length--) {
      const ending = text.slice(-length)
      if (this.#stops.some((stop) => stop.startsWith(ending))) return length
    }
    return 0
  }
}

function visible(text: Text): string {
  return text
    .parts()
    .map((part) => (part.origin === HIDDEN ? '' : part.text))
    .join('')
}
