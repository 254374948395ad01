// What commands of `mixtral batch` tell: how far a run is, and how it went. Owns the words; the figures are those of
// interfaces/batch/.

import type { MergeSummary } from '../batch/mergeBatch.js'
import type { BatchProgress, BatchSummary } from '../batch/runBatch.js'
import { speed } from './layout.js'
import { ProgressLine } from './progressLine.js'

/** The progress of a run: requests, tokens a second, and the time that is left. */
export class BatchBar {
  readonly #bar: ProgressLine

  constructor(quiet: boolean) {
    this.#bar = new ProgressLine('answering', { unit: 'requests', quiet })
  }

  update({ done, total, failed, newTokens, seconds }: BatchProgress): void {
    const rate = newTokens > 0 ? speed(newTokens / seconds) : ''
    this.#bar.update(done, total, [failed > 0 ? `${failed} errors` : '', rate].filter(Boolean).join(', '))
  }

  clear(): void {
    this.#bar.clear()
  }
}

export function summaryJson({
  batch,
  model,
  numerics,
  done,
  total,
  failed,
  found,
  newTokens,
  promptTokens,
  seconds,
}: BatchSummary): object {
  const rate = seconds > 0 ? newTokens / seconds : 0
  return {
    ...{ batch, model, numerics, requests: total, done, failed, found },
    ...{ prompt_tokens: promptTokens, completion_tokens: newTokens, seconds, tokens_per_second: rate },
  }
}

export function summaryText({ done, found, failed, newTokens, seconds }: BatchSummary): string {
  const here = done - found
  const rest = [found > 0 ? `${found} were there` : '', failed > 0 ? `${failed} are errors` : ''].filter(Boolean).join(', ')
  const rate = newTokens > 0 ? `, ${newTokens} tokens, ${speed(newTokens / seconds)}` : ''
  return `${requestCount(here)} in ${seconds.toFixed(1)} s${rate}${rest && `; of all ${done}, ${rest}`}`
}

export const requestCount = (count: number) => `${count} ${count === 1 ? 'request' : 'requests'}`

export function mergeText({ results, failed, repeated }: MergeSummary): string {
  return `${requestCount(results + failed)}: ${results} results, ${failed} errors${repeated ? `, ${repeated} of them there twice` : ''}`
}
