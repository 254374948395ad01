// The options of a measurement over windows, their check, and the progress that it reports.

import { MixtralError, shown } from '../../base/errors.js'
import { checkCallOptions } from '../../runtime/engine/callArguments.js'
import type { Estimate } from './statistics.js'

/** Progress of a measurement. */
export interface WindowProgress {
  /** Windows done. */
  readonly loaded: number
  /** Windows to run. */
  readonly total: number
  /** The model's perplexity so far. */
  readonly perplexity: Estimate
}

export interface WindowOptions {
  /** Largest number of windows to run. Default: all. */
  readonly windows?: number
  /** How many experts each token has in a layer. Default: the model's own number. */
  readonly expertsPerToken?: number
  readonly signal?: AbortSignal
  /** Called after each window. */
  readonly onProgress?: (progress: WindowProgress) => void
}

/** Throws `OPTION` for an impossible option, and for one that is neither a window option nor in `others`. */
export function checkWindowOptions(options: WindowOptions, others: readonly string[] = []): void {
  checkCallOptions(options, ['windows', 'expertsPerToken', ...others])
  const { windows } = options
  if (windows !== undefined && !(Number.isInteger(windows) && windows >= 1)) {
    throw new MixtralError('OPTION', `windows is ${shown(windows)}, expected a whole number from 1`)
  }
}
