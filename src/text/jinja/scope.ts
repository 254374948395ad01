// The variables of a template: those of a block hide those around it, and end with it.

import type { Value } from './values.js'

export class Scope {
  readonly #values: Map<string, Value>
  readonly #outer: Scope | undefined

  constructor(outer?: Scope, values: Map<string, Value> = new Map()) {
    this.#outer = outer
    this.#values = values
  }

  set(name: string, value: Value): void {
    this.#values.set(name, value)
  }

  get(name: string): Value | undefined {
    for (let scope: Scope | undefined = this; scope; scope = scope.#outer) {
      const value = scope.#values.get(name)
      if (value !== undefined) return value
    }
    return undefined
  }
}
