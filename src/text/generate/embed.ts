// The embedding of a text: the mean of its tokens' last hidden states, of length 1. All its tokens are computed, for
// the cache has no hidden states; a step computes them beside other calls' rows, with the same bits.

import { checkText, MixtralError, shown } from '../../base/errors.js'
import { inSlices } from '../../base/timeSlice.js'
import { type CallOptions, checkCallOptions, checkScales, type ForwardOptions, type TokenIds } from '../../runtime/engine/callArguments.js'
import type { Engine } from '../../runtime/engine/engine.js'
import { stepsOf, type Tokenizer } from '../tokenizer/tokenizer.js'

export interface EmbedOptions extends CallOptions, Pick<ForwardOptions, 'adapters'> {
  /** The call shares no part of the KV cache with calls of another salt. Default: none. */
  readonly salt?: string
}

export interface Embedding {
  /** (hidden), of length 1. */
  readonly vector: Float32Array
  /** How many tokens it is the mean of. */
  readonly tokens: number
}

export async function embedTokens(
  engine: Engine,
  tokenizer: Tokenizer,
  input: string | TokenIds,
  options: EmbedOptions,
): Promise<Embedding> {
  const { salt = '', adapters, ...own } = checkCallOptions(options, ['salt', 'adapters'])
  const call = { ...own, ...(adapters !== undefined && { adapters: checkScales(adapters, engine) }) }
  checkText('salt', salt)
  if (Array.isArray(input) && input.some((item) => typeof item === 'string'))
    throw new MixtralError(
      'OPTION',
      'the input is a list of texts, expected one text or its token ids: calls for several texts at once share steps',
    )
  const ids = engine.checked(typeof input === 'string' ? await inSlices(stepsOf(tokenizer).encode(input), call.signal) : input)
  const sum = new Float64Array(engine.config.hiddenSize)
  const hidden = (state: Float32Array) => {
    for (let i = 0; i < sum.length; i++) sum[i]! += state[i]! // in the order of the tokens, so that the bits are the same
  }
  await engine.finish({ ids, from: 0, salt, hidden }, call)
  return { vector: unit(sum), tokens: ids.length }
}

/** The direction of a vector: that of a sum is that of the mean. */
function unit(sum: Float64Array): Float32Array {
  let squares = 0
  for (const value of sum) squares += value * value
  const length = Math.sqrt(squares)
  if (Number.isFinite(length) && length > 0) return Float32Array.from(sum, (value) => value / length)
  throw new MixtralError(
    'MODEL',
    `the length of an embedding is ${shown(length)}, expected a finite number above 0: the weights of the model may be damaged, or an adapter counts too much`,
  )
}
