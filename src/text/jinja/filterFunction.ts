// What a filter is, and what it is given.

import type { WorkBudget } from '../templates/workBudget.js'
import type { Arguments, Value } from './values.js'

/** What filters need of the interpreter. */
export interface Surroundings {
  readonly budget: WorkBudget
  filter(name: string, value: Value, args: Arguments): Value
  test(name: string, value: Value, args: Arguments): boolean
  /** `of[key]`, or else the attribute of that name. */
  item(of: Value, key: Value): Value
}

export type FilterFunction = (value: Value, args: Arguments, around: Surroundings) => Value
