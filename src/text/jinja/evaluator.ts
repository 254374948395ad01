// Evaluates the expressions of a template, within its budget. Owns the scopes of variables.

import { Text } from '../templates/markedText.js'
import type { WorkBudget } from '../templates/workBudget.js'
import { joined } from './composing.js'
import { CONDITIONS } from './conditions.js'
import { FILTERS } from './filters.js'
import { attributeOf, called, itemOf } from './members.js'
import { binary, compares, signed, sliced } from './operators.js'
import type { Surroundings } from './parameters.js'
import { textOf } from './printing.js'
import type { Argument, Expression, Filter } from './tree.js'
import { type Arguments, Dict, Float, isTrue, itemsOf, List, orElse, typeName, Undefined, type Value } from './values.js'

/** Variables: those of a block hide those around it, and end with it. */
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

/** Runs of a text from which on they are counted as what is made. */
const MANY_RUNS = 16
const CHARACTERS_PER_RUN = 16

const NO_ARGUMENTS: Arguments = { list: [], named: new Map() }

export class Evaluator implements Surroundings {
  readonly budget: WorkBudget

  constructor(budget: WorkBudget) {
    this.budget = budget
  }

  evaluate(node: Expression, scope: Scope): Value {
    switch (node.type) {
      case 'text':
        return node.text
      case 'constant':
        return node.value
      case 'name':
        this.budget.countStep()
        return orElse(scope.get(node.name), new Undefined(node.name))
      default: {
        this.budget.enter()
        const value = this.#made(node, scope)
        this.budget.leave()
        if (value instanceof Text && value.runs.length > MANY_RUNS) this.budget.spend(CHARACTERS_PER_RUN * value.runs.length)
        return value
      }
    }
  }

  #made(node: Expression, scope: Scope): Value {
    switch (node.type) {
      case 'number':
        return node.isFloat ? new Float(node.value) : node.value
      case 'list':
      case 'tuple':
        this.budget.makeItems(node.items.length)
        return new List(
          node.items.map((item) => this.evaluate(item, scope)),
          node.type,
        )
      case 'dict':
        this.budget.makeItems(node.entries.length)
        return Dict.of(node.entries.map(([key, value]) => [this.evaluate(key, scope), this.evaluate(value, scope)] as const))
      case 'attribute':
        return attributeOf(this.evaluate(node.of, scope), node.name, this.budget)
      case 'item':
        return itemOf(this.evaluate(node.of, scope), this.evaluate(node.key, scope), this.budget)
      case 'slice': {
        const bounds = [node.start, node.stop, node.step].map((bound) => bound && this.evaluate(bound, scope))
        return sliced(this.evaluate(node.of, scope), bounds, this.budget)
      }
      case 'call':
        return called(this.evaluate(node.callee, scope), this.args(node.args, scope), this.budget)
      case 'filter':
        return this.filtered(node, undefined, scope)
      case 'test':
        return this.test(node.name, this.evaluate(node.of, scope), this.args(node.args, scope))
      case 'not':
        return !isTrue(this.evaluate(node.of, scope))
      case 'minus':
      case 'plus':
        return signed(this.evaluate(node.of, scope), node.type === 'minus')
      case 'and':
      case 'or': {
        const left = this.evaluate(node.left, scope)
        return isTrue(left) === (node.type === 'or') ? left : this.evaluate(node.right, scope)
      }
      case 'compare':
        return this.#compare(node, scope)
      case 'binary':
        return binary(node.operator, this.evaluate(node.left, scope), this.evaluate(node.right, scope), this.budget)
      case 'concat': {
        const texts = node.parts.map((part) => textOf(this.evaluate(part, scope), this.budget))
        return joined(texts, Text.empty, this.budget)
      }
      case 'if':
        if (isTrue(this.evaluate(node.test, scope))) return this.evaluate(node.value, scope)
        return node.otherwise ? this.evaluate(node.otherwise, scope) : new Undefined('a value without an else')
      default:
        return this.evaluate(node, scope)
    }
  }

  /** A chain of comparisons holds if each of them does. */
  #compare({ first, others }: Expression & { type: 'compare' }, scope: Scope): boolean {
    let left = this.evaluate(first, scope)
    for (const [operator, node] of others) {
      this.budget.countStep()
      const right = this.evaluate(node, scope)
      if (!compares(operator, left, right, this.budget)) return false
      left = right
    }
    return true
  }

  /** A filter's result. A block gives its text; a value stands before the bar. */
  filtered(filter: Filter, text: Text | undefined, scope: Scope): Value {
    let value: Value
    if (!filter.of) value = text ?? Text.empty
    else if (filter.of.type === 'filter') {
      this.budget.enter()
      value = this.filtered(filter.of, text, scope)
      this.budget.leave()
    } else value = this.evaluate(filter.of, scope)
    return this.filter(filter.name, value, this.args(filter.args, scope))
  }

  args(nodes: readonly Argument[], scope: Scope): Arguments {
    if (nodes.length === 0) return NO_ARGUMENTS
    const list: Value[] = []
    const named = new Map<string, Value>()
    for (const { kind, name, value: node } of nodes) {
      const value = this.evaluate(node, scope)
      if (kind === 'position') list.push(value)
      else if (kind === 'keyword') named.set(name, value)
      else if (kind === 'list') {
        const items = itemsOf(value, this.budget)
        this.budget.makeItems(list.length + items.length)
        for (const item of items) list.push(item)
      } else {
        if (!(value instanceof Dict)) throw new Error(`** before a ${typeName(value)}, expected a dict`)
        this.budget.makeItems(value.size)
        for (const [key, item] of value.entries) named.set(textOf(key, this.budget).value, item)
      }
    }
    return { list, named }
  }

  filter(name: string, value: Value, args: Arguments): Value {
    const run = FILTERS.get(name)
    if (!run) throw new Error(`no filter named ${name.slice(0, 60)}`)
    return run(value, args, this)
  }

  test(name: string, value: Value, args: Arguments): boolean {
    if (name === 'filter' || name === 'test') {
      return value instanceof Text && (name === 'filter' ? FILTERS : CONDITIONS).has(value.value)
    }
    const run = CONDITIONS.get(name)
    if (!run) throw new Error(`no test named ${name.slice(0, 60)}`)
    return run(value, args, this.budget)
  }

  readonly item = (of: Value, key: Value): Value => itemOf(of, key, this.budget)
}
