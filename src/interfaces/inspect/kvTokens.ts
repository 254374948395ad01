// How large a KV cache a server gets where nobody has said it: a whole context for each answer that is written at one
// time, as long as no expert has to leave memory for it. Pure, as modelFacts.ts is.

import { MixtralError } from '../../base/errors.js'
import { atOnce, type Steps } from '../../base/timeSlice.js'
import type { Gguf } from '../../format/gguf/gguf.js'
import type { EngineOptions } from '../../runtime/engine/engineOptions.js'
import { MixtralConfig } from '../../runtime/weights/mixtralConfig.js'
import { mixtralTensors } from '../../runtime/weights/mixtralTensors.js'
import { slotsWithin } from './fit.js'
import { type Loading, planOptions } from './modelFacts.js'

/** As the options of loading have it. */
const MOST_TOKENS = 2 ** 24

/** Positions of the KV cache for as many answers; undefined for a model that cannot be loaded. Throws `OPTION`. */
export function roomyKvTokens(gguf: Gguf, loading: Loading, sequences: number): number | undefined {
  return atOnce(roomyKvSteps(gguf, loading, sequences))
}

/** The same as work that may pause: each plan of a large model takes some hundredths of a second. */
export function* roomyKvSteps(gguf: Gguf, { options = {}, ...loading }: Loading, sequences: number): Steps<number | undefined> {
  const plan = possible(() => {
    const config = MixtralConfig.fromGgufMetadata(gguf.metadata)
    const tensors = mixtralTensors(config, gguf)
    const { contextLength } = planOptions(config, { ...loading, options })
    const slots = (more: EngineOptions) =>
      slotsWithin(config, tensors, planOptions(config, { ...loading, options: { ...options, ...more } }))
    return { context: contextLength, slots, most: slots({}) }
  })
  if (!plan) return undefined
  const { context, slots, most } = plan
  for (let contexts = sequences; contexts > 1; contexts = Math.ceil(contexts / 2)) {
    yield
    const kvTokens = contexts * context
    if (kvTokens <= MOST_TOKENS && (possible(() => slots({ kvTokens })) ?? 0) >= most) return kvTokens
  }
  return context
}

/** Undefined for what no machine can load. */
function possible<T>(plan: () => T): T | undefined {
  try {
    return plan()
  } catch (error) {
    if (!(error instanceof MixtralError) || error.code === 'OPTION') throw error
    return undefined
  }
}
