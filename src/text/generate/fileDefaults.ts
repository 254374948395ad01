// What a GGUF file says of sampling, under `general.sampling.*` as llama.cpp names it, in our own terms: options for
// callers that give none. A value without a meaning is left out, with a note.

import { shown } from '../../base/errors.js'
import type { GgufValue } from '../../format/gguf/gguf.js'
import { stepNamed } from '../../runtime/sampler/steps.js'
import type { GenerationOptions } from './generationOptions.js'
import { generationTable } from './generationTable.js'
import { ollamaValue, UNSET } from './ollamaParameters.js'

const PREFIX = 'general.sampling.'

/** Our options by llama.cpp's keys. */
const KEYS: Readonly<Record<string, string>> = {
  ...{ temp: 'temperature', top_k: 'topK', top_p: 'topP', min_p: 'minP' },
  ...{ xtc_probability: 'xtcProbability', xtc_threshold: 'xtcThreshold' },
  ...{ penalty_last_n: 'penaltyLastN', penalty_repeat: 'repetitionPenalty' },
  ...{ mirostat: 'mirostat', mirostat_tau: 'mirostatTau', mirostat_eta: 'mirostatEta' },
}

export interface FileDefaults {
  readonly options: GenerationOptions
  /** Which values are ignored, for people to read. */
  readonly notes: readonly string[]
}

/** Reads the keys of a file. */
export function fileDefaults(metadata: ReadonlyMap<string, GgufValue>): FileDefaults {
  const options: Record<string, unknown> = {}
  const notes: string[] = []
  const take = (key: string, own: string, meant: (value: GgufValue) => unknown) => {
    const found = metadata.get(PREFIX + key)
    if (found === undefined) return
    const value = meant(found)
    if (value === undefined) notes.push(`${PREFIX}${key} in the file is ${shown(found)}, which means nothing here: it is ignored`)
    else if (value !== UNSET) options[own] = value
  }
  for (const [key, own] of Object.entries(KEYS)) take(key, own, (value) => numberOf(own, value))
  take('sequence', 'samplers', stepsOf)
  return { options, notes }
}

/** Numbers are of 32 bits in a file: what was written there has six digits at most. */
function numberOf(own: string, value: GgufValue): unknown {
  const row = generationTable[own]!
  if (typeof value !== 'number' || !Number.isFinite(value)) return undefined
  return ollamaValue(row.ollama ?? '', row.kind === 'number' ? Number(value.toPrecision(6)) : value, row)
}

/** Names of steps between semicolons, each once; those that are not known are not done. */
function stepsOf(value: GgufValue): string[] | undefined {
  if (typeof value !== 'string') return undefined
  const names = value.split(';').map((name) => name.trim())
  const seen = new Set([-1]) // the place of what is not known
  const known = names.filter((name) => seen.size < seen.add(stepNamed(name)).size)
  const isLast = (name: string) => stepNamed(name) === stepNamed('adaptiveP')
  return known.length === 0 ? undefined : [...known.filter((name) => !isLast(name)), ...known.filter(isLast)]
}
