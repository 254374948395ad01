// The options of one generation: their names and limits. The options of sampling are checked by the sampler.

import { MixtralError, shown } from '../../base/errors.js'
import { checkCallOptions } from '../../runtime/engine/callOptions.js'
import type { Progress } from '../../runtime/engine/engineOptions.js'
import { Sampler } from '../../runtime/sampler/sampler.js'
import { type SamplerOptions, samplerOptionNames } from '../../runtime/sampler/samplerOptions.js'
import { StopStrings } from './stopStrings.js'

export interface GenerationOptions extends SamplerOptions {
  /** Largest number of tokens to write. Default: until the context is full. */
  readonly maxNewTokens?: number
  /** Stop strings: the text ends before the first of them. */
  readonly stop?: string | readonly string[]
  /** Ends the call with an `ABORTED` error. */
  readonly signal?: AbortSignal
  /** Called after each step of the prompt, in tokens. */
  readonly onProgress?: (progress: Progress) => void
}

/** The original name of `GenerationOptions`. */
export type GenerationConfig = GenerationOptions

export interface CheckedOptions {
  readonly maxNewTokens: number
  readonly stops: StopStrings
  readonly signal: AbortSignal | undefined
  readonly onProgress: ((progress: Progress) => void) | undefined
  readonly sampler: Sampler
}

/**
 * Checks the options, fills in defaults, and makes the sampler. Throws `OPTION` for an unknown or impossible option, by
 * name.
 */
export function checkGenerationOptions(options: GenerationOptions): CheckedOptions {
  const { maxNewTokens = Number.POSITIVE_INFINITY, stop = [], signal, onProgress, ...sampling } = options
  if (!(maxNewTokens === Number.POSITIVE_INFINITY || (Number.isInteger(maxNewTokens) && maxNewTokens > 0))) {
    throw new MixtralError('OPTION', `maxNewTokens is ${shown(maxNewTokens)}, expected a whole number from 1`)
  }
  if (typeof stop !== 'string' && !Array.isArray(stop))
    throw new MixtralError('OPTION', `stop is ${String(stop)}, expected a string or a list of strings`)
  const unknown = Object.keys(sampling).find((name) => !samplerOptionNames.includes(name))
  if (unknown !== undefined) {
    const known = ['maxNewTokens', 'stop', ...samplerOptionNames, 'signal', 'onProgress']
    throw new MixtralError('OPTION', `unknown option ${unknown}, expected ${known.join(', ')}`)
  }
  checkCallOptions({ signal, onProgress })
  const stops = new StopStrings(typeof stop === 'string' ? [stop] : stop)
  return { maxNewTokens, stops, signal, onProgress, sampler: new Sampler(sampling) }
}
