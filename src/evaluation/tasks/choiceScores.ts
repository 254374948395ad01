// The scores of a question's choices: the sum of the log-probabilities of what is scored after its context. What
// choices have in common is computed once: the KV cache shares it between calls, and choices of one token share a
// single pass. Owns how texts become tokens, which is lm-eval's way. Does not know tasks.

import { MixtralError } from '../../base/errors.js'
import type { Steps } from '../../base/timeSlice.js'
import type { ForwardOptions } from '../../runtime/engine/callArguments.js'
import { notFiniteLogit } from '../../runtime/sampler/job.js'
import { scoreRow } from '../../runtime/sampler/logProbabilities.js'
import type { MixtralModel } from '../../text/generate/mixtralModel.js'
import { stepsOf, type Tokenizer } from '../../text/tokenizer/tokenizer.js'
import { trailingSpaces } from './pythonText.js'

/** Tokens of which those from `from` on are scored. */
export interface ChoiceTokens {
  readonly ids: readonly number[]
  readonly from: number
  /** Whether tokens at the beginning were left out, since all do not fit the context. */
  readonly isCut: boolean
}

type ChoiceText = { readonly context: string; readonly target: string }

/**
 * The tokens of choices: of context and target together, of which those beyond the context's own number are scored.
 * White space at the end of a context belongs to the target. Of too many tokens, the last ones are kept that the
 * model's context has room for, and one more, since the last is not run: so it is in lm-eval. Throws `IO` for a target
 * without tokens and `CONTEXT` for one that does not fit; `where` is told.
 */
export function* choiceTokens(
  tokenizer: Tokenizer,
  prompts: readonly ChoiceText[],
  contextLength: number,
  where: string,
): Steps<ChoiceTokens[]> {
  const { encode } = stepsOf(tokenizer)
  /** Choices often have one context. */
  const lengths = new Map<string, number>()
  const choices: ChoiceTokens[] = []
  for (const prompt of prompts) {
    const cut = prompt.context.length - trailingSpaces(prompt.context)
    const context = prompt.context.slice(0, cut)
    const text = prompt.context + prompt.target
    // without any context, BOS is it
    const all = yield* encode(text, context === '' ? { addBos: false } : {})
    if (context === '') all.unshift(tokenizer.bosId)
    const length = context === '' ? 1 : (lengths.get(context) ?? (yield* encode(context)).length)
    lengths.set(context, length)
    const scored = all.length - length
    if (scored < 1) throw new MixtralError('IO', `${where}: a choice adds no token to its context, expected at least one`)
    if (scored > contextLength) {
      throw new MixtralError('CONTEXT', `${where}: a choice has ${scored} tokens, expected at most the ${contextLength} of the context`)
    }
    const ids = all.slice(-(contextLength + 1))
    choices.push({ ids, from: ids.length - scored, isCut: ids.length < all.length })
  }
  return choices
}

/** How many calls of the model `choiceScores` makes. */
export function callsOf(choices: readonly ChoiceTokens[]): number {
  return new Set(choices.map((choice, i) => (isOneToken(choice) ? contextKey(choice) : i))).size
}

/**
 * The score of each choice. Its bits depend on the tokens, the model's file and the format of its KV cache alone.
 * Throws `MODEL` if a logit is not finite, and what `MixtralModel.score` throws.
 */
export async function choiceScores(model: MixtralModel, choices: readonly ChoiceTokens[], options: ForwardOptions): Promise<number[]> {
  const passes = new Map<string, Promise<Float32Array>>()
  const scoreOf = async (choice: ChoiceTokens) => {
    const { ids, from } = choice
    if (!isOneToken(choice)) {
      const scored = await model.score(ids, { from, ...options })
      return scored.reduce((sum, { logprob }) => sum + logprob, 0)
    }
    const key = contextKey(choice)
    const pass = passes.get(key) ?? model.evaluate(ids.slice(0, from), options)
    passes.set(key, pass)
    const row = await pass
    const broken = row.findIndex((logit) => !Number.isFinite(logit))
    if (broken >= 0) throw notFiniteLogit(broken, row[broken]!)
    return scoreRow(row, ids[from]!, 0).logprob
  }
  return Promise.all(choices.map(scoreOf))
}

const isOneToken = ({ ids, from }: ChoiceTokens) => from === ids.length - 1

const contextKey = ({ ids, from }: ChoiceTokens) => ids.slice(0, from).join()
