// The parts of @huggingface/jinja that the interpreter of chat templates builds on, with types. Under `nodenext` the
// package's own declarations do not resolve, because their imports lack extensions.

import * as jinja from '@huggingface/jinja'

/** A node of the syntax tree. Its other fields depend on `type`. */
export interface Node {
  readonly type: string
  // biome-ignore lint/suspicious/noExplicitAny: the fields of a node differ by type, and the package hides their types
  readonly [field: string]: any
}

/**
 * A value of the template language: `StringValue` holds a string, `ArrayValue` an array of values, `ObjectValue` a map
 * of values.
 */
export interface Value {
  readonly type: string
  readonly value: unknown
}

export interface Scope {
  /** Declares a variable; plain values and functions of plain values are converted. */
  set(name: string, value: unknown): Value
  setVariable(name: string, value: Value): Value
}

interface Jinja {
  tokenize(source: string, options: { lstrip_blocks: boolean; trim_blocks: boolean }): unknown
  parse(tokens: unknown): Node
  Environment: new () => Scope
  Interpreter: new (scope: Scope) => { evaluate(node: Node | undefined, scope: Scope): Value }
}

export const { tokenize, parse, Environment, Interpreter } = jinja as unknown as Jinja

const StringValue = new Environment().set('text', '').constructor as new (text: string) => Value
const ObjectValue = new Environment().set('map', {}).constructor as new (entries: ReadonlyMap<string, Value>) => Value
const ArrayValue = new Environment().set('list', []).constructor as new (values: readonly Value[]) => Value

const RuntimeValue = Object.getPrototypeOf(StringValue) as abstract new () => Value

export function isValue(value: unknown): value is Value {
  return value instanceof RuntimeValue
}

/** Converts a text to a value of the template language. */
export function stringValue(text: string): Value {
  return new StringValue(text)
}

/** Converts a list to a value of the template language. */
export function arrayValue(values: readonly Value[]): Value {
  return new ArrayValue(values)
}

/** Converts a map of values to a value of the template language. */
export function objectValue(entries: ReadonlyMap<string, Value>): Value {
  return new ObjectValue(entries)
}

/** Converts a number, a boolean or null to a value of the template language. */
export function plainValue(value: unknown): Value {
  return new Environment().set('value', value)
}
