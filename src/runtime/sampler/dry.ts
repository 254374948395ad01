// DRY ("don't repeat yourself", p-e-w, 2024): what to subtract from the logits of tokens that would go on with a
// repetition, more the longer it is. Looks at the history alone, so it is computed before there are logits.

import { ln, pow } from '../../base/elementary.js'
import { noValues, type TokenValues } from './job.js'
import type { Settings } from './samplerOptions.js'

/**
 * Texts that end a repetition, such as a new line, as token sequences: by their first token, what must follow it, which
 * is nothing for a text within one token.
 */
export type Breakers = ReadonlyMap<number, readonly (readonly number[])[]>

/** The largest power that a float32 has, as llama.cpp bounds it: ln of the largest float32. */
const LARGEST_LOG = 88.7228391

/** What to subtract, for tokens that followed an earlier occurrence of the last `dryAllowedLength` tokens or more. */
export function dryAmounts(history: readonly number[], settings: Settings, breakers: Breakers): TokenValues {
  const { dryMultiplier, dryBase, dryAllowedLength, dryPenaltyLastN } = settings
  const window = dryPenaltyLastN < 0 ? history.length : Math.min(history.length, dryPenaltyLastN)
  if (window <= dryAllowedLength) return noValues
  const recent = history.slice(history.length - window)
  const limit = sinceBreaker(recent, breakers)
  if (limit < dryAllowedLength) return noValues
  const longest = new Map<number, number>()
  repetitions(recent).forEach((length, end) => {
    const repeated = Math.min(length, limit)
    const next = recent[end + 1]!
    if (repeated >= dryAllowedLength && repeated > (longest.get(next) ?? 0)) longest.set(next, repeated)
  })
  for (const [first, rests] of breakers) if (rests.some((rest) => rest.length === 0)) longest.delete(first)
  const mostPower = dryBase > 1.000001 ? Math.floor(LARGEST_LOG / ln(dryBase)) : Number.POSITIVE_INFINITY
  return {
    ids: Int32Array.from(longest.keys()),
    values: Float64Array.from(longest.values(), (length) => dryMultiplier * pow(dryBase, Math.min(length - dryAllowedLength, mostPower))),
  }
}

/** How many tokens came after the last breaker; all if there is none. */
function sinceBreaker(recent: readonly number[], breakers: Breakers): number {
  for (let after = 0; after < recent.length; after++) {
    const start = recent.length - 1 - after
    const lengths = (breakers.get(recent[start]!) ?? [])
      .filter((rest) => rest.length <= after && rest.every((id, i) => id === recent[start + 1 + i]))
      .map((rest) => rest.length)
    if (lengths.length > 0) return after - Math.max(...lengths)
  }
  return recent.length
}

/**
 * The length of the longest sequence that ends at a place and at the end too, for each place except the last. This is
 * the Z-algorithm (Gusfield, 1997) from the end backwards: its time is linear, however repetitive the tokens are.
 */
function repetitions(recent: readonly number[]): Int32Array {
  const last = recent.length - 1
  const lengths = new Int32Array(last) // by place
  const z = new Int32Array(last + 1) // by distance from the end
  let left = 0
  let right = 0
  for (let i = 1; i <= last; i++) {
    let length = i < right ? Math.min(right - i, z[i - left]!) : 0
    while (i + length <= last && recent[last - length] === recent[last - i - length]) length++
    if (i + length > right) {
      left = i
      right = i + length
    }
    z[i] = length
    lengths[last - i] = length
  }
  return lengths
}
