// Runs the statements of a Jinja template, within a budget. Knows nothing of chats or tokens: the variables are given,
// and the text that comes out says where its parts come from.

import { Text } from '../templates/markedText.js'
import { type ChatBudget, WorkBudget } from '../templates/workBudget.js'
import { Evaluator, Scope } from './evaluator.js'
import { globalsOf } from './globals.js'
import { called } from './members.js'
import { nameText, textOf } from './printing.js'
import type { Body, Signature, Statement, Target } from './tree.js'
import { type Arguments, Callable, Dict, isTrue, itemsOf, List, LoopState, Namespace, orElse, Undefined, type Value } from './values.js'

/** How a body ended before its end. */
type Left = 'break' | 'continue' | undefined

/**
 * Renders a parsed template. Throws a TemplateRefusal when the template refuses, and another Error when it fails or
 * exceeds its budget.
 * @param characters total length of the texts in the variables
 * @param time what is left for it and other renderings
 */
export function renderJinja(
  body: Body,
  variables: ReadonlyMap<string, Value>,
  characters: number,
  now = () => new Date(),
  time?: ChatBudget,
): Text {
  const budget = new WorkBudget(characters, time)
  const interpreter = new Interpreter(budget)
  const scope = new Scope(new Scope(undefined, new Map([...globalsOf(budget, now), ...variables])))
  return interpreter.textOf(body, scope)
}

/** The text that is written, of which the length is checked as it grows. */
class Output {
  readonly #parts: Text[] = []
  readonly #budget: WorkBudget
  #length = 0

  constructor(budget: WorkBudget) {
    this.#budget = budget
  }

  write(text: Text): void {
    this.#length += text.length
    this.#budget.checkLength(this.#length)
    this.#budget.spend(text.length)
    this.#parts.push(text)
  }

  get text(): Text {
    return Text.concat(this.#parts)
  }
}

class Interpreter {
  readonly #budget: WorkBudget
  readonly #evaluator: Evaluator

  constructor(budget: WorkBudget) {
    this.#budget = budget
    this.#evaluator = new Evaluator(budget)
  }

  /** The text that a body writes in a scope of its own. */
  textOf(body: Body, scope: Scope): Text {
    const output = new Output(this.#budget)
    this.#run(body, scope, output)
    return output.text
  }

  #run(body: Body, scope: Scope, output: Output): Left {
    for (const statement of body) {
      const left = this.#statement(statement, scope, output)
      if (left) return left
    }
    return undefined
  }

  #statement(node: Statement, scope: Scope, output: Output): Left {
    this.#budget.enter()
    const left = this.#inside(node, scope, output)
    this.#budget.leave()
    return left
  }

  #inside(node: Statement, scope: Scope, output: Output): Left {
    const evaluator = this.#evaluator
    switch (node.type) {
      case 'text':
        output.write(node.text)
        return undefined
      case 'print':
        output.write(textOf(evaluator.evaluate(node.value, scope), this.#budget))
        return undefined
      case 'if': {
        const taken = node.branches.find(([test]) => isTrue(evaluator.evaluate(test, scope)))
        return this.#run(taken ? taken[1] : node.otherwise, scope, output)
      }
      case 'for':
        this.#loop(node, evaluator.evaluate(node.iterable, scope), 0, scope, output)
        return undefined
      case 'set':
        this.#assign(node.target, evaluator.evaluate(node.value, scope), scope)
        return undefined
      case 'setBlock': {
        const text = this.textOf(node.body, new Scope(scope))
        this.#assign(node.target, node.filter ? evaluator.filtered(node.filter, text, scope) : text, scope)
        return undefined
      }
      case 'break':
      case 'continue':
        return node.type
      case 'scope':
        return this.#run(node.body, new Scope(scope), output)
      case 'autoescape':
        // It may be switched off, as it is anyway.
        if (isTrue(evaluator.evaluate(node.escapes, scope))) throw new Error('{% autoescape true %} is not supported: a prompt is no HTML')
        return this.#run(node.body, new Scope(scope), output)
      case 'with': {
        const inner = new Scope(scope)
        for (const [target, value] of node.values) this.#assign(target, evaluator.evaluate(value, scope), inner)
        return this.#run(node.body, inner, output)
      }
      case 'macro':
        scope.set(node.name, this.#macro(node.name, node.signature, node.body, scope))
        return undefined
      case 'callBlock': {
        if (node.call.type !== 'call') throw new Error('a call block without a call')
        const caller = this.#macro('caller', node.signature, node.body, scope)
        const { list, named } = evaluator.args(node.call.args, scope)
        const callee = evaluator.evaluate(node.call.callee, scope)
        const result = called(callee, { list, named: new Map([...named, ['caller', caller]]) }, this.#budget)
        output.write(textOf(result, this.#budget))
        return undefined
      }
      case 'filterBlock':
        output.write(textOf(evaluator.filtered(node.filter, this.textOf(node.body, new Scope(scope)), scope), this.#budget))
        return undefined
    }
  }

  #loop(node: Statement & { type: 'for' }, of: Value, depth: number, scope: Scope, output: Output): void {
    const { test } = node
    let items = itemsOf(of, this.#budget)
    if (test) {
      items = items.filter((item) => {
        const inner = new Scope(scope)
        this.#assign(node.target, item, inner)
        return isTrue(this.#evaluator.evaluate(test, inner))
      })
    }
    const again = (inner: Value) => {
      const text = new Output(this.#budget)
      this.#budget.enter()
      this.#loop(node, inner, depth + 1, scope, text)
      this.#budget.leave()
      return text.text
    }
    const loop = new LoopState(items, depth, node.recursive ? again : undefined)
    let isWhole = false
    for (const item of items) {
      this.#budget.countStep() // the body may be empty
      const inner = new Scope(scope, new Map([['loop', loop]]))
      this.#assign(node.target, item, inner)
      const left = this.#run(node.body, inner, output)
      if (left === 'break') break
      if (!left) isWhole = true
      loop.index++
    }
    // As in Jinja2, the else is for a loop of which no turn came to its end.
    if (!isWhole) this.#run(node.otherwise, new Scope(scope), output)
  }

  #assign(target: Target, value: Value, scope: Scope): void {
    if (target.type === 'name') scope.set(target.name, value)
    else if (target.type === 'field') {
      const namespace = orElse(scope.get(target.of), new Undefined(target.of))
      if (!(namespace instanceof Namespace)) throw new Error(`${target.of}.${target.name} is set, and ${target.of} is no namespace`)
      namespace.fields.set(target.name, value)
    } else {
      const items = itemsOf(value, this.#budget)
      if (items.length !== target.items.length) throw new Error(`${items.length} values for ${target.items.length} variables`)
      target.items.forEach((each, index) => {
        this.#assign(each, items[index]!, scope)
      })
    }
  }

  /** A function of the template. Its body sees the variables around it, as they are when it is called. */
  #macro(name: string, signature: Signature, body: Body, around: Scope): Callable {
    const { names, defaults } = signature
    const call = ({ list, named }: Arguments) => {
      this.#budget.enter()
      const scope = new Scope(around)
      names.forEach((parameter, index) => {
        const given = index < list.length ? list[index] : named.get(parameter)
        const absent = defaults[index]
        if (given !== undefined) scope.set(parameter, given)
        else scope.set(parameter, absent ? this.#evaluator.evaluate(absent, scope) : new Undefined(parameter))
      })
      this.#setOthers(name, signature, { list, named }, scope)
      const text = this.textOf(body, scope)
      this.#budget.leave()
      return text
    }
    const parameters = new List(
      names.map((parameter) => new Text(parameter)),
      'tuple',
    )
    return new Callable(
      name,
      call,
      new Map<string, Value>([
        ['name', new Text(name)],
        ['arguments', parameters],
      ]),
    )
  }

  /** What a call gives beyond the parameters, where the body asks for it. */
  #setOthers(name: string, { names, takes }: Signature, { list, named }: Arguments, scope: Scope): void {
    const more = list.slice(names.length)
    const others = [...named].filter(([key]) => !names.includes(key) && (key !== 'caller' || !takes.has('caller')))
    if (more.length > 0 && !takes.has('varargs'))
      throw new Error(`the macro ${name} with ${list.length} arguments, expected at most ${names.length}`)
    if (others.length > 0 && !takes.has('kwargs')) throw new Error(`the macro ${name} with the argument ${others[0]![0]}`)
    if (takes.has('varargs')) scope.set('varargs', new List(more, 'tuple'))
    if (takes.has('kwargs')) scope.set('kwargs', Dict.of(others.map(([key, value]) => [nameText(key), value] as const)))
    if (takes.has('caller') && !names.includes('caller')) scope.set('caller', orElse(named.get('caller'), new Undefined('caller')))
  }
}
