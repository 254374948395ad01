// Whether a model fits the memory of this machine, and in which quantisation it would. Owns what counts as fitting; measures nothing.

import { byteCount } from '../../base/amounts.js'
import { type QuantizationName, quantizationNames, quantizedSize } from '../../runtime/weights/quantizations.js'
import type { ModelFacts } from './modelFacts.js'

export interface Fit {
  /** Weights, KV cache, and the program itself. */
  readonly bytes: number
  readonly memoryBytes: number
  readonly fits: boolean
  /** The quantisations in which it would fit, largest first. */
  readonly would: readonly QuantizationName[]
}

/** The engine, its threads and their scratch memory. */
const PROGRAM_BYTES = 200e6
/** Weights take so much more in memory, packed for the kernels, than in the file. */
const PACKING = 1.03
const MOST_LISTED = 4

/** Undefined where the model cannot run anyway. */
export function fitOf({ config, needs }: ModelFacts, memoryBytes: number): Fit | undefined {
  if (!config || !needs) return undefined
  const bytes = needs.weightBytes + needs.kvBytes + PROGRAM_BYTES
  const room = (memoryBytes - needs.kvBytes - PROGRAM_BYTES) / PACKING
  const would = quantizationNames.filter((name) => quantizedSize(config, name).bytes <= room)
  return { bytes, memoryBytes, fits: bytes <= memoryBytes, would }
}

/** `needs 28.43 GB of memory, fits the 33.60 GB here`. */
export function fitText({ bytes, memoryBytes, fits, would }: Fit): string {
  if (fits) return `needs ${byteCount(bytes)} of memory, fits the ${byteCount(memoryBytes)} here`
  const listed = would.length > MOST_LISTED ? `${would.slice(0, MOST_LISTED).join(', ')} and smaller` : would.join(', ')
  const others = would.length > 0 ? `in ${listed} it would fit` : 'in no quantisation would it fit'
  return `needs ${byteCount(bytes)} of memory, does not fit the ${byteCount(memoryBytes)} here; ${others}`
}
