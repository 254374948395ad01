// How large a KV cache a server gets where nobody has said it: a whole context for each answer that is written at one
// time, as long as no expert has to leave memory for it. Pure, as modelFacts.ts is.

import type { Gguf } from '../../format/gguf/gguf.js'
import { factsOf, type Loading } from './modelFacts.js'

/** As the options of loading have it. */
const MOST_TOKENS = 2 ** 24

/** Positions of the KV cache for as many answers; undefined for a model that cannot be loaded. Throws `OPTION`. */
export function roomyKvTokens(gguf: Gguf, { options = {}, ...loading }: Loading, sequences: number): number | undefined {
  const { needs, fit } = factsOf(gguf, { ...loading, options })
  if (!needs || !fit) return undefined
  const context = needs.contextLength
  for (let contexts = sequences; contexts > 1; contexts = Math.ceil(contexts / 2)) {
    const kvTokens = contexts * context
    if (kvTokens > MOST_TOKENS) continue
    if ((factsOf(gguf, { ...loading, options: { ...options, kvTokens } }).fit?.slots ?? 0) >= fit.slots) return kvTokens
  }
  return context
}
