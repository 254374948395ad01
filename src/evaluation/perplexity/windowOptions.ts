// The options of measuring over windows, their check, and what progress tells.

import { MixtralError } from '../../base/errors.js'
import { checkCallOptions } from '../../text/generate/callOptions.js'
import type { Estimate } from './statistics.js'

/** Chunks done, of how many, and the model's perplexity so far. */
export interface WindowProgress {
  readonly loaded: number
  readonly total: number
  readonly perplexity: Estimate
}

export interface WindowOptions {
  /** Most chunks to run. Default: all. */
  readonly chunks?: number
  readonly signal?: AbortSignal
  /** Called after each chunk. */
  readonly onProgress?: (progress: WindowProgress) => void
}

/** Throws `OPTION` for an option that is none of these or of `others`, or impossible. */
export function checkWindowOptions(options: WindowOptions, others: readonly string[] = []): void {
  checkCallOptions(options, ['chunks', ...others])
  const { chunks } = options
  if (chunks !== undefined && !(Number.isInteger(chunks) && chunks >= 1)) {
    throw new MixtralError('OPTION', `chunks is ${chunks}, expected a whole number from 1`)
  }
}
