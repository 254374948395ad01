// Chooses the next token from logits. The order is that of llama.cpp's default chain: repetition penalty, top-k, top-p,
// min-p, temperature, draw. Everything is float64 from exact operations in a fixed order, so a seed gives the same
// tokens on every machine.

import { exp, ln } from '../../base/elementary.js'
import { MixtralError } from '../../base/errors.js'
import { Random } from './random.js'
import { Ranking } from './ranking.js'
import { checkSamplerOptions, type SamplerOptions } from './samplerOptions.js'

/** How many of the last tokens the repetition penalty looks at. */
const PENALTY_WINDOW = 64

export class Sampler {
  /** The seed in use, also when it was not given: the same seed repeats the run. */
  readonly seed: number
  readonly #options: Required<SamplerOptions>
  readonly #random: Random

  /** Throws a MixtralError `OPTION` that names an unknown or impossible option. */
  constructor(options: SamplerOptions = {}) {
    this.#options = checkSamplerOptions(options)
    this.seed = this.#options.seed
    this.#random = new Random(this.seed)
  }

  /**
   * The next token.
   *
   * @param logits (vocabulary) left as they are
   * @param recent the tokens so far, oldest first; the penalty looks at the last 64
   * @throws MixtralError `MODEL` when a logit is NaN or infinite
   */
  sample(logits: Float32Array, recent: readonly number[]): number {
    const penalized = this.#penalize(logits, recent)
    const best = highest(penalized)
    if (this.#options.temperature === 0) return best
    const top = penalized[best] as number
    const ranking = new Ranking(penalized)
    const kept = this.#keep(penalized, top, ranking)
    return this.#draw(penalized, top, ranking, kept)
  }

  /**
   * Positive logits of recent tokens are divided by the penalty, the others multiplied, each once (llama.cpp's rule).
   */
  #penalize(logits: Float32Array, recent: readonly number[]): Float64Array {
    const penalized = new Float64Array(logits)
    const penalty = this.#options.repetitionPenalty
    if (penalty === 1) return penalized
    for (const id of new Set(recent.slice(-PENALTY_WINDOW))) {
      const logit = penalized[id]
      if (logit !== undefined) penalized[id] = logit > 0 ? logit / penalty : logit * penalty
    }
    return penalized
  }

  /** How many of the highest ranking tokens the filters leave: at least one. */
  #keep(logits: Float64Array, top: number, ranking: Ranking): number {
    const { topK, topP, minP } = this.#options
    let kept = topK === 0 ? logits.length : Math.min(topK, logits.length)
    if (topP < 1) {
      const wanted = topP * sumOfWeights(logits, top, 1, ranking, kept)
      let sum = 0
      for (let place = 0; place < kept; place++) {
        sum += exp((logits[ranking.at(place)] as number) - top)
        if (sum >= wanted) kept = place + 1
      }
    }
    if (minP > 0) {
      const least = top + ln(minP)
      let place = 1
      while (place < kept && (logits[ranking.at(place)] as number) >= least) place++
      kept = Math.min(kept, place)
    }
    return kept
  }

  /** One of the `kept` highest ranking tokens, each with the probability of its softmax at the temperature. */
  #draw(logits: Float64Array, top: number, ranking: Ranking, kept: number): number {
    const { temperature } = this.#options
    let rest = this.#random.next() * sumOfWeights(logits, top, temperature, ranking, kept)
    for (let place = 0; place < kept - 1; place++) {
      const id = ranking.at(place)
      rest -= exp(((logits[id] as number) - top) / temperature)
      if (rest < 0) return id
    }
    return ranking.at(kept - 1)
  }
}

/** The id of the highest logit, the lowest of equals. Throws on a logit that is not finite. */
function highest(logits: Float64Array): number {
  let best = 0
  for (let id = 0; id < logits.length; id++) {
    const logit = logits[id] as number
    if (!(logit - logit === 0)) {
      throw new MixtralError(
        'MODEL',
        `the logit of token ${id} is ${logit}, expected a finite number: the weights of the model may be damaged`,
      )
    }
    if (logit > (logits[best] as number)) best = id
  }
  return best
}

/**
 * The sum of exp((logit - top) / temperature) over the kept tokens: by rank, or by id when all are kept, which needs no
 * sorting.
 */
function sumOfWeights(logits: Float64Array, top: number, temperature: number, ranking: Ranking, kept: number): number {
  let sum = 0
  for (let place = 0; place < kept; place++) {
    const id = kept === logits.length ? place : ranking.at(place)
    sum += exp(((logits[id] as number) - top) / temperature)
  }
  return sum
}
