// The steps of a sampler and their default order, which is llama.cpp's. A new sampler is a row here and rows in
// samplerOptions.ts.

import type { Candidates } from './candidates.js'
import { ADAPTIVE, PLAIN } from './draw.js'
import type { Job } from './job.js'
import { penalties, subtractDry } from './penalties.js'
import type { Settings } from './samplerOptions.js'
import { temperature } from './temperature.js'
import { minP, topK, topNSigma, topP, typical, xtc } from './truncation.js'

interface Step {
  /** Ours first, then those of llama.cpp. */
  readonly names: readonly [string, ...string[]]
  /** Whether the settings make it do anything. */
  readonly active: (settings: Settings) => boolean
  readonly apply: (candidates: Candidates, job: Job) => void
  /**
   * It never takes the most likely token away, nor makes another one the most likely: where only that token counts, it
   * need not be done.
   */
  readonly keepsBest?: true
}

/** In the default order. */
export const steps: readonly Step[] = [
  {
    names: ['penalties'],
    active: ({ penaltyLastN, repetitionPenalty, frequencyPenalty, presencePenalty }) =>
      penaltyLastN !== 0 && (repetitionPenalty !== 1 || frequencyPenalty !== 0 || presencePenalty !== 0),
    apply: penalties,
  },
  { names: ['dry'], active: ({ dryMultiplier, dryPenaltyLastN }) => dryMultiplier > 0 && dryPenaltyLastN !== 0, apply: subtractDry },
  { names: ['topNSigma', 'top_n_sigma'], active: (settings) => settings.topNSigma > 0, apply: topNSigma, keepsBest: true },
  { names: ['topK', 'top_k'], active: (settings) => settings.topK > 0, apply: topK, keepsBest: true },
  { names: ['typical', 'typ_p', 'typical_p'], active: (settings) => settings.typicalP < 1, apply: typical },
  { names: ['topP', 'top_p'], active: (settings) => settings.topP < 1, apply: topP, keepsBest: true },
  { names: ['minP', 'min_p'], active: (settings) => settings.minP > 0, apply: minP, keepsBest: true },
  { names: ['xtc'], active: ({ xtcProbability, xtcThreshold }) => xtcProbability > 0 && xtcThreshold <= 0.5, apply: xtc },
  {
    names: ['temperature', 'temp'],
    active: (settings) => settings.temperature !== 1 || settings.dynatempRange > 0,
    apply: temperature,
    keepsBest: true,
  },
  // Not a step but a draw. Its row makes its name one of those that `samplers` may contain.
  { names: ['adaptiveP', 'adaptive_p'], active: () => false, apply: () => {} },
]

export const stepNames: readonly string[] = steps.map(({ names }) => names[0])

/** The place of a step in `steps` by one of its names; -1 if there is none. */
export function stepNamed(name: unknown): number {
  return steps.findIndex(({ names }) => names.some((known) => known === name))
}

const TEMPERATURE = stepNamed('temperature')
const ADAPTIVE_P = stepNamed('adaptiveP')

export interface Plan {
  /** Places in `steps`. */
  readonly chain: Uint8Array
  /** A place in `draws`. */
  readonly draw: number
  /** Whether tokens are drawn at random. Where only the most likely counts, no random number is used up. */
  readonly random: boolean
}

/**
 * What is to be done for every token with these settings and these steps, places in `steps`. Mirostat leaves nothing
 * but the temperature of them.
 */
export function planOf(settings: Settings, order: readonly number[]): Plan {
  const { mirostat, adaptiveTarget, dynatempRange } = settings
  const asked = mirostat > 0 ? [TEMPERATURE] : order
  const greedy = asked.includes(TEMPERATURE) && settings.temperature === 0 && dynatempRange === 0
  const active = asked.filter((place) => steps[place]!.active(settings))
  const keepsBest = (place: number) => steps[place]!.keepsBest === true
  // Where only the most likely token counts, a filter matters only to a later step that changes logits or ranks.
  const needed = (place: number, i: number) => place === TEMPERATURE || !active.slice(i).every(keepsBest)
  const chain = greedy ? active.filter(needed) : active
  const adaptive = asked.includes(ADAPTIVE_P) && adaptiveTarget >= 0
  return { chain: Uint8Array.from(chain), draw: mirostat > 0 ? mirostat : adaptive ? ADAPTIVE : PLAIN, random: !greedy }
}
