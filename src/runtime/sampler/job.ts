// What one token's choice needs beside its row of logits, and what comes of it: numbers and typed arrays, so that a row
// can be sampled by the thread that has it. Random numbers and histories are not here; what they give for this token
// is.

import { MixtralError } from '../../base/errors.js'
import type { Settings } from './samplerOptions.js'

/** Numbers that belong to tokens. An id outside the vocabulary counts for nothing. */
export interface TokenValues {
  readonly ids: Int32Array
  readonly values: Float64Array
}

export interface Job {
  readonly settings: Settings
  /** The steps in their order: places in `steps`. */
  readonly chain: Uint8Array
  /** The place in `draws` of the law by which a token is drawn in the end. */
  readonly draw: number
  /** Uniform in [0, 1): the token's random number. */
  readonly u: number
  /** Uniform in [0, 1), of a stream of its own: whether XTC takes part. */
  readonly xtc: number
  /** Mirostat: [mu, 0]. Adaptive-p: [weighted sum, total weight]. */
  readonly state: Float64Array
  /** Bits of the tokens that a constraint allows; undefined allows all. */
  readonly mask: Uint32Array | undefined
  /** Added to logits before any step; minus infinity forbids a token. */
  readonly bias: TokenValues
  /** How often a token is in the window of the penalties. */
  readonly counts: TokenValues
  /** What DRY subtracts. */
  readonly dry: TokenValues
  /**
   * How many of the most likely tokens are reported with their log-probabilities, beside that of the drawn one; -1 for
   * no log-probabilities.
   */
  readonly top: number
  /** Report probabilities after the steps: 1. Of the raw logits: 0. */
  readonly postSampling: 0 | 1
}

/** In `Choice.id`: there is a logit that is not finite. */
export const NOT_FINITE = -1
/** In `Choice.id`: mask and bias leave no token. */
export const NOTHING_LEFT = -2

export interface Choice {
  /** The drawn token, or `NOT_FINITE` or `NOTHING_LEFT`. */
  readonly id: number
  /** The state after this token. */
  readonly state: Float64Array
  /**
   * Natural logarithm of the drawn token's probability; NaN unless asked for. With `NOT_FINITE`, the logit in question.
   */
  readonly logprob: number
  /** The most likely tokens in their order, and their log-probabilities. With `NOT_FINITE`, the id in question. */
  readonly top: TokenValues
}

export const noValues: TokenValues = { ids: new Int32Array(0), values: new Float64Array(0) }

/** The error of a choice that is `NOT_FINITE`. */
export function notFiniteError({ logprob, top }: Choice): MixtralError {
  return notFiniteLogit(top.ids[0]!, logprob)
}

/** The error of a logit that is not finite. */
export function notFiniteLogit(id: number, logit: number): MixtralError {
  return new MixtralError(
    'MODEL',
    `the logit of token ${id} is ${logit}, expected a finite number: the weights of the model may be damaged, or an adapter counts too much`,
  )
}
