// Drafts of an answer: tokens that run before it is known whether they come. They are what a constraint leaves no
// choice about, and the guesses of the prompt lookup, as far as the constraint allows them. Owns their order. A draft
// changes nothing of an answer but its time.

import { type Draft, noDraft } from '../../runtime/engine/request.js'
import type { PathToken } from '../../runtime/sampler/sampler.js'
import type { ConstraintState } from '../constraint/constraint.js'
import type { PromptLookup } from './promptLookup.js'

/** How likely the tokens of a forced text are where other tokens spell it too, before anything is known. */
const SPELLED = 0.9
/** How much a token counts in this. */
const WEIGHT = 0.1
/** Milliseconds after which a draft under a constraint has no more tokens: what is made for it holds the event loop. */
const MOST_MILLISECONDS = 10

/** Tokens of an answer that are read at a time under a constraint. */
const READ = 512

/** What a drafter knows of the rules of its answer. */
export interface DraftRules {
  /**
   * Where there is a constraint: one like it before the answer, which shares nothing with it; undefined where it cannot
   * be looked ahead.
   */
  readonly ahead?: (() => ConstraintState | undefined) | undefined
  /** Whether tokens that the constraint forces follow without being drawn. */
  readonly forces: boolean
  /** No draft goes on behind one of them. */
  readonly endIds: ReadonlySet<number>
}

export class Drafter {
  readonly #rules: DraftRules
  readonly #lookup: PromptLookup
  /** The constraint behind the first `#followed` tokens; undefined before the first draft, null where it is lost. */
  #state: ConstraintState | null | undefined
  #followed: number
  /** The last draft, and which of its tokens are followed by one that is drawn. */
  #path: readonly PathToken[] = []
  /** How likely the tokens of a forced text come; the last one that was expected so, and its place. */
  #spelled = SPELLED
  #expected: { readonly id: number; readonly place: number } | undefined

  constructor(rules: DraftRules, lookup: PromptLookup) {
    this.#rules = rules
    this.#lookup = lookup
    this.#followed = lookup.promptTokens
  }

  /** The tokens that may come after `ids`, prompt and answer: at most `most`. */
  draft(ids: readonly number[], most: number): Draft {
    this.#path = []
    this.#lookup.read(ids)
    this.#compare(ids)
    if (most < 1) return noDraft
    const guess = this.#lookup.guess(ids, most)
    const tokens = this.#rules.ahead ? this.#allowed(guess, ids, most) : this.#upToEnd(guess)
    this.#path = tokens
    return { ids: tokens.map(({ id }) => id), chances: tokens.map(({ chance }) => chance) }
  }

  /** The first `count` tokens of the last draft. */
  path(count: number): readonly PathToken[] {
    return this.#path.slice(0, count)
  }

  /** Learns whether the spelling came that was expected. */
  #compare(ids: readonly number[]): void {
    if (!this.#expected || ids.length <= this.#expected.place) return
    const came = ids[this.#expected.place] === this.#expected.id ? 1 : 0
    this.#spelled += WEIGHT * (came - this.#spelled)
    this.#expected = undefined
  }

  #upToEnd({ ids, chances }: Draft): DraftToken[] {
    const end = ids.findIndex((id) => this.#rules.endIds.has(id))
    return ids.slice(0, end < 0 ? ids.length : end).map((id, i) => ({ id, chance: chances[i]!, draws: true }))
  }

  /** Where the constraint stands behind `ids`: a copy. Undefined where that is not known, or not yet. */
  #follow(ids: readonly number[]): ConstraintState | undefined {
    if (this.#state === undefined) this.#state = this.#rules.ahead!() ?? null
    const end = Math.min(ids.length, this.#followed + READ)
    try {
      for (; this.#state && this.#followed < end; this.#followed++) this.#state.accept(ids[this.#followed]!)
    } catch {
      this.#state = null // too much work for a draft
    }
    return this.#state && end === ids.length ? this.#state.clone() : undefined
  }

  /** What the constraint leaves of a guess, and what it asks for itself. */
  #allowed({ ids: guessed, chances }: Draft, ids: readonly number[], most: number): DraftToken[] {
    const { forces, endIds } = this.#rules
    const tokens: DraftToken[] = []
    const state = this.#follow(ids)
    if (!state) return tokens
    let agrees = true
    let mayFollow = !forces // what is forced here has been written
    const until = performance.now() + MOST_MILLISECONDS
    const add = (id: number, chance: number, draws: boolean) => {
      agrees &&= guessed[tokens.length] === id
      state.accept(id)
      tokens.push({ id, chance, draws, constraint: state.clone() })
    }
    try {
      while (tokens.length < most && performance.now() < until) {
        const forced = mayFollow ? state.forced().slice(0, most - tokens.length) : []
        if (forces && forced.length > 0 && tokens.length > 0) tokens.push({ ...tokens.pop()!, draws: false })
        if (!forces && forced.length > 0 && tokens.length === 0) this.#expected = { id: forced[0]!, place: ids.length }
        for (const [i, id] of forced.entries()) add(id, forces ? 1 : this.#spelled, !forces || i === forced.length - 1)
        mayFollow = !forces || forced.length === 0
        if (forced.length > 0) continue
        const guess = agrees ? guessed[tokens.length] : undefined
        const isAllowed = guess !== undefined && !endIds.has(guess) && state.allows(guess)
        const id = isAllowed ? guess : onlyToken(state.mask())
        if (id === undefined || endIds.has(id)) break
        add(id, isAllowed ? chances[tokens.length]! : 1, true)
        mayFollow = true
      }
    } catch {
      // a constraint that is too much work ends the draft here; of the answer it says nothing
    }
    return tokens
  }
}

interface DraftToken extends PathToken {
  readonly chance: number
}

/** The token of a mask with one bit; undefined where there are more. */
function onlyToken(mask: Uint32Array): number | undefined {
  let only: number | undefined
  for (const [i, word] of mask.entries()) {
    if (word === 0) continue
    if (only !== undefined || (word & (word - 1)) !== 0) return undefined
    only = 32 * i + (31 - Math.clz32(word))
  }
  return only
}
