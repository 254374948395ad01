// Runs a Go template over plain data, within a budget, because it comes from an untrusted file. Owns the meaning of
// actions and functions; the grammar is in goTemplateParser.ts. Knows nothing of chats or tokens.

import type { GoCommand, GoNode, GoOperand, GoPipe } from './goTemplateParser.js'
import type { WorkBudget } from './templateBudget.js'

export type GoValue = string | number | boolean | null | undefined | readonly GoValue[] | { readonly [key: string]: GoValue }

/** The cost of an item in a list, in characters: its reference, and in a `range` its key beside it. */
const ITEM = 4
const ENTRY = 16

/** A function that a template may call. */
type GoFunction = (...args: GoValue[]) => GoValue

class Leave {
  readonly by: 'break' | 'continue'
  constructor(by: 'break' | 'continue') {
    this.by = by
  }
}

/**
 * Renders a template. Throws an Error for an unknown function or variable, for operands that do not fit each other, and
 * when the budget is exceeded.
 * @param reveal gives the text that takes part in comparisons
 */
export function renderGoTemplate(nodes: readonly GoNode[], data: GoValue, budget: WorkBudget, reveal: (text: string) => string): string {
  const run = new Run(budget, reveal)
  const scope = new Scope()
  scope.declare('$', data)
  run.list(nodes, data, scope)
  return run.text
}

/** The variables in scope. */
class Scope {
  readonly #values = new Map<string, GoValue>()
  readonly #outer: Scope | undefined

  constructor(outer?: Scope) {
    this.#outer = outer
  }

  declare(name: string, value: GoValue): void {
    this.#values.set(name, value)
  }

  assign(name: string, value: GoValue): void {
    this.#holder(name).#values.set(name, value)
  }

  value(name: string): GoValue {
    return this.#holder(name).#values.get(name)
  }

  #holder(name: string): Scope {
    for (let scope: Scope | undefined = this; scope; scope = scope.#outer) if (scope.#values.has(name)) return scope
    throw new Error(`the variable ${name} is not declared`)
  }
}

class Run {
  text = ''
  readonly #budget: WorkBudget
  readonly #functions: ReadonlyMap<string, GoFunction>

  constructor(budget: WorkBudget, reveal: (text: string) => string) {
    this.#budget = budget
    this.#functions = functionsWith(budget, reveal)
  }

  /** Runs nodes. The scope of a variable that they declare ends with them. */
  list(nodes: readonly GoNode[], dot: GoValue, outer: Scope): void {
    const scope = new Scope(outer)
    for (const node of nodes) this.#node(node, dot, scope)
  }

  #node(node: GoNode, dot: GoValue, scope: Scope): void {
    this.#budget.countStep()
    switch (node.type) {
      case 'text':
        this.#write(node.text)
        break
      case 'action':
        this.#write(printed(this.#pipe(node.pipe, dot, scope)))
        break
      case 'set': {
        const value = this.#pipe(node.pipe, dot, scope)
        if (node.declares) scope.declare(node.name, value)
        else scope.assign(node.name, value)
        break
      }
      case 'if':
      case 'with': {
        const value = this.#pipe(node.pipe, dot, scope)
        this.list(truth(value) ? node.body : node.otherwise, node.type === 'with' && truth(value) ? value : dot, scope)
        break
      }
      case 'range':
        this.#range(node, dot, scope)
        break
      case 'break':
      case 'continue':
        throw new Leave(node.type)
    }
  }

  #range({ names, pipe, body, otherwise }: GoNode & { type: 'range' }, dot: GoValue, scope: Scope): void {
    const of = this.#pipe(pipe, dot, scope)
    this.#budget.spend(ENTRY * sizeOf(of))
    const entries = entriesOf(of)
    if (entries.length === 0) this.list(otherwise, dot, scope)
    for (const [key, value] of entries) {
      this.#budget.countStep() // the body may be empty
      const inner = new Scope(scope)
      if (names.length === 2) inner.declare(names[0]!, key)
      if (names.length > 0) inner.declare(names.at(-1)!, value)
      try {
        this.list(body, value, inner)
      } catch (left) {
        if (!(left instanceof Leave)) throw left
        if (left.by === 'break') break
      }
    }
  }

  #pipe(pipe: GoPipe, dot: GoValue, scope: Scope): GoValue {
    return pipe.reduce<readonly GoValue[]>((piped, command) => [this.#command(command, piped, dot, scope)], [])[0]
  }

  #command(command: GoCommand, piped: readonly GoValue[], dot: GoValue, scope: Scope): GoValue {
    this.#budget.countStep()
    const [first, ...rest] = command
    if (first!.type !== 'function') {
      if (rest.length > 0 || piped.length > 0) throw new Error('arguments for a value that is not a function')
      return this.#operand(first!, dot, scope)
    }
    const { name } = first!
    // These two evaluate an argument only if the ones before leave the result open.
    if (name === 'and' || name === 'or') {
      let value: GoValue
      for (const arg of rest) {
        value = this.#operand(arg, dot, scope)
        if (truth(value) === (name === 'or')) return value
      }
      return piped.length > 0 ? piped[0] : value
    }
    const run = this.#functions.get(name)
    if (!run) throw new Error(`the function ${name} is not supported`)
    return run(...rest.map((arg) => this.#operand(arg, dot, scope)), ...piped)
  }

  #operand(operand: GoOperand, dot: GoValue, scope: Scope): GoValue {
    this.#budget.countStep() // one command may have thousands
    if (operand.type === 'literal') return operand.value
    if (operand.type === 'function') return this.#command([operand], [], dot, scope)
    const { of, path } = operand
    let value: GoValue
    if (of === 'dot') value = dot
    else if ('pipe' in of) value = this.#pipe(of.pipe, dot, scope)
    else value = scope.value(of.variable)
    for (const field of path) value = isObject(value) && Object.hasOwn(value, field) ? value[field] : undefined
    return value
  }

  #write(text: string): void {
    this.#budget.checkLength(this.text.length + text.length)
    this.text += text
  }
}

/**
 * The functions. Their results are counted even if they are never written, and so are the texts they compare: texts in
 * variables take memory and time.
 */
function functionsWith(budget: WorkBudget, reveal: (text: string) => string): ReadonlyMap<string, GoFunction> {
  const plain = (value: GoValue) => {
    if (typeof value !== 'string') return value ?? null
    budget.spend(value.length)
    return reveal(value)
  }
  const joined = (text: string, more: string) => {
    budget.checkLength(text.length + more.length)
    budget.spend(more.length)
    return text + more
  }
  const order = (a: GoValue, b: GoValue) => {
    const [left, right] = [plain(a), plain(b)]
    if (typeof left !== typeof right || (typeof left !== 'string' && typeof left !== 'number'))
      throw new Error('a comparison of values without an order')
    return left < right! ? -1 : left === right ? 0 : 1
  }
  return new Map<string, GoFunction>([
    ['not', (value) => !truth(value)],
    ['eq', (first, ...others) => others.map(plain).includes(plain(first))],
    ['ne', (a, b) => plain(a) !== plain(b)],
    ['lt', (a, b) => order(a, b) < 0],
    ['le', (a, b) => order(a, b) <= 0],
    ['gt', (a, b) => order(a, b) > 0],
    ['ge', (a, b) => order(a, b) >= 0],
    ['len', (value) => (typeof value === 'string' ? value.length : sizeOf(value))],
    ['index', (value, ...keys) => keys.reduce<GoValue>((of, key) => entriesOf(of).find(([each]) => each === key)?.[1], value)],
    [
      'slice',
      (value, from = 0, to) => {
        if (!Array.isArray(value) && typeof value !== 'string') return []
        const part = value.slice(Number(from), to === undefined ? undefined : Number(to))
        budget.spend(typeof part === 'string' ? part.length : ITEM * part.length)
        return part
      },
    ],
    ['print', (...values) => values.reduce<string>((text, value) => joined(text, printed(value)), '')],
    ['json', (value) => joined('', JSON.stringify(value ?? null))],
  ])
}

function isObject(value: GoValue): value is { readonly [key: string]: GoValue } {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function entriesOf(value: GoValue): readonly (readonly [string | number, GoValue])[] {
  if (Array.isArray(value)) return value.map((item: GoValue, index) => [index, item] as const)
  return isObject(value) ? Object.entries(value) : []
}

/** The number of entries, without making a list of them. */
function sizeOf(value: GoValue): number {
  if (Array.isArray(value)) return value.length
  return isObject(value) ? Object.keys(value).length : 0
}

function truth(value: GoValue): boolean {
  return typeof value === 'object' && value !== null ? sizeOf(value) > 0 : Boolean(value)
}

/** The text of a value as a template prints it; an absent value prints nothing. */
function printed(value: GoValue): string {
  if (value === undefined || value === null) return ''
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}
