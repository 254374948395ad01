// The options of a catalog of models: their meaning and check.

import { checkNames, MixtralError, shown } from '../../../base/errors.js'
import { checkEngineOptions, type EngineOptions } from '../../../runtime/engine/engineOptions.js'
import type { ModelMemory } from '../../../text/generate/modelMemory.js'

/** How each model is loaded; `ram` is what all of them may take together. */
export type CatalogLoadOptions = Pick<
  EngineOptions,
  'threads' | 'contextLength' | 'sequences' | 'kvTokens' | 'stepMs' | 'drafts' | 'kvFormat' | 'batchSize' | 'bankBytes' | 'ram'
>

/** A model that was loaded or unloaded, or could not be loaded. */
export interface CatalogEvent {
  readonly event: 'loaded' | 'unloaded' | 'failed'
  readonly model: string
  /** Of one that was loaded. */
  readonly seconds?: number
  readonly memory?: ModelMemory
  /** What is odd about it, a line each. */
  readonly notes?: readonly string[]
  /** Why it could not be loaded. */
  readonly error?: string
}

export interface CatalogOptions {
  /** Names or paths of those that are offered. Default: all on this machine that have a name. */
  readonly models?: readonly string[]
  /** Seconds that a model stays in memory after its last request, unless one says otherwise. Default 300. */
  readonly keepAliveSeconds?: number
  readonly load?: CatalogLoadOptions
  /** One that throws is not called again, and the process warns. */
  readonly onEvent?: (event: CatalogEvent) => void
}

/** As the options of loading have it. */
const MOST_KV_TOKENS = 2 ** 24

const LOAD_NAMES = ['threads', 'contextLength', 'sequences', 'kvTokens', 'stepMs', 'drafts', 'kvFormat', 'batchSize', 'bankBytes', 'ram']

/** Throws `OPTION`. */
export function checkCatalogOptions(options: CatalogOptions): void {
  checkNames(options, ['models', 'keepAliveSeconds', 'load', 'onEvent'])
  const { models, keepAliveSeconds = 0, load = {}, onEvent } = options
  if (
    models !== undefined &&
    !(Array.isArray(models) && models.length > 0 && models.every((one) => typeof one === 'string' && one !== ''))
  ) {
    throw new MixtralError('OPTION', `models is ${shown(models)}, expected a list of names or paths`)
  }
  if (typeof keepAliveSeconds !== 'number' || !(keepAliveSeconds >= 0)) {
    throw new MixtralError('OPTION', `keepAliveSeconds is ${shown(keepAliveSeconds)}, expected a number from 0, or Infinity`)
  }
  checkNames(load, LOAD_NAMES)
  // what depends on a model, its loading says: here it has the shortest context, and the largest cache
  checkEngineOptions({ ...load, contextLength: load.contextLength ?? 1, kvTokens: load.kvTokens ?? MOST_KV_TOKENS }, 1)
  if (onEvent !== undefined && typeof onEvent !== 'function') throw new MixtralError('OPTION', 'onEvent is not a function')
}
