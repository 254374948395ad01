// The figures of expert loading in words and in JSON, as commands print them. Pure.

import { byteCount } from '../../base/amounts.js'
import { type ExpertFigures, expertRates } from '../../runtime/residency/expertFigures.js'

/** `experts 82 % in memory, 34 % of the others read ahead, 1.21 GB read per token, 12.3 s waiting for the disk`. */
export function expertText(figures: ExpertFigures, tokens: number): string {
  const { hitRate, hiddenMisses } = expertRates(figures)
  const ahead = hitRate < 1 ? `, ${percent(hiddenMisses)} of the others read ahead` : ''
  const perToken = byteCount(figures.bytesRead / tokens)
  return `experts ${percent(hitRate)} in memory${ahead}, ${perToken} read per token, ${figures.waitSeconds.toFixed(1)} s waiting for the disk`
}

/**
 * The same figures for `--json`; no fields without figures.
 * @param tokens number of tokens that the figures are counted over
 */
export function expertFields(figures: ExpertFigures | undefined, tokens: number) {
  if (!figures) return {}
  const { hitRate, hiddenMisses } = expertRates(figures)
  return {
    expert_hit_rate: hitRate,
    expert_misses_hidden: hiddenMisses,
    expert_bytes_per_token: figures.bytesRead / tokens,
    disk_wait_seconds: figures.waitSeconds,
  }
}

const percent = (part: number) => `${(part * 100).toFixed(0)} %`
