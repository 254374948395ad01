// The log-probabilities of prompts, for `echo`. Benchmarks ask for many continuations of one context, so what was found
// of earlier prompts is kept: a token's log-probability depends on the tokens up to it alone, and has the same bits
// however it is computed.

import type { MixtralModel } from '../../../text/generate/mixtralModel.js'
import type { ScoredToken, ScoreOptions } from '../../../text/generate/score.js'

/** Tokens of all prompts that are kept: with 20 entries each, some 30 MB. */
const MOST_TOKENS = 16_384

/** What is asked of a prompt: prompts of other salts, experts or adapters know nothing of each other. */
type Asked = Pick<ScoreOptions, 'top' | 'salt' | 'signal' | 'expertsPerToken' | 'adapters'>

interface Kept {
  readonly ids: readonly number[]
  readonly top: number | undefined
  readonly salt: string | undefined
  readonly expertsPerToken: number | undefined
  /** The adapters, as a text. */
  readonly adapters: string | undefined
  readonly scored: Promise<readonly ScoredToken[]>
}

const all = new WeakMap<MixtralModel, PromptScores>()

/** Those of a model, as long as it is there. */
export function scoresOf(model: MixtralModel): PromptScores {
  const scores = all.get(model) ?? new PromptScores(model)
  all.set(model, scores)
  return scores
}

export class PromptScores {
  readonly #model: MixtralModel
  /** The latest first. */
  #kept: Kept[] = []

  constructor(model: MixtralModel) {
    this.#model = model
  }

  /** The score of each token but the first. Throws what `MixtralModel.score` throws. */
  async score(ids: readonly number[], asked: Asked): Promise<readonly ScoredToken[]> {
    if (ids.length < 2) return []
    const { kept, shared } = this.#nearest(ids, asked)
    const scored = this.#from(ids, asked, shared, kept)
    const { top, salt, expertsPerToken } = asked
    const entry = { ids, top, salt, expertsPerToken, adapters: asked.adapters?.join(), scored }
    this.#keep(entry)
    scored.catch(() => {
      this.#kept = this.#kept.filter((one) => one !== entry)
    })
    return scored
  }

  /** Takes what is known of the first `shared` tokens, once it is known, and asks the model for the others. */
  async #from(ids: readonly number[], asked: Asked, shared: number, kept?: Kept): Promise<readonly ScoredToken[]> {
    // another request's failure is not this one's
    const known = (await kept?.scored.catch(() => undefined))?.slice(0, Math.max(0, shared - 1)) ?? []
    const from = known.length + 1
    if (from >= ids.length) return known
    return [...known, ...(await this.#model.score(ids, { from, ...asked }))]
  }

  /** The kept prompt that begins most like this one. */
  #nearest(ids: readonly number[], { top, salt, expertsPerToken, adapters }: Asked): { readonly kept?: Kept; readonly shared: number } {
    let best: { readonly kept?: Kept; readonly shared: number } = { shared: 0 }
    for (const kept of this.#kept) {
      if (kept.top !== top || kept.salt !== salt || kept.expertsPerToken !== expertsPerToken) continue
      if (kept.adapters !== adapters?.join()) continue
      let shared = 0
      while (shared < ids.length && ids[shared] === kept.ids[shared]) shared++
      if (shared > best.shared) best = { kept, shared }
    }
    // waiting for another prompt is worth it for much of this one
    return best.shared * 2 > ids.length ? best : { shared: 0 }
  }

  #keep(entry: Kept): void {
    let tokens = 0
    this.#kept = [entry, ...this.#kept].filter(({ ids }) => {
      tokens += ids.length
      return tokens <= MOST_TOKENS
    })
  }
}
