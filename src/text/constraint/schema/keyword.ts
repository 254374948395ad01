// What every keyword of JSON Schema has: the values that satisfy it, and those that do not. Owns how a keyword reports
// its faults.

import { MixtralError } from '../../../base/errors.js'
import type { Budget } from '../budget.js'
import type { Term, Terms } from '../terms.js'
import type { Literal } from './goals.js'
import { type SchemaDocument, type SchemaNode, shownPointer, typeOf } from './schemaDocument.js'
import { anyValue, intersectionOf, noValue, unionOf, type ValueShapes } from './shapes.js'

export interface Keyword {
  /** The values for which the keyword holds. */
  holds(use: KeywordUse): ValueShapes
  /** The values for which it does not. */
  fails(use: KeywordUse): ValueShapes
}

/** What keywords may ask about other schemas. */
export interface Solver {
  readonly terms: Terms
  readonly document: SchemaDocument
  shapesOf(literal: Literal): ValueShapes
  /** Whether it is certain that no value is left. */
  isEmpty(shapes: ValueShapes): boolean
  /** The texts of which a pattern matches a part; over code points. */
  pattern(source: string, what: string): Term
}

/** A keyword in a schema. */
export class KeywordUse {
  readonly node: SchemaNode
  readonly name: string
  readonly solver: Solver
  readonly #schema: Readonly<Record<string, unknown>>

  constructor(node: SchemaNode, name: string, solver: Solver) {
    this.node = node
    this.name = name
    this.solver = solver
    this.#schema = node.value as Readonly<Record<string, unknown>>
  }

  get value(): unknown {
    return this.#schema[this.name]
  }

  get budget(): Budget {
    return this.solver.terms.budget
  }

  /** The values of any of them. */
  any(all: readonly ValueShapes[]): ValueShapes {
    return unionOf(all, this.budget)
  }

  /** The values that are in all of them. */
  all(all: readonly ValueShapes[]): ValueShapes {
    return all.reduce((shapes, more) => intersectionOf(shapes, more, this.budget), anyValue)
  }

  /** As errors show it: `minItems at #/properties/a/minItems`. */
  get place(): string {
    return `${this.name} at ${shownPointer(this.node)}/${this.name}`
  }

  /** The value of another keyword beside this one. */
  beside(name: string): unknown {
    return Object.hasOwn(this.#schema, name) ? this.#schema[name] : undefined
  }

  /** A schema in the keyword's value. */
  child(...path: readonly (string | number)[]): SchemaNode {
    return this.solver.document.child(this.node, this.name, ...path)
  }

  /** The schemas of a list. */
  children(): SchemaNode[] {
    return (this.value as unknown[]).map((_, i) => this.child(i))
  }

  count(): number {
    const { value } = this
    if (typeof value === 'number' && Number.isInteger(value) && value >= 0) return value
    throw this.malformed('a whole number from 0')
  }

  number(): number {
    if (typeof this.value === 'number' && Number.isFinite(this.value)) return this.value
    throw this.malformed('a number')
  }

  text(): string {
    if (typeof this.value === 'string') return this.value
    throw this.malformed('a string')
  }

  malformed(expected: string): MixtralError {
    const { value } = this
    const found = typeof value === 'number' ? String(value) : typeof value === 'string' ? JSON.stringify(value).slice(0, 60) : typeOf(value)
    return new MixtralError('OPTION', `${this.place} is ${found}, expected ${expected}`)
  }

  unsupported(why: string): MixtralError {
    return new MixtralError('UNSUPPORTED', `${this.place} is not supported: ${why}`)
  }
}

/** The keyword says something about one type: values of other types satisfy it. */
export function orOtherType(shapes: Partial<ValueShapes>): ValueShapes {
  return { ...anyValue, ...shapes }
}

/** Values of this type alone. */
export function onlyType(shapes: Partial<ValueShapes>): ValueShapes {
  return { ...noValue, ...shapes }
}
