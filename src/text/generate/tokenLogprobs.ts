// Log-probabilities as a caller gets them: beside a token's id its text and its bytes, for the drawn one and the most
// likely ones in its place.

import type { Choice } from '../../runtime/sampler/job.js'
import type { StreamingDecoder } from '../tokenizer/streamingDecoder.js'
import type { Tokenizer } from '../tokenizer/tokenizer.js'

export interface TokenLogprob {
  readonly id: number
  /** What the token adds to the text; U+FFFD where it is part of a character, and the name of a control token. */
  readonly token: string
  /** Natural logarithm of its probability. */
  readonly logprob: number
  /** The bytes that it adds to the text: those of all tokens together are the text. A control token has none. */
  readonly bytes: readonly number[]
}

/** The log-probability of a drawn token. */
export interface DrawnLogprob extends TokenLogprob {
  /** The most likely tokens in its place, best first. */
  readonly top: readonly TokenLogprob[]
}

/** @param decoder before it has taken the token */
export function drawnLogprob({ id, logprob, top }: Choice, decoder: StreamingDecoder, tokenizer: Tokenizer): DrawnLogprob {
  const describe = (id: number, logprob: number): TokenLogprob => {
    const bytes = decoder.bytes(id)
    const { piece, type } = tokenizer.token(id)
    const token = type === 'control' || type === 'unknown' ? piece : new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes)
    return { id, token, logprob, bytes: [...bytes] }
  }
  const others = Array.from(top.ids, (other, i) => describe(other, top.values[i]!))
  // of a token that is left with a probability of 0, JSON could not say the logarithm
  return { ...describe(id, logprob), top: others.filter((other) => other.logprob > -Infinity) }
}

/** A choice as it is after the samplers, where only one token is left. */
export function certain({ id, state, top }: Choice): Choice {
  const only = Math.min(1, top.ids.length)
  return { id, state, logprob: 0, top: { ids: Int32Array.of(id).slice(0, only), values: new Float64Array(only) } }
}
