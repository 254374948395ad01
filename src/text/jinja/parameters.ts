// What filters, methods and functions are given: arguments, by place or by name and of the kind that is wanted, and
// what filters need of the interpreter.

import { Text } from '../templates/markedText.js'
import type { WorkBudget } from '../templates/workBudget.js'
import { type Arguments, isTrue, typeName, Undefined, type Value } from './values.js'

export class Parameters {
  readonly #of: string
  readonly #values = new Map<string, Value>()

  /** Throws an Error for more arguments than names, and for a name that is not among them. */
  constructor(of: string, { list, named }: Arguments, names: readonly string[]) {
    this.#of = of
    if (list.length > names.length) throw new Error(`${of} with ${list.length} arguments, expected at most ${names.length}`)
    list.forEach((value, index) => {
      this.#values.set(names[index]!, value)
    })
    for (const [name, value] of named) {
      if (!names.includes(name) || this.#values.has(name)) throw new Error(`${of} with the argument ${name}`)
      this.#values.set(name, value)
    }
  }

  has(name: string): boolean {
    return this.#values.has(name)
  }

  value(name: string): Value | undefined {
    return this.#values.get(name)
  }

  required(name: string): Value {
    const value = this.#values.get(name)
    if (value === undefined) throw new Error(`${this.#of} without its argument ${name}`)
    return value
  }

  /** A text; undefined where it is left out or None. */
  text(name: string): Text | undefined {
    const value = this.#values.get(name)
    if (value === undefined || value === null) return undefined
    if (value instanceof Undefined) return Text.empty
    if (!(value instanceof Text)) throw this.#wrong(name, value, 'a text')
    return value
  }

  requiredText(name: string): Text {
    this.required(name)
    return this.text(name) ?? Text.empty
  }

  /** A whole number; undefined where it is left out or None. */
  whole(name: string): number | undefined {
    const value = this.#values.get(name)
    if (value === undefined || value === null) return undefined
    if (typeof value !== 'number' && typeof value !== 'boolean') throw this.#wrong(name, value, 'a whole number')
    return Number(value)
  }

  flag(name: string, absent = false): boolean {
    const value = this.#values.get(name)
    return value === undefined ? absent : isTrue(value)
  }

  #wrong(name: string, value: Value, expected: string): Error {
    return new Error(`${this.#of} with a ${typeName(value)} as ${name}, expected ${expected}`)
  }
}

/** What filters need of the interpreter. */
export interface Surroundings {
  readonly budget: WorkBudget
  filter(name: string, value: Value, args: Arguments): Value
  test(name: string, value: Value, args: Arguments): boolean
  /** `of[key]`, or else the attribute of that name. */
  item(of: Value, key: Value): Value
}

export type FilterFunction = (value: Value, args: Arguments, around: Surroundings) => Value
