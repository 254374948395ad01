// How a model is to be loaded: what a caller may ask, checked, with defaults. Knows nothing of weights.

import { availableParallelism } from 'node:os'
import { MixtralError, shown } from '../../base/errors.js'
import type { KvFormat } from '../kernels/abi.js'
import { spareMemory } from '../machine/spareMemory.js'
import { LARGEST_BANK } from '../weights/bankFiller.js'
import type { PlanOptions } from '../weights/plan.js'

export interface EngineOptions {
  /** Worker threads. Default: as many as the machine has cores for us. */
  readonly threads?: number
  /** Positions the KV cache has room for. Default: the model's, at most 4096. */
  readonly contextLength?: number
  /** How keys and values are kept. Default: f16, but f32 where the file's own key weights are F32. */
  readonly kvFormat?: KvFormat
  /** Most tokens of one step. Default 128. */
  readonly chunk?: number
  /** Bytes a bank is filled to. Default 2 GiB. */
  readonly bankBytes?: number
  /**
   * Most bytes of memory for weights, KV cache and scratch together: experts that do not fit are read from the file when a token needs them. Default: what the system can
   * spare, page cache included, less 5 % and 250 MB for the program.
   */
  readonly ram?: number
  /** Called a few times a second while weights are read, in bytes. */
  readonly onProgress?: (progress: Progress) => void
  readonly signal?: AbortSignal
  /** The worker's file. Default: this package's. */
  readonly worker?: string
  /** Whether to time the stages of steps, at a small cost. Default false. */
  readonly profile?: boolean
}

export interface Progress {
  readonly loaded: number
  readonly total: number
}

const DEFAULT_CHUNK = 128

/** Positions where nobody says how many. */
export const usualContext = (maxPositions: number) => Math.min(maxPositions, 4096)

/** Throws `OPTION`. */
export function checkEngineOptions(options: EngineOptions, maxPositions: number): Omit<PlanOptions, 'build'> {
  const contextLength = positive('contextLength', options.contextLength ?? usualContext(maxPositions), 2 ** 24)
  return {
    threads: positive('threads', options.threads ?? availableParallelism(), 1024),
    contextLength,
    batch: Math.min(positive('chunk', options.chunk ?? DEFAULT_CHUNK, 4096), contextLength),
    ram: options.ram === undefined ? spareMemory() : positive('ram', options.ram, Number.MAX_SAFE_INTEGER),
    ...(options.kvFormat !== undefined && { kvFormat: checkKvFormat(options.kvFormat) }),
    ...(options.bankBytes !== undefined && { bankBytes: positive('bankBytes', options.bankBytes, LARGEST_BANK) }),
  }
}

function checkKvFormat(format: KvFormat): KvFormat {
  if (format !== 'f16' && format !== 'f32') throw new MixtralError('OPTION', `kvFormat is ${shown(format)}, expected f16 or f32`)
  return format
}

function positive(name: string, value: number, limit: number): number {
  if (!Number.isInteger(value) || value < 1 || value > limit)
    throw new MixtralError('OPTION', `${name} is ${shown(value)}, expected a whole number from 1 to ${limit}`)
  return value
}
