// The options of sampling: their names, defaults and limits. Does not sample.

import { MixtralError, shown } from '../../base/errors.js'

export interface SamplerOptions {
  /** 0 takes the most likely token every time; higher is more varied. Default 0.8. */
  readonly temperature?: number
  /** Keep this many of the most likely tokens; 0 keeps all. Default 40. */
  readonly topK?: number
  /** Keep the most likely tokens until their probabilities sum to this; 1 keeps all. Default 0.95. */
  readonly topP?: number
  /** Keep tokens at least this times as likely as the most likely one; 0 keeps all. Default 0.05. */
  readonly minP?: number
  /** Makes the tokens of the last 64 places less likely; 1 leaves them alone. Default 1. */
  readonly repetitionPenalty?: number
  /** Integer from 0 to 2^53 - 1. Default: a random one, which `Sampler.seed` tells. */
  readonly seed?: number
}

/** The defaults of llama.cpp. */
const samplerDefaults = { temperature: 0.8, topK: 40, topP: 0.95, minP: 0.05, repetitionPenalty: 1 } as const

const limits: Record<keyof SamplerOptions, { expected: string; allows: (value: number) => boolean }> = {
  temperature: { expected: 'a number from 0', allows: (value) => value >= 0 && value < Infinity },
  topK: { expected: 'an integer from 0', allows: (value) => Number.isSafeInteger(value) && value >= 0 },
  topP: { expected: 'a number from 0 to 1', allows: (value) => value >= 0 && value <= 1 },
  minP: { expected: 'a number from 0 to 1', allows: (value) => value >= 0 && value <= 1 },
  repetitionPenalty: { expected: 'a number from 0.01 to 100', allows: (value) => value >= 0.01 && value <= 100 },
  seed: { expected: 'an integer from 0 to 2^53 - 1', allows: (value) => Number.isSafeInteger(value) && value >= 0 },
}

export const samplerOptionNames: readonly string[] = Object.keys(limits)

/** The options with defaults filled in. Throws a MixtralError `OPTION` that names an unknown or impossible one. */
export function checkSamplerOptions(options: SamplerOptions): Required<SamplerOptions> {
  for (const [name, value] of Object.entries(options)) {
    const limit = Object.hasOwn(limits, name) ? limits[name as keyof SamplerOptions] : undefined
    if (limit === undefined) throw new MixtralError('OPTION', `unknown option ${name}, expected ${samplerOptionNames.join(', ')}`)
    if (value !== undefined && !(typeof value === 'number' && limit.allows(value))) {
      throw new MixtralError('OPTION', `${name} is ${shown(value)}, expected ${limit.expected}`)
    }
  }
  return {
    temperature: options.temperature ?? samplerDefaults.temperature,
    topK: options.topK ?? samplerDefaults.topK,
    topP: options.topP ?? samplerDefaults.topP,
    minP: options.minP ?? samplerDefaults.minP,
    repetitionPenalty: options.repetitionPenalty ?? samplerDefaults.repetitionPenalty,
    seed: options.seed ?? (crypto.getRandomValues(new Uint32Array(1))[0] as number),
  }
}
