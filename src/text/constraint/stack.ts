// What is still to come after a lexeme: a set of stacks of expressions, shared between all that have a part in common.
// A node holds each (expression, node below) once, so ambiguity adds up and does not multiply. Nodes exist once and
// never change.

import type { Budget } from './budget.js'
import type { Expression } from './expressions.js'

export interface StackNode {
  readonly id: number
  /** Whether one of the stacks is empty here: the text may end. */
  readonly ends: boolean
  /** What is on top, each with the node below it. */
  readonly frames: readonly Frame[]
  /** Frames of the deepest stack. */
  readonly depth: number
}

export interface Frame {
  readonly expression: Expression
  readonly below: StackNode
}

export class Stacks {
  /** The one empty stack. */
  readonly bottom: StackNode
  readonly #budget: Budget
  readonly #known = new Map<string, StackNode>()
  #created = 0

  constructor(budget: Budget) {
    this.#budget = budget
    this.bottom = this.#intern(true, [])
  }

  get count(): number {
    return this.#known.size
  }

  /** Forgets the nodes, so that memory has a bound; those in use live on. */
  forget(): void {
    this.#known.clear()
  }

  /** The stacks of `below` with one expression more. */
  push(expression: Expression, below: StackNode): StackNode {
    return this.#intern(false, [{ expression, below }])
  }

  /** The stacks of all of them. */
  union(nodes: readonly StackNode[]): StackNode {
    if (nodes.length === 1) return nodes[0]!
    const seen = new FrameSet()
    const frames = nodes.flatMap((node) => node.frames.filter(({ expression, below }) => seen.add(expression, below)))
    frames.sort((a, b) => a.expression.id - b.expression.id || a.below.id - b.below.id)
    return this.#intern(
      nodes.some((node) => node.ends),
      frames,
    )
  }

  #intern(ends: boolean, frames: readonly Frame[]): StackNode {
    this.#budget.spend(1 + frames.length)
    const key = `${ends}${frames.map(({ expression, below }) => `,${expression.id}:${below.id}`).join('')}`
    const known = this.#known.get(key)
    if (known) return known
    const depth = frames.reduce((deepest, { below }) => Math.max(deepest, below.depth + 1), 0)
    const node: StackNode = { id: this.#created++, ends, frames, depth }
    this.#known.set(key, node)
    return node
  }
}

/** Which frames were met. */
export class FrameSet {
  readonly #seen = new Map<StackNode, Set<Expression>>()

  /** Whether the frame is new here. */
  add(expression: Expression, below: StackNode): boolean {
    const expressions = this.#seen.get(below)
    if (expressions === undefined) this.#seen.set(below, new Set([expression]))
    else if (expressions.has(expression)) return false
    else expressions.add(expression)
    return true
  }
}
