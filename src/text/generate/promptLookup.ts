// Guesses how a text goes on where it repeats what it has, prompt or answer: the tokens that followed an earlier
// occurrence of the last ones (prompt lookup decoding, Saxena, 2023). Owns how often guesses have been right: it
// compares each token that comes with its guess, also where nobody asked for it. Where runs of tokens stood is
// runPlaces.ts's.

import { type Draft, noDraft } from '../../runtime/engine/request.js'
import { RunPlaces } from './runPlaces.js'

/** Tokens of the runs whose places are known: the longer one is looked for first. */
const RUN = 3
const SHORT_RUN = 2
/** Longer matches are as good as these. */
const LONGEST = 8
/**
 * How often the next token is the one of a match of that length, before anything is known: an accident is as
 * likely as a quotation where the match is short.
 */
const CHANCES = [0, 0, 0.25, 0.45, 0.6, 0.7, 0.75, 0.8, 0.85]
/** How much a new token counts in these. */
const WEIGHT = 0.1
/** A guess ends where all of it is less likely than this. */
const LEAST_CHANCE = 0.05
/** Tokens that are read at a time: a long prompt is read over several calls. */
const READ = 4096

export class PromptLookup {
  /** Tokens that are given: guesses are not compared with them. */
  readonly promptTokens: number
  readonly #runs = new RunPlaces(RUN)
  readonly #shortRuns = new RunPlaces(SHORT_RUN)
  /** How many tokens have been read. */
  #read = 0
  /** The place of the token that should come next, 0 for none; and how many tokens before it are the last ones. */
  #at = 0
  #length = 0
  readonly #chances = [...CHANCES]

  constructor(promptTokens: number) {
    this.promptTokens = promptTokens
  }

  /** Bytes that the places of runs take. */
  get bytes(): number {
    return this.#runs.bytes + this.#shortRuns.bytes
  }

  /** How likely a guess is right, by the tokens of its match. */
  chance(length: number): number {
    return this.#chances[Math.min(length, LONGEST)]!
  }

  /** Takes what has been added to the text. `ids` is all of it. */
  read(ids: readonly number[]): void {
    const end = Math.min(ids.length, this.#read + READ)
    for (; this.#read < end; this.#read++) {
      const here = this.#read
      if (here >= this.promptTokens) this.#compare(ids, here)
      if (here >= this.promptTokens - 1) this.#follow(ids, here)
      this.#shortRuns.note(ids, here + 1)
      this.#runs.note(ids, here + 1)
    }
  }

  /** The guess after all of `ids`, which have been read: at most `most` tokens. */
  guess(ids: readonly number[], most: number): Draft {
    if (this.#at === 0 || this.#read < ids.length) return noDraft
    const guess: number[] = []
    const chances: number[] = []
    for (let all = 1; guess.length < most && all >= LEAST_CHANCE; all *= chances.at(-1)!) {
      const at = this.#at + guess.length
      guess.push(ids[at] ?? guess[at - ids.length]!) // a text that repeats itself goes on with its own guess
      chances.push(this.chance(this.#length + chances.length))
    }
    return { ids: guess, chances }
  }

  /** Learns from the token at a place whether the guess for it was right. */
  #compare(ids: readonly number[], here: number): void {
    if (this.#at === 0) return
    const length = Math.min(this.#length, LONGEST)
    const came = ids[this.#at] === ids[here] ? 1 : 0
    this.#chances[length]! += WEIGHT * (came - this.#chances[length]!)
  }

  /** Goes on with the match by the token at a place, or looks for another one. */
  #follow(ids: readonly number[], here: number): void {
    if (this.#at > 0 && ids[this.#at] === ids[here]) {
      this.#at++
      this.#length++
      return
    }
    this.#at = this.#runs.find(ids, here + 1) || this.#shortRuns.find(ids, here + 1)
    this.#length = 0
    if (this.#at > 0) while (this.#length < LONGEST && isSame(ids, this.#at, here + 1, this.#length + 1)) this.#length++
  }
}

/** Whether the tokens that lie `back` before two places are the same. */
function isSame(ids: readonly number[], a: number, b: number, back: number): boolean {
  return a >= back && ids[a - back] === ids[b - back]
}
