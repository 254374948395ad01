// What the values of Ollama's parameters mean. Ollama takes more than our options do: 0, -1 or an empty text for none,
// numbers past their range, fractions for whole numbers. Owns these meanings; a value that has none is left out.

import type { ParamValue } from '../../registry/stores/ollamaLayers.js'
import { allows, type OptionRow } from '../../runtime/sampler/optionRow.js'

/** Read as what Ollama does by default. */
export const UNSET = Symbol('unset')

/** Least values that are meant; what is below means none. */
const LEAST: Readonly<Record<string, number>> = { seed: 0, num_predict: 1, mirostat: 0, repeat_penalty: Number.MIN_VALUE }

/** Names of which a value past the range means the end of the range. */
const CLAMPED = new Set(['temperature', 'top_k', 'top_p', 'min_p', 'typical_p', 'repeat_last_n', 'mirostat_tau', 'mirostat_eta'])

/** Shortest context that Ollama makes; below, a number of tokens is none. */
const SHORTEST_CONTEXT = 4

/** The value of an option; UNSET for the default, undefined for a value without a meaning. */
export function ollamaValue(name: string, value: ParamValue, row: OptionRow): ParamValue | typeof UNSET | undefined {
  if (row.kind === 'texts') return stopTexts(value)
  const given = typeof value === 'string' && value.trim() !== '' ? Number(value) : value
  if (typeof given !== 'number' || Number.isNaN(given)) return allows(row, value) ? value : undefined
  const number = row.kind === 'whole' ? Math.trunc(given) : given
  if (number < (LEAST[name] ?? Number.NEGATIVE_INFINITY)) return name === 'repeat_penalty' ? undefined : UNSET
  if (name === 'repeat_last_n' && number < -1) return 0
  if (!CLAMPED.has(name)) return allows(row, number) ? number : undefined
  const clamped = Math.min(Math.max(number, row.least ?? Number.NEGATIVE_INFINITY), row.most ?? Number.POSITIVE_INFINITY)
  return allows(row, clamped) ? clamped : undefined
}

/** The number of tokens that `num_ctx` asks for, with the same two ways out. */
export function ollamaContext(value: ParamValue): number | typeof UNSET | undefined {
  const number = typeof value === 'string' && value.trim() === '' ? Number.NaN : Number(value)
  if (!Number.isFinite(number) || typeof value === 'boolean' || Array.isArray(value)) return undefined
  return number < SHORTEST_CONTEXT ? UNSET : Math.trunc(number)
}

/** Texts at which an answer ends. An empty one is none. */
function stopTexts(value: ParamValue): ParamValue | typeof UNSET | undefined {
  const texts = typeof value === 'string' ? [value] : value
  if (!Array.isArray(texts)) return undefined
  const stops = texts.filter((text) => text !== '')
  return stops.length === 0 ? UNSET : stops
}
