// Jobs for tests of single steps, and what is left to draw from after them. Not a test.

import { choose } from '../../../dist/runtime/sampler/choose.js'
import { type Job, noValues, type TokenValues } from '../../../dist/runtime/sampler/job.js'
import type { Settings } from '../../../dist/runtime/sampler/samplerOptions.js'
import { stepNamed } from '../../../dist/runtime/sampler/steps.js'

/** Everything off. */
export const neutral: Settings = {
  temperature: 1,
  topK: 0,
  topP: 1,
  minP: 0,
  repetitionPenalty: 1,
  frequencyPenalty: 0,
  presencePenalty: 0,
  penaltyLastN: -1,
  dryMultiplier: 0,
  dryBase: 1.75,
  dryAllowedLength: 2,
  dryPenaltyLastN: -1,
  topNSigma: -1,
  typicalP: 1,
  xtcProbability: 0,
  xtcThreshold: 0.1,
  dynatempRange: 0,
  dynatempExponent: 1,
  mirostat: 0,
  mirostatTau: 5,
  mirostatEta: 0.1,
  adaptiveTarget: -1,
  adaptiveDecay: 0.9,
  minKeep: 0,
  seed: 0,
}

/** A job that does these steps with these settings. */
export function jobOf(steps: readonly string[], settings: Partial<Settings>, more: Partial<Job> = {}): Job {
  const chain = Uint8Array.from(steps, (name) => {
    if (stepNamed(name) < 0) throw new Error(`no step ${name}`)
    return stepNamed(name)
  })
  const nothing = { mask: undefined, bias: noValues, counts: noValues, dry: noValues }
  const rest = { draw: 0, u: 0.5, xtc: 0.5, state: new Float64Array(2), top: -1, postSampling: 0 } as const
  return { settings: { ...neutral, ...settings }, chain, ...nothing, ...rest, ...more }
}

export function tokenValues(pairs: Iterable<readonly [id: number, value: number]>): TokenValues {
  const all = [...pairs]
  return { ids: Int32Array.from(all, ([id]) => id), values: Float64Array.from(all, ([, value]) => value) }
}

/** The tokens that are left to draw from, best first, with their probabilities. */
export function leftBy(job: Job, logits: Float32Array): [id: number, probability: number][] {
  const { top } = choose(logits, { ...job, top: logits.length, postSampling: 1 })
  return Array.from(top.ids, (id, i) => [id, Math.exp(top.values[i]!)])
}
