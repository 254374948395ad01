// What is still to come after a lexeme: a set of stacks of expressions, shared between all that have a part in common. A node holds each
// (expression, node below) once, so ambiguity adds up and does not multiply. Nodes exist once and never change.

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
    const frames = new Map<number, Frame>()
    for (const node of nodes) for (const frame of node.frames) frames.set(frameKey(frame.expression, frame.below), frame)
    const ends = nodes.some((node) => node.ends)
    return this.#intern(
      ends,
      [...frames.entries()].sort(([a], [b]) => a - b).map(([, frame]) => frame),
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

/** One number for both ids, which stay below 2^26. */
export function frameKey(expression: Expression, below: StackNode): number {
  return expression.id * 2 ** 26 + below.id
}
