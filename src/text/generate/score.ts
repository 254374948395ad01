// The log-probabilities of given tokens: how likely a model thinks a text is, token by token. The threads that have the
// logits make them; only the numbers come to the main thread.

import { checkText, MixtralError, shown } from '../../base/errors.js'
import { checkForwardOptions, type ForwardOptions, type TokenIds } from '../../runtime/engine/callArguments.js'
import type { Engine } from '../../runtime/engine/engine.js'
import { type Choice, NOT_FINITE, notFiniteError } from '../../runtime/sampler/job.js'
import { MOST_TOP } from '../../runtime/sampler/logProbabilities.js'

export interface ScoreOptions extends ForwardOptions {
  /** The place of the first token that is scored, at least 1. Default 1. */
  readonly from?: number
  /** How many of the most likely tokens are reported in each place, 0 to 20. Default 0. */
  readonly top?: number
  /** The KV cache is shared with calls of the same salt only. Default: none. */
  readonly salt?: string
}

export interface ScoredToken {
  readonly id: number
  /** Natural logarithm of its probability after the tokens before it. */
  readonly logprob: number
  /** The most likely tokens in its place, best first. */
  readonly top: readonly { readonly id: number; readonly logprob: number }[]
}

export async function scoreTokens(engine: Engine, tokens: TokenIds, options: ScoreOptions): Promise<ScoredToken[]> {
  const { from = 1, top = 0, salt = '', ...call } = checkForwardOptions(options, engine, ['from', 'top', 'salt'])
  const ids = engine.checked(tokens, { runsLast: false })
  if (ids.length < 2) throw new MixtralError('OPTION', 'one token, expected at least two: the first has nothing before it')
  checkWhole('from', from, 1, ids.length - 1)
  checkWhole('top', top, 0, MOST_TOP)
  checkText('salt', salt)
  const scored: ScoredToken[] = []
  const take = (choice: Choice) => {
    if (choice.id === NOT_FINITE) throw notFiniteError(choice)
    const best = Array.from(choice.top.ids, (id, i) => ({ id, logprob: choice.top.values[i]! }))
    scored.push({ id: choice.id, logprob: choice.logprob, top: best })
    return []
  }
  const job = (place: number) => ({ score: ids[place + 1]!, top })
  await engine.finish({ ids: ids.slice(0, -1), from: from - 1, salt, job, take }, call)
  return scored
}

function checkWhole(name: string, value: number, least: number, most: number): void {
  if (Number.isInteger(value) && value >= least && value <= most) return
  throw new MixtralError('OPTION', `${name} is ${shown(value)}, expected a whole number from ${least} to ${most}`)
}
