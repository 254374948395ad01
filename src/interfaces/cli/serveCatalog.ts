// `mixtral serve` without a model: those of this machine. Owns what it says of them, at the start and when one comes
// into memory or leaves it.

import { InvalidArgumentError } from 'commander'
import { byteCount } from '../../base/amounts.js'
import type { CatalogEvent, CatalogLoadOptions } from '../server/models/catalogOptions.js'
import { ModelCatalog } from '../server/models/modelCatalog.js'
import { keepAliveSeconds } from '../server/ollama/keepAlive.js'
import { loadOptions, type ModelFlags } from './flags.js'
import { say } from './layout.js'

export interface CatalogFlags extends ModelFlags {
  readonly models?: readonly string[]
  readonly keepAlive?: number
  readonly parallel?: number
  readonly kvTokens?: number
}

/** Opens the catalog, calls `use`, and closes it whatever happens. */
export async function withCatalog(
  { models, keepAlive: seconds = 300, parallel, kvTokens, ...flags }: CatalogFlags,
  use: (catalog: ModelCatalog, about: { readonly what: string; readonly how: string }) => Promise<void>,
): Promise<void> {
  const load: CatalogLoadOptions = {
    ...loadOptions(flags),
    ...(parallel !== undefined && { sequences: parallel }),
    ...(kvTokens !== undefined && { kvTokens }),
  }
  const catalog = await ModelCatalog.open({ ...(models && { models }), keepAliveSeconds: seconds, load, onEvent: tell })
  try {
    const what = models ? (models.length === 1 ? models[0]! : `${models.length} models`) : 'the models of this machine'
    const stays = Number.isFinite(seconds) ? `unloaded ${seconds} seconds after their last request` : 'then stay loaded'
    await use(catalog, { what, how: `loaded when they are asked for, ${stays}` })
  } finally {
    await catalog.close()
  }
}

function tell({ event, model, seconds, memory, notes = [], error }: CatalogEvent): void {
  if (event === 'failed') say(error!, { dim: true })
  if (event === 'unloaded') say(`${model}: unloaded`, { dim: true })
  if (!memory) return
  const { totalBytes, experts, expertSlots } = memory
  const some = expertSlots < experts ? `, ${expertSlots} of ${experts} experts at a time, the others are read when needed` : ''
  say(`${model}: loaded in ${seconds!.toFixed(1)} s, ${byteCount(totalBytes)} of memory${some}`, { dim: true })
  for (const note of notes) say(`${model}: ${note}`, { dim: true })
}

/** The parser of a flag. */
export function keepAlive(text: string): number {
  try {
    return keepAliveSeconds(text)
  } catch {
    throw new InvalidArgumentError('Expected seconds, a time such as 30s, 10m or 1h, or -1 for ever.')
  }
}
