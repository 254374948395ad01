// Reads text by a grammar, all readings at once. A state is what may come next: lexemes in the middle, each with the
// stacks that go on after it. States exist once and remember where each byte leads, so a place met again costs a
// look-up. Every state has a way to an end: what has none, or would need a stack deeper than MOST_FRAMES, is not
// entered. Owns the limits of reading; does not know tokens, but for their symbols.

import { MixtralError } from '../../base/errors.js'
import type { Budget } from './budget.js'
import type { Expression, Grammar } from './expressions.js'
import { Lexer, type LexState } from './lexer.js'
import { FrameSet, type StackNode, Stacks } from './stack.js'

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
/** Objects to remember between tokens, about 50 MB of them at most; an ordinary document makes some thousands. */
const MOST_REMEMBERED = 100_000

export class Parser {
  readonly budget: Budget
  readonly start: ParserState
  readonly #grammar: Grammar
  readonly #lexer: Lexer
  readonly #stacks: Stacks
  readonly #states = new Map<string, ParserState>()
  readonly #openings = new Map<StackNode, Opening>()
  #created = 0

  /** `grammar` is sealed. Its terms must spend `budget`. */
  constructor(grammar: Grammar, root: Expression, budget: Budget) {
    this.budget = budget
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
    if (remembered <= MOST_REMEMBERED) return false
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

  /** Goes down from the tops of the stacks to the lexemes that may begin. */
  #open(node: StackNode): Opening {
    const known = this.#openings.get(node)
    if (known) return known
    const starts = new Map<Expression, StackNode[]>()
    const seen = new FrameSet()
    const work: { expression: Expression; below: StackNode }[] = []
    let mayEnd = false
    const visit = (expression: Expression, below: StackNode) => {
      if (below.depth + expression.need <= MOST_FRAMES && seen.add(expression, below)) work.push({ expression, below })
    }
    const leave = (below: StackNode) => {
      mayEnd ||= below.ends
      for (const frame of below.frames) visit(frame.expression, frame.below)
    }
    leave(node)
    for (let item = work.pop(); item !== undefined; item = work.pop()) {
      this.budget.spend(2)
      const { expression, below } = item
      const [first, rest] = expression.parts
      switch (expression.kind) {
        case 'lexeme': {
          const nodes = starts.get(expression)
          if (nodes) nodes.push(below)
          else starts.set(expression, [below])
          if (expression.nullable) leave(below)
          break
        }
        case 'empty':
          leave(below)
          break
        case 'sequence':
          visit(first!, this.#stacks.push(rest!, below))
          break
        case 'choice':
          for (const part of expression.parts) visit(part, below)
          break
        case 'rule':
          visit(this.#grammar.bodyOf(expression), below)
          break
        case 'repeat': {
          if (expression.nullable) leave(below)
          const more = this.#grammar.restOf(expression)
          // a part without text leaves only a shorter repeat, whose texts this one has too
          if (first!.nullable) seen.add(more, below)
          visit(first!, more.kind === 'empty' ? below : this.#stacks.push(more, below))
        }
      }
    }
    const opening = { mayEnd, thread: this.#begin(starts) }
    this.#openings.set(node, opening)
    return opening
  }

  #begin(starts: ReadonlyMap<Expression, readonly StackNode[]>): Thread | undefined {
    if (starts.size === 0) return undefined
    const sorted = [...starts].sort(([a], [b]) => a.id - b.id)
    const lexemes = this.#lexer.state(sorted.map(([expression]) => [expression.id, expression.term!]))
    const after = new Map(sorted.map(([expression, nodes]) => [expression.id, this.#stacks.union(nodes)]))
    return { lexemes, after: lexemes.tags.map((tag) => after.get(tag)!) }
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
