// How the rows of a step are dealt out to prompts: in turn, so that a long one does not hold up short ones, nor they
// it. Owns whose turn is next, which goes on over steps.

import { ATTENTION_TOKENS } from '../weights/scratch.js'
import type { Request } from './request.js'

/** Rows are dealt out in parts of this size: a tile of attention. */
const QUANTUM = ATTENTION_TOKENS
/** Most prompts of one step. */
const PROMPTS = 4

export class PromptTurns {
  /** The prompt whose turn is next. */
  #turn: Request | undefined

  /**
   * Deals out `most` rows, a quantum at a time, and adds them to the rows that the step has.
   * @param pairs most pairs of a row and one of its experts in the step
   */
  deal(prompts: readonly Request[], most: number, pairs: number, rows: Map<Request, number>): void {
    const start = Math.max(0, this.#turn ? prompts.indexOf(this.#turn) : 0)
    const queue = [...prompts.slice(start), ...prompts.slice(0, start)]
    const dealt = queue.splice(0, PROMPTS)
    let left = most
    for (const [request, count] of rows) pairs -= request.used * count
    for (let i = 0; left > 0 && dealt.length; ) {
      const request = dealt[i % dealt.length]!
      const given = rows.get(request) ?? 0
      const more = Math.min(QUANTUM, left, request.remaining - given, Math.floor(pairs / request.used))
      if (!more) break
      rows.set(request, given + more)
      left -= more
      pairs -= more * request.used
      if (given + more < request.remaining) i++
      else {
        i %= dealt.length
        const next = queue.shift()
        dealt.splice(i, 1, ...(next ? [next] : []))
      }
      this.#turn = dealt[i % Math.max(1, dealt.length)] ?? queue[0]
    }
  }

  /** A request has no rows any more. */
  forget(request: Request): void {
    if (this.#turn === request) this.#turn = undefined
  }
}
