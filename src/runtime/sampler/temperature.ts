// The step that sharpens or flattens probabilities: temperature, and dynamic temperature, which follows the entropy.

import { ln, pow } from '../../base/elementary.js'
import type { Candidates } from './candidates.js'
import type { Job } from './job.js'

/**
 * Divides logits by the temperature; 0 keeps the highest logit. With `dynatempRange` r the temperature goes from T - r
 * for a certain token to T + r for one that could be any: T - r + 2 r (entropy / ln n) ^ dynatempExponent (T - r is at
 * least 0).
 */
export function temperature(candidates: Candidates, { settings }: Job): void {
  const { temperature: middle, dynatempRange, dynatempExponent } = settings
  let now = middle
  if (dynatempRange > 0) {
    if (candidates.count < 2) return
    const least = Math.max(0, middle - dynatempRange)
    const most = Math.min(Number.MAX_VALUE, middle + dynatempRange)
    const evenness = Math.min(1, candidates.entropy() / ln(candidates.count))
    now = least + (most - least) * pow(evenness, dynatempExponent)
  }
  if (now > 0) candidates.divide(now)
  else candidates.keepFirst(1)
}
