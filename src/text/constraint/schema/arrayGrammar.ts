// Lists as grammar: the first items one by one, then the others. Owns the counts: of items, of items that meet a goal
// (`contains`), and of values that may come once (`uniqueItems`).

import { MixtralError } from '../../../base/errors.js'
import type { Expression } from '../expressions.js'
import { CompoundGrammar } from './compoundGrammar.js'
import { ANYTHING, allGoals, type Goal, goalOf, NOTHING } from './goals.js'
import type { ArrayShape, ItemCount } from './shapes.js'

/**
 * `contains` keywords of one list, each set of which an item may meet; and the places and counts that are told apart
 * beside them.
 */
const MOST_COUNTED = 3
const MOST_PLACES = 2000
/** Values of which each may come once: their sets are states, 1,024 of 10. */
const MOST_UNIQUE = 10

export class ArrayGrammar extends CompoundGrammar {
  list(shape: ArrayShape): Expression {
    return this.grammar.sequence(this.lexemes.open('['), this.#items(shape), this.lexemes.close(']'))
  }

  #items(shape: ArrayShape): Expression {
    if (shape.unique !== undefined && shape.max > 1) return this.#supported(() => this.#unique(shape), { ...shape, unique: undefined })
    return shape.counted.length > 0 ? this.#supported(() => this.#counted(shape), { ...shape, counted: [] }) : this.#plain(shape)
  }

  /** The items; of a shape that is not supported those of another one, without what is not, if that is wanted. */
  #supported(run: () => Expression, otherwise: ArrayShape): Expression {
    try {
      return run()
    } catch (error) {
      if (this.solver.lenient && error instanceof MixtralError && error.code === 'UNSUPPORTED') return this.#items(otherwise)
      throw error
    }
  }

  #plain(shape: ArrayShape): Expression {
    const { min, max } = shape
    const named = Math.min(max, namedItems(shape))
    let rest = this.#others(this.valueFor(this.solver.itemGoal(shape, named)), named, min, max)
    for (let place = named - 1; place >= 0; place--) {
      this.grammar.terms.budget.spend(4 + shape.rules.length)
      const item = this.grammar.sequence(this.#item(this.valueFor(this.solver.itemGoal(shape, place)), place), rest)
      rest = place >= min ? this.grammar.optional(item) : item
    }
    return rest
  }

  /** The items from a place on, all of one kind. */
  #others(value: Expression, place: number, min: number, max: number): Expression {
    const grammar = this.grammar
    const more = grammar.sequence(this.lexemes.comma(), value)
    if (place > 0) return grammar.repeat(more, Math.max(0, min - place), max - place)
    if (max === 0) return grammar.empty
    const some = grammar.sequence(value, grammar.repeat(more, Math.max(0, min - 1), max - 1))
    return min === 0 ? grammar.optional(some) : some
  }

  #item(value: Expression, place: number): Expression {
    return place === 0 ? value : this.grammar.sequence(this.lexemes.comma(), value)
  }

  /** A rule for each place and each count so far, as far as they matter. */
  #counted(shape: ArrayShape): Expression {
    const { counted, min, max } = shape
    const places = Math.max(1, namedItems(shape), min, max === Infinity ? 0 : max, ...counted.map(({ from }) => from))
    const caps = counted.map((count) => (count.max === Infinity ? count.min : count.max))
    if (counted.length > MOST_COUNTED || places * caps.reduce((product, cap) => product * (cap + 1), 1) > MOST_PLACES) {
      throw new MixtralError(
        'UNSUPPORTED',
        `a list with ${counted.length} counts of items (contains) over ${places} places, expected fewer`,
      )
    }
    const rules = new Map<string, Expression>()
    const from = (place: number, counts: readonly number[]): Expression => {
      const key = `${place}:${counts}`
      const known = rules.get(key)
      if (known) return known
      const rule = this.grammar.rule(`items ${key}`)
      rules.set(key, rule)
      const ways: Expression[] = place >= min && counts.every((count, i) => count >= counted[i]!.min) ? [this.grammar.empty] : []
      if (place < max) {
        for (const [goal, next] of this.#ways(shape, place, counts, caps)) {
          ways.push(this.grammar.sequence(this.#item(this.valueFor(goal), place), from(Math.min(place + 1, places), next)))
        }
      }
      this.grammar.define(rule, ways.length > 0 ? this.grammar.choice(ways) : this.lexemes.never)
      return rule
    }
    return from(
      0,
      counted.map(() => 0),
    )
  }

  /**
   * What the item at a place may be: for each set of the goals that are counted there, what meets them, and the counts
   * then.
   */
  #ways(shape: ArrayShape, place: number, counts: readonly number[], caps: readonly number[]): [Goal, number[]][] {
    const { counted } = shape
    const sets = Array.from({ length: 2 ** counted.length }, (_, bits) => counted.map((_, i) => ((bits >> i) & 1) === 1))
    return sets.flatMap((met) => {
      const goals: Goal[] = [this.solver.itemGoal(shape, place)]
      const next = [...counts]
      for (const [i, count] of counted.entries()) {
        if (met[i]) {
          if (place < count.from || (count.max < Infinity && counts[i] === count.max)) return []
          goals.push(count.goal)
          next[i] = Math.min(counts[i]! + 1, caps[i]!)
        } else if (place >= count.from && count.max < Infinity) goals.push(opposite(count))
      }
      const goal = allGoals(goals)
      return goal === NOTHING ? [] : [[goal, next]]
    })
  }

  #unique(shape: ArrayShape): Expression {
    const words = this.#wordsOf(this.solver.itemGoal(shape, 0))
    if (words === undefined || words.length > MOST_UNIQUE || namedItems(shape) > 0 || shape.counted.length > 0) {
      throw new MixtralError('UNSUPPORTED', `${shape.unique} is only supported for items of at most ${MOST_UNIQUE} listed values`)
    }
    const rules = new Map<number, Expression>()
    const after = (used: number, count: number): Expression => {
      const known = rules.get(used)
      if (known) return known
      const ways: Expression[] = count >= shape.min ? [this.grammar.empty] : []
      for (const [i, word] of words.entries()) {
        if ((used >> i) & 1 || count >= shape.max) continue
        ways.push(this.grammar.sequence(this.#item(word, count), after(used | (1 << i), count + 1)))
      }
      const rest = ways.length > 0 ? this.grammar.choice(ways) : this.lexemes.never
      rules.set(used, rest)
      return rest
    }
    return after(0, 0)
  }

  /** The values of a goal one by one, undefined unless they are listed and none is an object or a list. */
  #wordsOf(goal: Goal): Expression[] | undefined {
    const shapes = this.solver.goalShapes(goal)
    if (shapes.arrays.length + shapes.objects.length > 0) return undefined
    const words = shapes.null ? [this.lexemes.word('null')] : []
    words.push(...shapes.booleans.map((value) => this.lexemes.word(String(value))))
    for (const shape of shapes.numbers) {
      if (shape.values === undefined) return undefined
      for (const value of shape.values) words.push(this.lexemes.number({ ...shape, values: [value] }))
    }
    for (const shape of shapes.strings) {
      if (shape.values === undefined) return undefined
      for (const value of shape.values) words.push(this.lexemes.string({ ...shape, values: [value] }))
    }
    return [...new Set(words)].filter((word) => word !== this.lexemes.never)
  }
}

/** How many items have a goal of their own. */
function namedItems(shape: ArrayShape): number {
  return Math.max(0, ...shape.rules.map(({ prefix }) => prefix.length))
}

/** What does not meet the goal. Goals that are counted are one schema, or anything, or nothing. */
function opposite({ goal }: ItemCount): Goal {
  if (goal === NOTHING) return ANYTHING
  const [literal] = goal.literals
  return literal ? goalOf([{ ...literal, positive: !literal.positive }]) : NOTHING
}
