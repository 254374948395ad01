// Reads text by a grammar, all readings at once. A state is what may come next: lexemes in the middle, each with the
// stacks that go on after it. States exist once and remember where each byte leads, so a place met again costs a
// look-up. Every state has a way to an end: what has none, or would need a stack deeper than MOST_FRAMES, is not
// entered. Owns the limits of reading; knows tokens only as symbols.

import { MixtralError } from '../../base/errors.js'
import type { Budget } from './budget.js'
import type { Expression, Grammar } from './expressions.js'
import { Lexer, type LexState } from './lexer.js'
import { type Frame, FrameSet, type StackNode, Stacks } from './stack.js'

export interface ParserState {
  readonly id: number
  readonly threads: readonly Thread[]
  /** Whether the text may end here. */
  readonly mayEnd: boolean
  /** Where bytes lead, as far as known; null where they lead nowhere. */
  readonly next: Map<number, ParserState | null>
}

/** Lexemes that are being read, and for each of `lexemes.tags` what comes after it. */
export interface Thread {
  readonly lexemes: LexState
  readonly after: readonly StackNode[]
}

/** Where a lexeme may begin: after the end of another. */
interface Opening {
  readonly mayEnd: boolean
  readonly thread: Thread | undefined
}

/**
 * Deepest stack. A level of JSON takes two frames, so documents may nest 250 levels; validators and JSON.parse take
 * more, models write less.
 */
const MOST_FRAMES = 512

export class Parser {
  readonly budget: Budget
  readonly start: ParserState
  readonly #grammar: Grammar
  readonly #lexer: Lexer
  readonly #stacks: Stacks
  readonly #states = new Map<string, ParserState>()
  readonly #openings = new Map<StackNode, Opening>()
  readonly #mostRemembered: number
  #created = 0

  /** `grammar` is sealed. Its terms must spend `budget`. `mostRemembered`: objects between two tokens. */
  constructor(grammar: Grammar, root: Expression, budget: Budget, mostRemembered: number) {
    this.budget = budget
    this.#mostRemembered = mostRemembered
    this.#grammar = grammar
    this.#lexer = new Lexer(grammar.terms)
    this.#stacks = new Stacks(budget)
    const opening = this.#open(this.#stacks.push(root, this.#stacks.bottom))
    const start = this.#state(opening.thread ? [opening.thread] : [], opening.mayEnd)
    if (start === null)
      throw new MixtralError('UNSUPPORTED', `every text nests deeper than ${MOST_FRAMES} frames, expected a flatter grammar`)
    this.start = start
  }

  get lexer(): Lexer {
    return this.#lexer
  }

  /**
   * To be called between two tokens: a new budget, and less memory if there is too much. Whether anything was
   * forgotten.
   */
  renew(): boolean {
    this.budget.renew()
    const { terms } = this.#grammar
    const remembered = terms.count + this.#grammar.count + this.#lexer.count + this.#stacks.count + this.#states.size + this.#openings.size
    if (remembered <= this.#mostRemembered) return false
    for (const part of [terms, this.#grammar, this.#lexer, this.#stacks]) part.forget()
    this.#states.clear()
    this.#openings.clear()
    return true
  }

  /** The state after a byte, null if no text has it there. */
  step(state: ParserState, byte: number): ParserState | null {
    const known = state.next.get(byte)
    if (known !== undefined) return known
    const next = this.#advance(state, (lexemes) => this.#lexer.step(lexemes, byte))
    state.next.set(byte, next)
    return next
  }

  /** The state after the symbol of a token, null if the grammar does not name the token there. */
  stepToken(state: ParserState, id: number): ParserState | null {
    return this.#advance(state, (lexemes) => this.#lexer.stepToken(lexemes, id))
  }

  /** The state of both texts. */
  either(a: ParserState | null, b: ParserState | null): ParserState | null {
    return a && b ? this.#state([...a.threads, ...b.threads], a.mayEnd || b.mayEnd) : (a ?? b)
  }

  /** The state in which some lexemes of a thread have just ended: those with these tags. */
  after(thread: Thread, tags: readonly number[]): ParserState | null {
    const { mayEnd, thread: begun } = this.#open(this.#afterTags(thread, tags))
    return this.#state(begun ? [begun] : [], mayEnd)
  }

  #advance(state: ParserState, step: (lexemes: LexState) => LexState | null): ParserState | null {
    this.budget.spend(1 + state.threads.length)
    const threads: Thread[] = []
    let mayEnd = false
    for (const thread of state.threads) {
      const lexemes = step(thread.lexemes)
      if (lexemes === null) continue
      const after = lexemes.tags === thread.lexemes.tags ? thread.after : select(thread, lexemes.tags)
      const moved = { lexemes, after }
      const { bytes, takesTokens } = this.#lexer.waysOf(lexemes)
      if (bytes > 0 || takesTokens) threads.push(moved)
      if (lexemes.ending.length === 0) continue
      const opening = this.#open(this.#afterTags(moved, lexemes.ending))
      mayEnd ||= opening.mayEnd
      if (opening.thread) threads.push(opening.thread)
    }
    return this.#state(threads, mayEnd)
  }

  #afterTags({ lexemes, after }: Thread, tags: readonly number[]): StackNode {
    return this.#stacks.union(tags.map((tag) => after[lexemes.tags.indexOf(tag)]!))
  }

  /**
   * Goes down from the tops of the stacks to the lexemes that may begin. What is on top of several stacks is gone
   * through once, for all of them: an expression waits until all that may lead to it at the left edge, which are
   * higher, are done. So the work grows with the grammar and not with the number of readings.
   */
  #open(node: StackNode): Opening {
    const known = this.#openings.get(node)
    if (known) return known
    const levels: Expression[][] = []
    const stacks = new Map<Expression, StackNode[]>()
    const enter = (expression: Expression, below: StackNode) => {
      if (below.depth + expression.need > MOST_FRAMES) return
      const others = stacks.get(expression)
      if (others) others.push(below)
      else {
        stacks.set(expression, [below])
        const level = levels[expression.height]
        if (level) level.push(expression)
        else levels[expression.height] = [expression]
      }
    }
    const { mayEnd, frames } = this.#uncovered(node)
    for (const { expression, below } of frames) enter(expression, below)
    const starts = new Map<Expression, StackNode>()
    for (let height = levels.length - 1; height >= 0; height--) {
      for (const expression of levels[height] ?? []) {
        const below = this.#stacks.union(stacks.get(expression)!)
        if (expression.kind === 'lexeme') starts.set(expression, below)
        else this.#descend(expression, below, enter)
      }
    }
    const opening = { mayEnd, thread: this.#begin(starts) }
    this.#openings.set(node, opening)
    return opening
  }

  /** What may be next on the stacks: what is on top, and below what may be empty. */
  #uncovered(node: StackNode): { mayEnd: boolean; frames: readonly Frame[] } {
    const seen = new FrameSet()
    const frames: Frame[] = []
    const nodes = new Set([node])
    for (const { frames: tops } of nodes) {
      for (const frame of tops) {
        this.budget.spend()
        if (seen.add(frame.expression, frame.below)) frames.push(frame)
        if (frame.expression.nullable) nodes.add(frame.below)
      }
    }
    return { mayEnd: [...nodes].some(({ ends }) => ends), frames }
  }

  /** Enters what may begin an expression, for the texts that are not empty. */
  #descend(expression: Expression, below: StackNode, enter: (expression: Expression, below: StackNode) => void): void {
    this.budget.spend(2)
    const [first, rest] = expression.parts
    switch (expression.kind) {
      case 'sequence':
        enter(first!, this.#stacks.push(rest!, below))
        if (first!.nullable) enter(rest!, below)
        break
      case 'choice':
        for (const part of expression.parts) enter(part, below)
        break
      case 'rule':
        enter(this.#grammar.bodyOf(expression), below)
        break
      case 'repeat': {
        const more = this.#grammar.restOf(expression)
        enter(first!, more.kind === 'empty' ? below : this.#stacks.push(more, below))
      }
    }
  }

  #begin(starts: ReadonlyMap<Expression, StackNode>): Thread | undefined {
    if (starts.size === 0) return undefined
    const sorted = [...starts].sort(([a], [b]) => a.id - b.id)
    const lexemes = this.#lexer.state(sorted.map(([expression]) => [expression.id, expression.term!]))
    return { lexemes, after: sorted.map(([, below]) => below) }
  }

  /** Threads that read the same lexemes become one. Null if there is nothing to read and no end. */
  #state(threads: readonly Thread[], mayEnd: boolean): ParserState | null {
    if (threads.length === 0 && !mayEnd) return null
    const merged = new Map<LexState, Thread>()
    for (const thread of threads) {
      const same = merged.get(thread.lexemes)
      const after = same ? thread.after.map((node, i) => this.#stacks.union([node, same.after[i]!])) : thread.after
      merged.set(thread.lexemes, { lexemes: thread.lexemes, after })
    }
    const sorted = [...merged.values()].sort((a, b) => a.lexemes.id - b.lexemes.id)
    this.budget.spend(1 + sorted.length)
    const key = `${mayEnd}${sorted.map(({ lexemes, after }) => `;${lexemes.id}:${after.map((node) => node.id).join()}`).join('')}`
    const known = this.#states.get(key)
    if (known) return known
    const state = { id: this.#created++, threads: sorted, mayEnd, next: new Map() }
    this.#states.set(key, state)
    return state
  }
}

function select({ lexemes, after }: Thread, tags: readonly number[]): StackNode[] {
  return tags.map((tag) => after[lexemes.tags.indexOf(tag)]!)
}
