// Context-free grammars as expressions: lexemes, sequences, choices, counted repeats, references to rules. Each
// expression exists once. Owns what is true of an expression alone: whether it may be empty, and how deep a stack it
// needs. Does not read input.

import { MixtralError } from '../../base/errors.js'
import type { Term, Terms } from './terms.js'

export interface Expression {
  readonly kind: 'lexeme' | 'empty' | 'sequence' | 'choice' | 'repeat' | 'rule'
  readonly id: number
  readonly term: Term | undefined
  /** `sequence`: first and rest. `choice`: the alternatives. `repeat`: what is repeated. */
  readonly parts: readonly Expression[]
  readonly min: number
  readonly max: number
  readonly rule: number
  /** Whether the empty text is in the language. Known once the grammar is sealed. */
  nullable: boolean
  /**
   * Frames that must be free on the stack to come to an end; Infinity where no text comes to an end. Known once the
   * grammar is sealed.
   */
  need: number
  /**
   * Steps from here down to the furthest lexeme that may begin the text: more than any expression at the left edge has.
   */
  height: number
}

export class Grammar {
  readonly terms: Terms
  readonly empty: Expression
  readonly #known = new Map<string, Expression>()
  readonly #rules: { name: string; body: Expression | undefined }[] = []
  #created = 0
  #sealed = false

  constructor(terms: Terms) {
    this.terms = terms
    this.empty = this.#intern('e', { kind: 'empty' })
  }

  /** How many expressions are remembered. */
  get count(): number {
    return this.#known.size
  }

  /** Forgets the expressions, so that memory has a bound; those in use live on. */
  forget(): void {
    this.#known.clear()
  }

  lexeme(term: Term): Expression {
    if (term === this.terms.empty) return this.empty
    return this.#known.get(`l${term.id}`) ?? this.#intern(`l${term.id}`, { kind: 'lexeme', term })
  }

  sequence(...parts: readonly Expression[]): Expression {
    return parts.reduceRight((rest, part) => this.#pair(part, rest), this.empty)
  }

  choice(parts: readonly Expression[]): Expression {
    const each = [...new Set(parts)]
    if (each.length === 1) return each[0]!
    const key = `c${each.map((part) => part.id).join()}`
    return this.#known.get(key) ?? this.#intern(key, { kind: 'choice', parts: each })
  }

  repeat(part: Expression, min: number, max: number): Expression {
    if (max === 0 || part.kind === 'empty') return this.empty
    if (min === 1 && max === 1) return part
    const key = `r${part.id},${min},${max}`
    return this.#known.get(key) ?? this.#intern(key, { kind: 'repeat', parts: [part], min, max })
  }

  optional(part: Expression): Expression {
    return this.choice([part, this.empty])
  }

  /** What is still to come of a repeat after one of it. */
  restOf(repeat: Expression): Expression {
    return this.repeat(repeat.parts[0]!, Math.max(0, repeat.min - 1), repeat.max - 1)
  }

  /** A new rule, whose body is set later. */
  rule(name: string): Expression {
    const rule = this.#rules.push({ name, body: undefined }) - 1
    return this.#intern(`n${rule}`, { kind: 'rule', rule })
  }

  define(rule: Expression, body: Expression): void {
    this.#rules[rule.rule]!.body = body
  }

  bodyOf(rule: Expression): Expression {
    return this.#rules[rule.rule]!.body!
  }

  /**
   * No rule is added after this. Works out `nullable` and `need`, and refuses left recursion with a MixtralError
   * `OPTION`.
   */
  seal(): void {
    const users = new Map<Expression, Expression[]>()
    const work = [...this.#known.values()]
    for (const user of work) {
      for (const part of user.kind === 'rule' ? [this.bodyOf(user)] : user.parts) {
        const others = users.get(part)
        if (others) others.push(user)
        else users.set(part, [user])
      }
    }
    // what changes is looked at again by those that use it, until nothing does
    for (let expression = work.pop(); expression; expression = work.pop()) {
      this.terms.budget.spend()
      const { nullable, need } = expression
      this.#judge(expression)
      if (expression.nullable === nullable && expression.need === need) continue
      for (const user of users.get(expression) ?? []) work.push(user)
    }
    this.#sealed = true
    this.#refuseLeftRecursion()
  }

  #judge(expression: Expression): void {
    const [first, rest] = expression.parts
    switch (expression.kind) {
      case 'empty':
        expression.nullable = true
        expression.need = 0
        break
      case 'lexeme':
        expression.nullable = expression.term!.nullable
        expression.need = expression.term!.kind === 'none' ? Infinity : 0
        break
      case 'sequence':
        expression.nullable = first!.nullable && rest!.nullable
        expression.need = Math.max(first!.need + 1, rest!.need)
        break
      case 'choice':
        expression.nullable = expression.parts.some((part) => part.nullable)
        expression.need = expression.parts.reduce((least, part) => Math.min(least, part.need), Infinity)
        break
      case 'repeat':
        expression.nullable = expression.min === 0 || first!.nullable
        expression.need = expression.nullable ? 0 : first!.need + (expression.max > 1 ? 1 : 0)
        break
      case 'rule': {
        const { body } = this.#rules[expression.rule]!
        expression.nullable = body!.nullable
        expression.need = body!.need
      }
    }
  }

  /**
   * Walks along what may stand at the left edge. What is met again before a byte was read would call itself without
   * end.
   */
  #refuseLeftRecursion(): void {
    const open = new Set<Expression>()
    for (const root of this.#known.values()) {
      const stack: { expression: Expression; leave: boolean }[] = [{ expression: root, leave: false }]
      for (let item = stack.pop(); item; item = stack.pop()) {
        const { expression, leave } = item
        this.terms.budget.spend()
        if (leave) {
          open.delete(expression)
          this.#measure(expression)
        } else if (open.has(expression)) {
          throw new MixtralError('OPTION', `rule ${this.#ruleIn(open)} is left-recursive, expected a symbol before it`)
        } else if (expression.height < 0) {
          open.add(expression)
          stack.push({ expression, leave: true })
          for (const next of this.#leftEdge(expression)) stack.push({ expression: next, leave: false })
        }
      }
    }
  }

  #measure(expression: Expression): void {
    expression.height = this.#leftEdge(expression).reduce((height, { height: other }) => Math.max(height, other + 1), 0)
  }

  #leftEdge(expression: Expression): readonly Expression[] {
    if (expression.kind === 'rule') return [this.bodyOf(expression)]
    if (expression.kind !== 'sequence') return expression.parts
    return expression.parts[0]!.nullable ? expression.parts : [expression.parts[0]!]
  }

  #ruleIn(expressions: ReadonlySet<Expression>): string {
    const rule = [...expressions].findLast(({ kind }) => kind === 'rule')
    return rule ? this.#rules[rule.rule]!.name : this.#rules[0]!.name
  }

  #pair(first: Expression, rest: Expression): Expression {
    if (first.kind === 'empty') return rest
    if (rest.kind === 'empty') return first
    if (first.kind === 'sequence') {
      const parts: Expression[] = [] // a loop: a sequence may have thousands of parts
      let last = first
      for (; last.kind === 'sequence'; last = last.parts[1]!) parts.push(last.parts[0]!)
      return parts.reduceRight((all, part) => this.#pair(part, all), this.#pair(last, rest))
    }
    const key = `q${first.id},${rest.id}`
    return this.#known.get(key) ?? this.#intern(key, { kind: 'sequence', parts: [first, rest] })
  }

  #intern(key: string, fields: Partial<Expression> & { kind: Expression['kind'] }): Expression {
    this.terms.budget.spend()
    const { kind, term, parts = [], min = 0, max = 0, rule = 0 } = fields
    const expression: Expression = { kind, id: this.#created++, term, parts, min, max, rule, nullable: false, need: Infinity, height: -1 }
    if (this.#sealed) {
      this.#judge(expression)
      this.#measure(expression)
    }
    this.#known.set(key, expression)
    return expression
  }
}
