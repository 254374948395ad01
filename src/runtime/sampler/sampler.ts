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
    this.#job ??= this.#nextJob()
    return this.#job
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
  }

  #nextJob(): Job {
    const { chain, draw, random } = this.#plan
    const { constraint, breakers, top = -1, postSampling = false } = this.#rules
    const settings = this.#settings
    const mask = constraint?.mask()
    return {
      settings,
      chain,
      draw,
      u: random ? this.#random.next() : 0,
      xtc: chain.includes(XTC) ? this.#xtcRandom.next() : 0,
      state: this.#state,
      mask,
      bias: this.#bias(mask),
      counts: chain.includes(PENALTIES) ? countTokens(this.#history, settings.penaltyLastN) : noValues,
      dry: chain.includes(DRY) ? dryAmounts(this.#history, settings, breakers ?? new Map()) : noValues,
      top,
      postSampling: postSampling ? 1 : 0,
    }
  }

  /** The bias of the rules, and minus infinity for what must not come next. */
  #bias(mask: Uint32Array | undefined): TokenValues {
    const { bias, withheld = [], forbidden } = this.#rules
    const all = new Map(bias)
    const held = withheld.filter(({ until }) => this.#drawn < until).flatMap(({ ids }) => ids)
    if (!mask || allowsOthers(mask, held)) for (const id of held) all.set(id, -Infinity)
    for (const id of forbidden?.() ?? []) all.set(id, -Infinity)
    return all.size === 0 ? noValues : { ids: Int32Array.from(all.keys()), values: Float64Array.from(all.values()) }
  }
}

/** Whether a mask has a bit beside those of `ids`. */
function allowsOthers(mask: Uint32Array, ids: readonly number[]): boolean {
  const rest = mask.slice()
  for (const id of ids) rest[id >> 5]! &= ~(1 << (id & 31))
  return rest.some((word) => word !== 0)
}
