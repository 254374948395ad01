// Automata with all their states written out, for what terms cannot say: the intersection, the difference and the
// emptiness of languages. Every state has a way to an accepting one. Made of terms, and a term again as a machine's
// state. Does not know what its symbols are.

import { type Budget, LOOK } from './budget.js'
import { withoutSubsets } from './lexer.js'
import { classesOf, contains, intersection, pairsOf, type Ranges, rangesOf, without } from './ranges.js'
import type { Machine, Move, Term, Terms } from './terms.js'

interface Way {
  readonly ranges: Ranges
  readonly to: number
}
interface DfaState {
  accepts: boolean
  readonly ways: Way[]
}

/**
 * Larger automata are not searched for states that are alike: it would take longer than it saves. In states, in sets of
 * symbols, and in states times symbols.
 */
const MOST_COMPARED = 20_000
const MOST_SETS_COMPARED = 1000
const MOST_WAYS_COMPARED = 1_000_000

export class Dfa implements Machine {
  /** State 0 is the first; without states the language is empty. */
  readonly states: readonly DfaState[]
  readonly #alike = new Map<number, Int32Array>()

  constructor(states: readonly DfaState[]) {
    this.states = trimmed(states)
  }

  /** The language as a term. */
  term(terms: Terms): Term {
    return this.states.length === 0 ? terms.none : terms.machine(this, 0)
  }

  has(text: string): boolean {
    let state = this.states[0]
    for (const character of text) {
      if (state === undefined) return false
      const way = state.ways.find(({ ranges }) => contains(ranges, character.codePointAt(0)!))
      state = way && this.states[way.to]
    }
    return state?.accepts ?? false
  }

  accepts(state: number): boolean {
    return this.states[state]!.accepts
  }

  moves(state: number, terms: Terms): readonly Move[] {
    return this.states[state]!.ways.map(({ ranges, to }) => ({ set: terms.set(ranges), to: terms.machine(this, to) }))
  }

  reduced(state: number, length: number): number {
    let alike = this.#alike.get(length)
    if (alike === undefined) {
      alike = this.#compare(length)
      this.#alike.set(length, alike)
    }
    return alike[state]!
  }

  /**
   * For each state the first that is the same for all texts of up to `length` symbols, by Moore's refinement, a round a
   * symbol.
   */
  #compare(length: number): Int32Array {
    const { states } = this
    const apart = () => Int32Array.from(states, (_, state) => state)
    if (states.length > MOST_COMPARED) return apart()
    const sets = new Map<string, Ranges>()
    for (const { ways } of states) for (const { ranges } of ways) sets.set(ranges.join(), ranges)
    if (sets.size > MOST_SETS_COMPARED) return apart()
    const symbols = classesOf([...sets.values()]).map(({ ranges }) => ranges[0]!)
    if (states.length * symbols.length > MOST_WAYS_COMPARED) return apart()
    const next = states.map(({ ways }) => symbols.map((symbol) => ways.find(({ ranges }) => contains(ranges, symbol))?.to ?? -1))
    let classOf = Int32Array.from(states, ({ accepts }) => (accepts ? 1 : 0))
    let count = 0
    for (let round = 0; round < length; round++) {
      const classes = new Map<string, number>()
      const refined = Int32Array.from(states, (_, state) => {
        const key = `${classOf[state]}:${next[state]!.map((to) => (to < 0 ? -1 : classOf[to]!)).join()}`
        const known = classes.get(key) ?? classes.size
        classes.set(key, known)
        return known
      })
      classOf = refined
      if (classes.size === count) break
      count = classes.size
    }
    const first = new Map<number, number>()
    return Int32Array.from(states, (_, state) => {
      const found = first.get(classOf[state]!) ?? state
      first.set(classOf[state]!, found)
      return found
    })
  }
}

/** The automaton of a term over code points. */
export function determinize(terms: Terms, term: Term): Dfa {
  const explore = new Exploration<readonly Term[]>(terms.budget, (parts) => parts.map(({ id }) => id).join())
  const strongest = (parts: readonly Term[]) => withoutSubsets(parts.map((part) => [0, part] as const)).map(([, part]) => part)
  return explore.from(strongest([term]), (parts) => {
    const moves = parts.flatMap((part) => terms.moves(part))
    terms.budget.spend(4 * moves.length)
    const classes = classesOf(
      moves.map(({ set }) => set.ranges),
      (looks) => terms.budget.spend(looks * LOOK),
    )
    const ways = classes.map(({ ranges, members }) => ({ ranges, to: strongest(members.map((move) => moves[move]!.to)) }))
    return { accepts: parts.some((part) => part.nullable), ways }
  })
}

/** The texts that are in both. */
export function both(budget: Budget, a: Dfa, b: Dfa): Dfa {
  if (a.states.length === 0 || b.states.length === 0) return new Dfa([])
  const explore = new Exploration<readonly [number, number]>(budget, ([p, q]) => `${p},${q}`)
  return explore.from([0, 0], ([p, q]) => {
    const left = a.states[p]!
    const right = b.states[q]!
    budget.spend(2 * left.ways.length * right.ways.length + LOOK * looksAt(left.ways, right.ways))
    const ways = left.ways.flatMap((way) =>
      right.ways.map((other) => ({ ranges: intersection(way.ranges, other.ranges), to: [way.to, other.to] as const })),
    )
    return { accepts: left.accepts && right.accepts, ways: ways.filter(({ ranges }) => ranges.length > 0) }
  })
}

/** The texts of `a` that are not in `b`. */
export function except(budget: Budget, a: Dfa, b: Dfa): Dfa {
  if (a.states.length === 0 || b.states.length === 0) return a
  const OUTSIDE = -1
  const explore = new Exploration<readonly [number, number]>(budget, ([p, q]) => `${p},${q}`)
  return explore.from([0, 0], ([p, q]) => {
    const left = a.states[p]!
    const others = q === OUTSIDE ? [] : b.states[q]!.ways
    budget.spend(4 * left.ways.length * (others.length + 1) + LOOK * looksAt(left.ways, others))
    const taken = rangesOf(others.flatMap(({ ranges }) => pairsOf(ranges)))
    const ways = left.ways.flatMap((way) => {
      const rest = without(way.ranges, taken)
      const shared = others.map((other) => ({ ranges: intersection(way.ranges, other.ranges), to: [way.to, other.to] as const }))
      return [...shared, { ranges: rest, to: [way.to, OUTSIDE] as const }]
    })
    return { accepts: left.accepts && (q === OUTSIDE || !b.states[q]!.accepts), ways: ways.filter(({ ranges }) => ranges.length > 0) }
  })
}

/** How many ranges are looked at where each way of one state is compared with each of another. */
function looksAt(left: readonly Way[], right: readonly Way[]): number {
  const rangesIn = (ways: readonly Way[]) => ways.reduce((sum, { ranges }) => sum + ranges.length, 0)
  return left.length * rangesIn(right) + right.length * rangesIn(left)
}

/** Numbers the states of an automaton as they are found. */
class Exploration<State> {
  readonly #budget: Budget
  readonly #keyOf: (state: State) => string
  readonly #numbers = new Map<string, number>()
  readonly #found: State[] = []

  constructor(budget: Budget, keyOf: (state: State) => string) {
    this.#budget = budget
    this.#keyOf = keyOf
  }

  from(start: State, expand: (state: State) => { accepts: boolean; ways: readonly { ranges: Ranges; to: State }[] }): Dfa {
    this.#number(start)
    const states: DfaState[] = []
    for (let at = 0; at < this.#found.length; at++) {
      this.#budget.spend(5)
      const { accepts, ways } = expand(this.#found[at]!)
      states.push({ accepts, ways: merged(ways.map(({ ranges, to }) => ({ ranges, to: this.#number(to) }))) })
    }
    return new Dfa(states)
  }

  #number(state: State): number {
    const key = this.#keyOf(state)
    const known = this.#numbers.get(key)
    if (known !== undefined) return known
    this.#numbers.set(key, this.#found.length)
    return this.#found.push(state) - 1
  }
}

/** One way per target. */
function merged(ways: readonly Way[]): Way[] {
  const byTarget = new Map<number, Way[]>()
  for (const way of ways) byTarget.set(way.to, [...(byTarget.get(way.to) ?? []), way])
  return Array.from(byTarget, ([to, group]) =>
    group.length === 1 ? group[0]! : { ranges: rangesOf(group.flatMap(({ ranges }) => pairsOf(ranges))), to },
  )
}

/** Without the states from which no text is accepted. */
function trimmed(states: readonly DfaState[]): readonly DfaState[] {
  const sources: number[][] = states.map(() => [])
  states.forEach(({ ways }, from) => {
    for (const { to } of ways) sources[to]!.push(from)
  })
  const live = new Set(states.flatMap(({ accepts }, state) => (accepts ? state : [])))
  for (const state of live) for (const source of sources[state]!) live.add(source)
  if (!live.has(0)) return []
  const kept = [...live].sort((a, b) => a - b)
  const numberOf = new Map(kept.map((state, number) => [state, number]))
  return kept.map((state) => ({
    accepts: states[state]!.accepts,
    ways: states[state]!.ways.flatMap(({ ranges, to }) => (numberOf.has(to) ? { ranges, to: numberOf.get(to)! } : [])),
  }))
}
