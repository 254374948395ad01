// Objects as grammar: the named properties in their order, then any others. Owns the order and the counts.

import { MixtralError } from '../../../base/errors.js'
import type { Expression } from '../expressions.js'
import type { Term } from '../terms.js'
import { CompoundGrammar } from './compoundGrammar.js'
import { ANYTHING, type Goal, goalOf, NOTHING } from './goals.js'
import type { ObjectShape } from './shapes.js'

/** Patterns of property names that may overlap, each set of them being a class of names. */
const MOST_PATTERNS = 8

interface Member {
  readonly key: Term
  readonly goal: Goal
  readonly required: boolean
}

export class ObjectGrammar extends CompoundGrammar {
  object(shape: ObjectShape): Expression {
    const names = new Set([...shape.rules.flatMap((rule) => [...rule.names.keys()]), ...shape.required])
    const required = new Set(shape.required)
    const members: Member[] = []
    for (const name of names) {
      this.grammar.terms.budget.spend(50 + shape.rules.length)
      const goal = this.solver.propertyGoal(shape, name)
      if (goal === NOTHING && required.has(name)) return this.lexemes.never
      if (goal !== NOTHING) members.push({ key: this.solver.strings.literals([name]), goal, required: required.has(name) })
    }
    const others = this.#others(shape, [...names])
    return this.grammar.sequence(this.lexemes.open('{'), this.#members(shape, members, others), this.lexemes.close('}'))
  }

  /** The properties from each place on, by how many there are before; from the last place back to the first. */
  #members(shape: ObjectShape, members: readonly Member[], others: readonly Member[]): Expression {
    const { max } = shape
    let { min } = shape
    const certain = members.filter((member) => member.required).length
    if (others.length > 0 && min - certain >= 2) {
      if (this.solver.lenient) min = certain + 1
      else
        throw new MixtralError('UNSUPPORTED', `${shape.minAt} is not supported: properties that are not named could be the same one twice`)
    }
    const highest = Math.min(max, Math.max(min, 1, max === Infinity ? 0 : members.length))
    const counts = Array.from({ length: highest + 1 }, (_, count) => count)
    let rest = counts.map((count) => this.#rest(others, count, min, max))
    for (const { key, goal, required } of members.toReversed()) {
      this.grammar.terms.budget.spend(5 * counts.length)
      const value = this.valueFor(goal)
      rest = counts.map((count) => {
        if (count >= max) return required ? this.lexemes.never : rest[count]!
        const present = this.grammar.sequence(this.lexemes.key(key, count === 0), value, rest[Math.min(count + 1, highest)]!)
        return required ? present : this.grammar.choice([present, rest[count]!])
      })
    }
    return rest[0]!
  }

  /** The properties that are not named, after `count` others. */
  #rest(others: readonly Member[], count: number, min: number, max: number): Expression {
    const grammar = this.grammar
    if (others.length === 0 || max - count === 0) return count >= min ? grammar.empty : this.lexemes.never
    const other = (isFirst: boolean) =>
      grammar.choice(others.map(({ key, goal }) => grammar.sequence(this.lexemes.key(key, isFirst), this.valueFor(goal))))
    const least = Math.max(0, min - count)
    if (count > 0) return grammar.repeat(other(false), least, max - count)
    const some = grammar.sequence(other(true), grammar.repeat(other(false), Math.max(0, least - 1), max - 1))
    return least === 0 ? grammar.optional(some) : some
  }

  /** Names that are not listed, in classes by the patterns that they match, each with what its values must be. */
  #others(shape: ObjectShape, names: readonly string[]): Member[] {
    const { strings } = this.solver
    const patterns = [...new Set(shape.rules.flatMap((rule) => rule.patterns.map(({ term }) => term)))]
    if (patterns.length > MOST_PATTERNS) {
      if (this.solver.lenient)
        return [{ key: strings.except(strings.ofLength(0, Infinity), strings.literals(names)), goal: ANYTHING, required: false }]
      throw new MixtralError(
        'UNSUPPORTED',
        `an object with ${patterns.length} patterns of property names, expected at most ${MOST_PATTERNS}`,
      )
    }
    const classes = Array.from({ length: 2 ** patterns.length }, (_, bits) => patterns.filter((_, i) => (bits >> i) & 1))
    const wanted = classes
      .map((matched) => ({ matched: new Set(matched), goal: otherGoal(shape, new Set(matched)) }))
      .filter(({ goal }) => goal !== NOTHING)
    if (wanted.length === 0) return []
    let language = strings.ofLength(0, Infinity)
    for (const keys of shape.keys) {
      const allowed = this.solver.goalShapes(keys).strings.map((text) => strings.of(text))
      language = strings.both(language, this.grammar.terms.choice(allowed))
    }
    if (names.length > 0) language = strings.except(language, strings.literals(names))
    return wanted.flatMap(({ matched, goal }) => {
      const key = patterns.reduce(
        (rest, pattern) => (matched.has(pattern) ? strings.both(rest, pattern) : strings.except(rest, pattern)),
        language,
      )
      return key === this.grammar.terms.none ? [] : { key, goal, required: false }
    })
  }
}

/** What a property must be that no rule names, and that matches these patterns. */
function otherGoal(shape: ObjectShape, matched: ReadonlySet<Term>): Goal {
  const goals = shape.rules.flatMap(({ patterns, rest }) => {
    const found = patterns.filter(({ term }) => matched.has(term)).map(({ goal }) => goal)
    return found.length > 0 ? found : [rest]
  })
  return goals.includes(NOTHING) ? NOTHING : goalOf(goals.flatMap(({ literals }) => literals))
}
