// The sampler of one text, on the main thread's side: options, random numbers, history and state. It makes a job for
// the next token and takes the choice that a thread made of it; nothing moves on in between, so a step that fails can
// be repeated. It does not look at logits.

import { MixtralError } from '../../base/errors.js'
import { checkSamplerOptions } from './checkSamplerOptions.js'
import { choose } from './choose.js'
import { firstState, PLAIN } from './draw.js'
import { type Breakers, dryAmounts } from './dry.js'
import { type Choice, type Job, NOT_FINITE, NOTHING_LEFT, notFiniteError, noValues, type TokenValues } from './job.js'
import { countTokens } from './penalties.js'
import { Random } from './random.js'
import type { SamplerOptions, Settings } from './samplerOptions.js'
import { type Plan, planOf, stepNamed } from './steps.js'

/** Milliseconds after which no more jobs are made ahead: they hold the event loop. */
const MOST_MILLISECONDS = 10

/**
 * What a text has to obey, such as a grammar: one mask before anything else, so the law of the allowed tokens stays
 * what it is.
 */
export interface Constraint {
  /** The tokens that may come next: bit `id % 32` of word `id >> 5`. Undefined allows all. */
  mask(): Uint32Array | undefined
  /** Takes the token that came. */
  accept(id: number): void
}

/** Tokens that are forbidden while fewer than `until` tokens were drawn: end tokens, as a rule. */
interface Withheld {
  readonly ids: readonly number[]
  readonly until: number
}

/** What a sampler obeys beside its options. All of it is in token ids. */
export interface SamplerRules {
  /** Added to logits, by id; minus infinity forbids a token. */
  readonly bias?: ReadonlyMap<number, number>
  readonly breakers?: Breakers
  readonly constraint?: Constraint | undefined
  /** Where a constraint allows nothing else, they are allowed. */
  readonly withheld?: readonly Withheld[]
  /** More ids that must not come next: asked before each token. */
  readonly forbidden?: () => Iterable<number>
  /** Report log-probabilities: the drawn token's, and those of this many of the most likely tokens, 0 to 20. */
  readonly top?: number | undefined
  readonly postSampling?: boolean
}

/**
 * The random numbers of one draw. Those of draws to come are kept: each belongs to its draw, whatever happens before.
 */
interface Numbers {
  readonly u: number
  readonly xtc: number
}

/** What a job depends on beside options and random numbers. */
interface Place {
  readonly history: readonly number[]
  readonly drawn: number
  readonly mask: Uint32Array | undefined
}

/** A token that may come, and whether the one behind it is drawn, and not one that follows. */
export interface PathToken {
  readonly id: number
  readonly draws: boolean
  /** Where there is a constraint: one like it behind the token, which shares nothing with the sampler's own. */
  readonly constraint?: Pick<Constraint, 'mask'>
}

/** A job that was made ahead: it holds if these tokens, and no others, have come since. */
interface JobAhead {
  readonly job: Job
  readonly numbers: Numbers
}

const DRY = stepNamed('dry')
const PENALTIES = stepNamed('penalties')
const XTC = stepNamed('xtc')
const XTC_STREAM = 1

export class Sampler {
  /** The seed in use, also when it was not given: the same seed repeats the run. */
  readonly seed: number
  readonly #settings: Settings
  readonly #plan: Plan
  readonly #rules: SamplerRules
  readonly #random: Random
  readonly #xtcRandom: Random
  readonly #history: number[] = []
  #drawn = 0
  #state: Float64Array
  #job: Job | undefined
  /** Of the draws to come, the next one's first, as far as they are known. */
  readonly #numbers: Numbers[] = []
  /** The tokens for which jobs were made ahead, and the jobs behind each; how many of the tokens have come. */
  #path: readonly PathToken[] = []
  #jobsAhead: readonly (JobAhead | undefined)[] = []
  #come = 0

  /** Throws a MixtralError `OPTION` that names an unknown or impossible option. */
  constructor(options: SamplerOptions = {}, rules: SamplerRules = {}) {
    const { settings, order } = checkSamplerOptions(options)
    this.#settings = settings
    this.#plan = planOf(settings, order)
    this.#rules = rules
    this.seed = settings.seed
    this.#random = new Random(this.seed)
    this.#xtcRandom = new Random(this.seed, XTC_STREAM)
    this.#state = firstState(this.#plan.draw, settings)
  }

  /** Whether jobs can be made before their tokens have come. */
  get looksAhead(): boolean {
    return this.isStateless && !this.#rules.forbidden
  }

  /** Whether a job depends on tokens alone, and not on what came of the job before. */
  get isStateless(): boolean {
    return this.#plan.draw === PLAIN
  }

  /** Adds tokens to the history that penalties look at, without drawing them: a prompt. */
  read(ids: Iterable<number>): void {
    for (const id of ids) this.#history.push(id)
  }

  /** Takes tokens that come without being drawn, and returns them. Random numbers and state stay where they are. */
  follow(ids: readonly number[]): readonly number[] {
    for (const id of ids) this.#append(id)
    return ids
  }

  /** What is to be done for the next token: the same until the choice is taken, random numbers included. */
  job(): Job {
    if (!this.#job) {
      const numbers = this.#numbersOf(0)
      const ahead = this.#come > 0 ? this.#jobsAhead[this.#come - 1] : undefined
      const mask = this.#rules.constraint?.mask() // asked for in its turn in any case: it may be too much work
      const isAhead = ahead?.numbers === numbers && isSameMask(ahead.job.mask, mask)
      this.#job = isAhead ? ahead.job : this.#jobAt({ history: this.#history, drawn: this.#drawn, mask }, numbers)
      this.#numbers.shift()
    }
    return this.#job
  }

  /**
   * The jobs behind each token of a path that begins with what comes of the job: `job` returns the same objects, if
   * the tokens come. Call it when `job` has been made. None where a job depends on more than tokens, nor behind a token
   * whose mask is not known, which its own turn tells.
   */
  jobsAhead(path: readonly PathToken[]): readonly (Job | undefined)[] {
    this.#path = []
    this.#come = 0
    if (!this.#job || !this.looksAhead) return []
    const history = [...this.#history]
    const jobs: (JobAhead | undefined)[] = []
    const until = performance.now() + MOST_MILLISECONDS
    try {
      for (const { id, draws, constraint } of path) {
        if (performance.now() > until || (this.#rules.constraint && !constraint)) break // made if their turn comes
        history.push(id)
        const numbers = this.#numbersOf(jobs.filter((job) => job).length)
        const place = { history, drawn: this.#drawn + jobs.length + 1, mask: draws ? constraint?.mask() : undefined }
        jobs.push(draws ? { job: this.#jobAt(place, numbers), numbers } : undefined)
      }
    } catch {
      // what is too much work here may not be in its turn
    }
    this.#path = path
    this.#jobsAhead = jobs
    return jobs.map((ahead) => ahead?.job)
  }

  /**
   * Takes what came of the job, and moves on. Returns the token.
   * @throws MixtralError `MODEL` when a logit is NaN or infinite, `OPTION` when no token is allowed
   */
  take(choice: Choice): number {
    const { id, state } = choice
    if (id === NOT_FINITE) throw notFiniteError(choice)
    if (id === NOTHING_LEFT) {
      throw new MixtralError('OPTION', 'no token may come next: together, constraint, logit bias and banned words forbid every one')
    }
    this.#job = undefined
    this.#state = state
    this.#append(id)
    return id
  }

  /**
   * Draws the next token in this thread.
   * @param logits (vocabulary) left as they are
   * @throws what `take` throws
   */
  sample(logits: Float32Array): Choice {
    const choice = choose(logits, this.job())
    this.take(choice)
    return choice
  }

  #append(id: number): void {
    this.#history.push(id)
    this.#drawn++
    this.#rules.constraint?.accept(id)
    if (this.#path[this.#come]?.id === id) this.#come++
    else {
      this.#path = []
      this.#come = 0
    }
  }

  /** The random numbers of the `index`-th draw to come. */
  #numbersOf(index: number): Numbers {
    const { chain, random } = this.#plan
    while (this.#numbers.length <= index) {
      this.#numbers.push({ u: random ? this.#random.next() : 0, xtc: chain.includes(XTC) ? this.#xtcRandom.next() : 0 })
    }
    return this.#numbers[index]!
  }

  #jobAt({ history, drawn, mask }: Place, numbers: Numbers): Job {
    const { chain, draw } = this.#plan
    const { breakers, top = -1, postSampling = false } = this.#rules
    const settings = this.#settings
    return {
      settings,
      chain,
      draw,
      ...numbers,
      state: this.#state,
      mask,
      bias: this.#bias(mask, drawn),
      counts: chain.includes(PENALTIES) ? countTokens(history, settings.penaltyLastN) : noValues,
      dry: chain.includes(DRY) ? dryAmounts(history, settings, breakers ?? new Map()) : noValues,
      top,
      postSampling: postSampling ? 1 : 0,
    }
  }

  /** The bias of the rules, and minus infinity for what must not come next. */
  #bias(mask: Uint32Array | undefined, drawn: number): TokenValues {
    const { bias, withheld = [], forbidden } = this.#rules
    const all = new Map(bias)
    const held = withheld.filter(({ until }) => drawn < until).flatMap(({ ids }) => ids)
    if (!mask || allowsOthers(mask, held)) for (const id of held) all.set(id, -Infinity)
    for (const id of forbidden?.() ?? []) all.set(id, -Infinity)
    return all.size === 0 ? noValues : { ids: Int32Array.from(all.keys()), values: Float64Array.from(all.values()) }
  }
}

function isSameMask(a: Uint32Array | undefined, b: Uint32Array | undefined): boolean {
  return a?.length === b?.length && (a === undefined || a.every((word, i) => word === b![i]))
}

/** Whether a mask has a bit beside those of `ids`. */
function allowsOthers(mask: Uint32Array, ids: readonly number[]): boolean {
  const rest = mask.slice()
  for (const id of ids) rest[id >> 5]! &= ~(1 << (id & 31))
  return rest.some((word) => word !== 0)
}
