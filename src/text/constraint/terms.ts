// Regular languages as terms: sets, sequences, choices, counted repeats, and states of foreign machines. A term is also
// a state of the automaton that recognizes it: its moves lead to the terms of what may follow (Antimirov's partial
// derivatives, 1996). So automata are never built, only visited, and `x{0,10000}` is one term. Owns the terms, each of
// which exists once. Does not know whether its symbols are bytes or code points.

import type { Budget } from './budget.js'
import { pairsOf, type Ranges, rangesOf } from './ranges.js'

/** An automaton that is not made of terms. Every state must have a way to an accepting one. */
export interface Machine {
  /** What the machine says. Machines of one signature have the same states, and share what is known of them. */
  readonly signature?: string
  accepts(state: MachineState): boolean
  moves(state: MachineState, terms: Terms): readonly Move[]
  /** A state that is the same for all texts of up to `length` symbols; the state itself where none is known. */
  reduced(state: MachineState, length: number): MachineState
}
export type MachineState = string | number

/** Any symbol of `set` (a term of the kind set) leads to `to`. */
export interface Move {
  readonly set: Term
  readonly to: Term
}

export type TermKind = 'none' | 'empty' | 'set' | 'sequence' | 'choice' | 'repeat' | 'machine'

export interface Term {
  readonly kind: TermKind
  readonly id: number
  /** Whether the empty text is in the language. */
  readonly nullable: boolean
  /** Nodes of the term as a tree; counts do not add to it. */
  readonly size: number
  /** Whether texts may be long: an unbounded or large repeat, or a machine, is in it. */
  readonly loops: boolean
  readonly ranges: Ranges
  /** `sequence`: first and rest. `choice`: the alternatives by id. `repeat`: what is repeated. */
  readonly parts: readonly Term[]
  /** `repeat`: how often, at least and at most. */
  readonly min: number
  readonly max: number
  readonly machine: Machine | undefined
  readonly state: MachineState
}

/** A repeat of more than this counts as a loop: a text of this length is not worth an automaton of its own. */
const LONG_REPEAT = 16
const NO_PARTS: readonly Term[] = []

/** What tells a term: of a sequence a number of both parts, since texts have one for each character. */
type TermKey = string | number
const MOST_ID = 2 ** 26
const pairKey = (first: number, rest: number): TermKey => (first < MOST_ID && rest < MOST_ID ? first * MOST_ID + rest : `q${first},${rest}`)

export class Terms {
  readonly budget: Budget
  /** The language without a text. */
  readonly none: Term
  /** The language of the empty text. */
  readonly empty: Term
  readonly #known = new Map<TermKey, Term>()
  readonly #moves = new WeakMap<Term, readonly Move[]>()
  readonly #machines = new Map<Machine, number>()
  #created = 0

  constructor(budget: Budget) {
    this.budget = budget
    this.none = this.#intern('none', { kind: 'none' })
    this.empty = this.#intern('empty', { kind: 'empty', nullable: true })
  }

  /** How many terms are remembered. */
  get count(): number {
    return this.#known.size
  }

  /**
   * Forgets the terms, so that memory has a bound; those in use live on, and new ones equal to them are merely not the
   * same.
   */
  forget(): void {
    this.#known.clear()
  }

  set(ranges: Ranges): Term {
    if (ranges.length === 0) return this.none
    return this.#known.get(`s${ranges.join()}`) ?? this.#intern(`s${ranges.join()}`, { kind: 'set', ranges })
  }

  machine(machine: Machine, state: MachineState): Term {
    const number = this.#machines.get(machine) ?? this.#machines.size
    this.#machines.set(machine, number)
    const key = `m${number}/${state}`
    const make = () => this.#intern(key, { kind: 'machine', machine, state, nullable: machine.accepts(state), loops: true })
    return this.#known.get(key) ?? make()
  }

  /** The texts of one after the other. */
  sequence(terms: readonly Term[]): Term {
    return terms.reduceRight((rest, term) => this.#pair(term, rest), this.empty)
  }

  choice(terms: readonly Term[]): Term {
    const parts = new Map<number, Term>()
    const pairs: [from: number, to: number][] = []
    for (const term of terms.flatMap((term) => (term.kind === 'choice' ? term.parts : term))) {
      if (term.kind === 'set') for (const pair of pairsOf(term.ranges)) pairs.push(pair)
      else if (term !== this.none) parts.set(term.id, term)
    }
    if (pairs.length > 0) {
      const set = this.set(rangesOf(pairs))
      parts.set(set.id, set)
    }
    if (parts.size > 1 && [...parts.values()].some((part) => part.nullable && part !== this.empty)) parts.delete(this.empty.id)
    if (parts.size <= 1) return parts.values().next().value ?? this.none
    const sorted = [...parts.values()].sort((a, b) => a.id - b.id)
    const key = `c${sorted.map((part) => part.id).join()}`
    return this.#known.get(key) ?? this.#intern(key, { kind: 'choice', parts: sorted, nullable: sorted.some((part) => part.nullable) })
  }

  repeat(term: Term, min: number, max: number): Term {
    if (max === 0 || term === this.empty) return this.empty
    if (term === this.none) return min === 0 ? this.empty : this.none
    if (min === 1 && max === 1) return term
    if (term.nullable) min = 0
    if (term.kind === 'repeat') {
      // (x{0,a}){m,n} = x{0,an}, and (x+){m,n} = x{m,}
      if (term.min === 0) return this.repeat(term.parts[0]!, 0, term.max * max)
      if (term.min === 1 && term.max === Infinity) return this.repeat(term.parts[0]!, min, Infinity)
    }
    const key = `r${term.id},${min},${max}`
    return this.#known.get(key) ?? this.#intern(key, { kind: 'repeat', parts: [term], min, max, nullable: min === 0 })
  }

  optional(term: Term): Term {
    return this.choice([term, this.empty])
  }

  /** The moves of the automaton whose state the term is; none leads to the language `none`. */
  moves(term: Term): readonly Move[] {
    let moves = this.#moves.get(term)
    if (moves === undefined) {
      moves = this.#derive(term)
      this.budget.spend(1 + moves.length)
      this.#moves.set(term, moves)
    }
    return moves
  }

  /**
   * A term that is the same for all texts of up to `length` symbols: counts beyond that are cut, so that many states
   * become one.
   */
  reduced(term: Term, length: number): Term {
    if (term.kind === 'machine') return this.machine(term.machine!, term.machine!.reduced(term.state, length))
    if (!term.loops) return term
    const parts = (term.kind === 'sequence' ? spineOf(term) : term.parts).map((part) => this.reduced(part, length))
    if (term.kind === 'sequence') return this.sequence(parts)
    if (term.kind === 'choice') return this.choice(parts)
    if (term.kind === 'repeat') return this.repeat(parts[0]!, Math.min(term.min, length + 1), Math.min(term.max, length + 1))
    return term
  }

  #derive(term: Term): readonly Move[] {
    switch (term.kind) {
      case 'set':
        return [{ set: term, to: this.empty }]
      case 'choice':
        return term.parts.flatMap((part) => this.moves(part))
      case 'repeat': {
        const [part] = term.parts as [Term]
        const rest = this.repeat(part, Math.max(0, term.min - 1), term.max - 1)
        return this.moves(part).map(({ set, to }) => ({ set, to: this.#pair(to, rest) }))
      }
      case 'sequence': {
        const moves: Move[] = []
        let rest = term
        while (rest.kind === 'sequence') {
          const [first, after] = rest.parts as [Term, Term]
          for (const { set, to } of this.moves(first)) moves.push({ set, to: this.#pair(to, after) })
          if (!first.nullable) return moves
          rest = after
        }
        return moves.concat(this.moves(rest))
      }
      case 'machine':
        return term.machine!.moves(term.state, this)
      default:
        return []
    }
  }

  /** Sequences lean to the right, so that the way ahead of a place is one term however the place was reached. */
  #pair(first: Term, rest: Term): Term {
    if (first === this.none || rest === this.none) return this.none
    if (first === this.empty) return rest
    if (rest === this.empty) return first
    if (first.kind === 'sequence') return spineOf(first).reduceRight((after, part) => this.#pair(part, after), rest)
    const next = rest.kind === 'sequence' ? rest.parts[0]! : rest
    // x{a,b} x{c,d} = x{a+c,b+d}: `x? x? x?` has no more states than x{0,3}
    if (first.kind === 'repeat' && next.kind === 'repeat' && first.parts[0] === next.parts[0]) {
      const both = this.repeat(first.parts[0]!, first.min + next.min, first.max + next.max)
      return rest === next ? both : this.#pair(both, rest.parts[1]!)
    }
    const key = pairKey(first.id, rest.id)
    const known = this.#known.get(key)
    return known ?? this.#intern(key, { kind: 'sequence', parts: [first, rest], nullable: first.nullable && rest.nullable })
  }

  #intern(key: TermKey, fields: Partial<Term> & { kind: TermKind }): Term {
    const { kind, nullable = false, ranges = [], parts = NO_PARTS, min = 0, max = 0, machine, state = 0 } = fields
    this.budget.spend()
    let size = 1
    let loops = max > LONG_REPEAT
    for (const part of parts) {
      size = Math.min(size + part.size, Number.MAX_SAFE_INTEGER)
      loops ||= part.loops
    }
    loops = fields.loops ?? loops
    const term: Term = { kind, id: this.#created++, nullable, size, loops, ranges, parts, min, max, machine, state }
    this.#known.set(key, term)
    return term
  }
}

/** The parts of a sequence, one after the other; any other term alone. */
export function spineOf(term: Term): readonly Term[] {
  const spine: Term[] = []
  while (term.kind === 'sequence') {
    spine.push(term.parts[0]!)
    term = term.parts[1]!
  }
  spine.push(term)
  return spine
}

const signatures = new WeakMap<Term, string | undefined>()
/** Terms that are spelled longer are not worth comparing. */
const LONGEST_SIGNATURE = 4000

/**
 * What the term says, the same for equal terms of different owners; undefined for long ones, and for those with
 * machines that have no signature.
 */
export function signatureOf(term: Term): string | undefined {
  if (!signatures.has(term)) signatures.set(term, term.size > LONGEST_SIGNATURE ? undefined : spelled(term))
  return signatures.get(term)
}

function spelled(term: Term): string | undefined {
  if (term.kind === 'machine') return term.machine!.signature && `{${term.machine!.signature}/${term.state}}`
  if (term.kind === 'set') return `[${term.ranges.join()}]`
  const parts = (term.kind === 'sequence' ? spineOf(term) : term.parts).map(signatureOf)
  if (!parts.every((part) => part !== undefined)) return undefined
  if (term.kind === 'choice') parts.sort()
  const text = `(${term.kind}${term.kind === 'repeat' ? `${term.min},${term.max}` : ''} ${parts.join(' ')})`
  return text.length > LONGEST_SIGNATURE ? undefined : text
}
