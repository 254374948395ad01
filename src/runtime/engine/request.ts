// One request to the engine: tokens to run, what is wanted of them, and where it stands. Owns the form of a task and
// the state that the scheduler keeps of it. Does not know steps, promises or threads.

import type { FullRouting } from '../model/routes.js'
import type { Choice } from '../sampler/job.js'
import type { RowJob } from '../sampler/jobMemory.js'
import type { Hold } from './hold.js'
import type { Sequence } from './kvCache.js'

/** Tokens that may come next. */
export interface Draft {
  readonly ids: readonly number[]
  /** How likely each of them is where those before it have come. */
  readonly chances: readonly number[]
}

export const noDraft: Draft = { ids: [], chances: [] }

/** What a caller asks of the engine, and what is called back, always between two steps. */
export interface Task {
  /** The tokens to run: a prompt, as a rule. The request copies them. */
  readonly ids: readonly number[]
  /** The first token after which logits are wanted: its place in `ids`. After every later one they are wanted, too. */
  readonly from: number
  /** Of the tokens that `take` returns, whether logits are wanted after each. Default: after the last alone. */
  readonly everyRow?: boolean
  /** Tasks of another salt share no part of the KV cache with this one. Default: the empty text. */
  readonly salt?: string
  /** How many experts each token has in a layer, renormalized. Default: the model's own number. */
  readonly expertsPerToken?: number
  /** How much of each adapter counts. Default: as the model was loaded. */
  readonly adapters?: readonly number[]
  /** Whether it can take more: a stream cannot while its reader is far behind. Without it, always. */
  readonly ready?: () => boolean
  /** It begins: `reused` of its tokens are in the KV cache already, and are not run. */
  readonly started?: (reused: number) => void
  /**
   * `loaded` of the `total` tokens of `ids` are in the cache: those that have been run, and those that were there. A
   * promise that it gives is not awaited; one that is rejected ends the request.
   */
  readonly progress?: (loaded: number, total: number) => unknown
  /**
   * What is to be done with the logits after the token at `place`; the same if it is asked again. Without it, rows are
   * read.
   */
  readonly job?: (place: number) => RowJob
  /** Takes what came of the job. Returns tokens to run after all others. */
  readonly take?: (choice: Choice, place: number) => readonly number[]
  /**
   * The tokens that may come after `ids`, all that the request has: at most `most`. They run with the next step, and
   * what `take` returns says which of them came. Without it, none.
   */
  readonly draft?: (ids: readonly number[], most: number) => Draft
  /**
   * The jobs after each token of the beginning of a draft, if it comes. A choice counts where `job` gives the same
   * object when its turn comes. Undefined where that cannot be known before.
   */
  readonly jobsAhead?: (draft: readonly number[]) => readonly (RowJob | undefined)[]
  /** Is told how many tokens of a draft have run, and how many of them came. */
  readonly drafted?: (count: number, accepted: number) => void
  /** Takes the experts of the rows that it gets logits of: the views are valid during the call only. */
  readonly routed?: (routing: FullRouting, place: number) => void
  /** (tokens, layers, used or experts): gets the experts of all tokens. `from` is 0, and nothing else is wanted. */
  readonly routingTable?: FullRouting
  /** Reads the logits after the token at `place`, (vocabulary): the view is valid during the call only. */
  readonly read?: (logits: Float32Array, place: number) => void
  /**
   * Reads, in place of logits, the hidden state after the token at `place`, behind the last norm: (hidden). The view is
   * valid during the call only.
   */
  readonly hidden?: (state: Float32Array, place: number) => void
  /** It has ended: all that was wanted is done, or an error ended it. Called once, and last. */
  readonly ended: (...failure: Failure) => void
}

/** The error that ended a request, if one did: any value that a caller's function throws, undefined too. */
export type Failure = readonly [error?: unknown]

/**
 * Keys and values are shared where callers want it, and where as many experts and as much of each adapter made them. No
 * salt of a caller can look like the numbers before it.
 */
export function kvSalt(used: number, salt = '', adapters: readonly number[] = []): string {
  const counting = adapters.some((scale) => scale !== 0) ? adapters : []
  return `${used} [${counting}] ${salt}`
}

/** What holds for a task that does not say so. */
export interface RequestDefaults {
  /** Experts of a token in a layer. */
  readonly expertsPerToken: number
  /** How much of each adapter counts. Default: there are none. */
  readonly adapters?: readonly number[]
}

export class Request {
  readonly task: Task
  /** Counts requests in the order in which they came. */
  readonly number: number
  /** How many experts each of its tokens has in a layer. */
  readonly used: number
  /** How much of each adapter counts; undefined without adapters. */
  readonly adapters: readonly number[] | undefined
  /** What shares its part of the KV cache with it. */
  readonly salt: string
  /** All its tokens: those of the task, and those that were chosen. */
  readonly ids: number[]
  /** The next place in `ids` whose logits are wanted. */
  next: number
  /** Its keys and values, while it has pages. */
  sequence: Sequence | undefined
  /** An earlier request whose first `length` tokens it shares: it takes these keys and values from there. */
  twin: { readonly request: Request; readonly length: number } | undefined
  /** How many of its tokens were in the cache when it began; undefined before. */
  reused: number | undefined
  /** Ends the listening to its caller's signal, and to the hold. */
  forget: (() => void) | undefined
  /** What holds it back while others want steps. */
  hold: Hold | undefined
  /** It has ended: it gets no more steps, and its pages are given back between two steps. */
  over = false

  constructor(task: Task, number: number, { expertsPerToken, adapters }: RequestDefaults) {
    this.task = task
    this.number = number
    this.used = task.expertsPerToken ?? expertsPerToken
    this.adapters = task.adapters ?? adapters
    this.salt = kvSalt(this.used, task.salt, this.adapters)
    this.ids = [...task.ids]
    this.next = task.from
  }

  get ready(): boolean {
    return !this.hold?.isClosed && (this.task.ready?.() ?? true)
  }

  /** How many of its tokens have been run. */
  get done(): number {
    return this.sequence?.ids.length ?? 0
  }

  /** How many of its tokens are to be run. With 1, it decodes. */
  get remaining(): number {
    return this.ids.length - this.done
  }
}
