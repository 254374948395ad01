// Runs a Go template over plain data, within a budget, because it comes from an untrusted file. Owns the meaning of
// actions and functions; the grammar is in goTemplateParser.ts. Knows nothing of chats or tokens.

import { checkArity, type GoFunction, goFunctions } from './goFunctions.js'
import { type GoCommand, type GoNode, type GoOperand, type GoPipe, type GoTemplates, MAIN } from './goTemplateParser.js'
import { entriesOf, fieldOf, GoFloat, type GoValue, keyOf, printed, sizeOf, truth } from './goValues.js'
import { Text } from './markedText.js'
import type { WorkBudget } from './workBudget.js'

/** The cost of an item of a `range`, in characters: its reference, and its key beside it. */
const ENTRY = 16

class Leave {
  readonly by: 'break' | 'continue'
  constructor(by: 'break' | 'continue') {
    this.by = by
  }
}

/**
 * Renders the main template. Throws an Error for an unknown function, variable or template, for operands that do not
 * fit each other, and when the budget is exceeded.
 */
export function renderGoTemplate(templates: GoTemplates, data: GoValue, budget: WorkBudget): Text {
  const run = new Run(templates, budget)
  run.template(MAIN, data)
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
  readonly #parts: Text[] = []
  #length = 0
  readonly #templates: GoTemplates
  readonly #budget: WorkBudget
  readonly #functions: ReadonlyMap<string, GoFunction>

  constructor(templates: GoTemplates, budget: WorkBudget) {
    this.#templates = templates
    this.#budget = budget
    this.#functions = goFunctions(budget, () => new Date())
  }

  get text(): Text {
    return Text.concat(this.#parts)
  }

  /** Runs a template, which sees no variables but `$`, its own data. */
  template(name: string, data: GoValue): void {
    const nodes = this.#templates.get(name)
    if (!nodes) throw new Error(`the template ${JSON.stringify(name)} is not defined`)
    const scope = new Scope()
    scope.declare('$', data)
    this.#list(nodes, data, scope)
  }

  /** Runs nodes. The scope of a variable that they declare ends with them. */
  #list(nodes: readonly GoNode[], dot: GoValue, outer: Scope): void {
    this.#budget.enter() // a template may call itself
    const scope = new Scope(outer)
    try {
      for (const node of nodes) this.#node(node, dot, scope)
    } finally {
      this.#budget.leave() // also when a `break` leaves it
    }
  }

  #node(node: GoNode, dot: GoValue, scope: Scope): void {
    this.#budget.countStep()
    switch (node.type) {
      case 'text':
        this.#write(new Text(node.text))
        break
      case 'action':
        this.#write(printed(this.#pipe(node.pipe, dot, scope), this.#budget))
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
        const inner = new Scope(scope)
        if (node.name !== undefined) inner.declare(node.name, value)
        this.#list(truth(value) ? node.body : node.otherwise, node.type === 'with' && truth(value) ? value : dot, inner)
        break
      }
      case 'range':
        this.#range(node, dot, scope)
        break
      case 'template':
        this.template(node.name, this.#pipe(node.pipe, dot, scope))
        break
      case 'break':
      case 'continue':
        throw new Leave(node.type)
    }
  }

  #range({ names, pipe, body, otherwise }: GoNode & { type: 'range' }, dot: GoValue, scope: Scope): void {
    const of = this.#pipe(pipe, dot, scope)
    this.#budget.spend(ENTRY * (typeof of === 'number' ? Math.max(0, of) : sizeOf(of)))
    const entries = entriesOf(of)
    if (entries.length === 0) this.#list(otherwise, dot, scope)
    for (const [key, value] of entries) {
      this.#budget.countStep() // the body may be empty
      const inner = new Scope(scope)
      if (names.length === 2) inner.declare(names[0]!, keyOf(of, key))
      if (names.length > 0) inner.declare(names.at(-1)!, value)
      try {
        this.#list(body, value, inner)
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
    checkArity(name, rest.length + piped.length)
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
    if (operand.type === 'literal') return operand.isFloat ? new GoFloat(operand.value as number) : operand.value
    if (operand.type === 'function') return this.#command([operand], [], dot, scope)
    const { of, path } = operand
    let value: GoValue
    if (of === 'dot') value = dot
    else if ('pipe' in of) value = this.#pipe(of.pipe, dot, scope)
    else value = scope.value(of.variable)
    for (const field of path) value = fieldOf(value, field)
    return value
  }

  #write(text: Text): void {
    this.#length += text.length
    this.#budget.checkLength(this.#length)
    this.#parts.push(text)
  }
}
