// The texts of an answer, by where the trigger of calls is in them: nowhere, at the end, or not at the start. An
// automaton over bytes, whose state is how much of the trigger has just come (Knuth, Morris and Pratt, 1977).

import { type Ranges, rangesOf, without } from '../constraint/ranges.js'
import type { Machine, Move, Term, Terms } from '../constraint/terms.js'

/** `without`: it is nowhere. `upTo`: it is at the end, and nowhere before. `notFirst`: it is not at the start. */
type Kind = 'without' | 'upTo' | 'notFirst'

const ANY: Ranges = [0, 255]

/** Any bytes. */
export function anyText(terms: Terms): Term {
  return terms.repeat(terms.set(ANY), 0, Infinity)
}

export function textTerm(terms: Terms, trigger: string, kind: Kind): Term {
  return terms.machine(new TextMachine(trigger, kind), 0)
}

class TextMachine implements Machine {
  readonly signature: string
  readonly #kind: Kind
  readonly #trigger: Uint8Array
  /** (trigger bytes) how much of the trigger's beginning ends with this byte of it, other than all that has come. */
  readonly #borders: Uint16Array

  constructor(trigger: string, kind: Kind) {
    this.signature = `${kind} ${JSON.stringify(trigger)}`
    this.#kind = kind
    this.#trigger = new TextEncoder().encode(trigger)
    this.#borders = new Uint16Array(this.#trigger.length)
    for (let i = 1; i < this.#trigger.length; i++) this.#borders[i] = this.#after(this.#borders[i - 1]!, this.#trigger[i]!)
  }

  accepts(state: number): boolean {
    return this.#kind === 'upTo' ? state === this.#trigger.length : true
  }

  moves(state: number, terms: Terms): readonly Move[] {
    const length = this.#trigger.length
    if (state === length) return []
    const byTarget = new Map<number, [number, number][]>()
    // Bytes that are not in the trigger all lead to the start.
    for (const byte of new Set(this.#trigger)) {
      const target = this.#kind === 'notFirst' ? (byte === this.#trigger[state] ? state + 1 : -1) : this.#after(state, byte)
      if (target > 0 && (target < length || this.#kind === 'upTo')) byTarget.set(target, [...(byTarget.get(target) ?? []), [byte, byte]])
    }
    const moves = Array.from(byTarget, ([target, bytes]) => ({ set: terms.set(rangesOf(bytes)), to: terms.machine(this, target) }))
    const forbidden = this.#trigger[length - 1]!
    const elsewhere = [...byTarget.values()].flat()
    const ends = state === length - 1 && this.#kind !== 'upTo' ? [...elsewhere, [forbidden, forbidden] as [number, number]] : elsewhere
    const others = terms.set(without(ANY, rangesOf(ends)))
    return [...moves, { set: others, to: this.#kind === 'notFirst' ? anyText(terms) : terms.machine(this, 0) }]
  }

  reduced(state: number): number {
    return state
  }

  /** How much of the trigger has just come after one more byte. */
  #after(state: number, byte: number): number {
    let matched = state
    while (matched > 0 && this.#trigger[matched] !== byte) matched = this.#borders[matched - 1]!
    return this.#trigger[matched] === byte ? matched + 1 : 0
  }
}
