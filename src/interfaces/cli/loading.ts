// Loads a model for a command, downloaded first if it is not on this machine, with a progress bar, and closes it
// whatever happens. Owns what is told of the loading of experts, in words and in JSON. Does not know what the command
// does with the model.

import path from 'node:path'
import { byteCount } from '../../base/amounts.js'
import { quoted } from '../../base/errors.js'
import { adaptersMemory } from '../../runtime/adapters/adapterSet.js'
import type { EngineOptions as LoadOptions } from '../../runtime/engine/engineOptions.js'
import { compileKernels } from '../../runtime/kernels/compile.js'
import { type ExpertFigures, expertRates } from '../../runtime/residency/expertFigures.js'
import { MixtralModel } from '../../text/generate/mixtralModel.js'
import type { ModelMemory } from '../../text/generate/modelMemory.js'
import { adapterMemory } from '../inspect/adapterFacts.js'
import { roomyKvTokens } from '../inspect/kvTokens.js'
import { bringAdapters, bringModel, lookAt, sayIfAbsent } from './bringing.js'
import { loadOptions, type ModelFlags } from './flags.js'
import { onInterrupt } from './interrupt.js'
import { say } from './layout.js'
import { ProgressLine } from './progressLine.js'

/** As the options of loading have it. */
const DEFAULT_PARALLEL = 8

/**
 * Loads the model, calls `use` and closes the model. Throws what loading throws, `ABORTED` after Ctrl-C while it loads,
 * and what `use` throws.
 */
export async function withModel<T>(
  nameOrPath: string,
  flags: ModelFlags & Pick<LoadOptions, 'profile' | 'sequences' | 'kvTokens' | 'batchSize'>,
  use: (model: MixtralModel) => Promise<T>,
): Promise<T> {
  const { ram, json, profile, sequences, kvTokens, batchSize } = flags
  const adapters = flags.lora && (await bringAdapters(flags.lora, json))
  const load: LoadOptions = {
    ...loadOptions(flags),
    ...(profile && { profile }),
    ...(sequences !== undefined && { sequences }),
    ...(kvTokens !== undefined && { kvTokens }),
    ...(batchSize !== undefined && { batchSize }),
    ...(adapters && { adapters }),
  }
  const adapterBytes = await adaptersMemory(adapters ?? [])
  const local = await bringModel(nameOrPath, { purpose: 'loading', load, adapterBytes, quiet: json === true })
  const bar = new ProgressLine('loading', { unit: 'bytes', quiet: json === true })
  const interrupt = onInterrupt()
  const onProgress = (progress: { loaded: number; total: number }) => bar.update(progress.loaded, progress.total)
  const model = await MixtralModel.load(local, { ...load, onProgress, signal: interrupt.signal }).finally(() => {
    bar.clear()
    interrupt.release()
  })
  if (!json) {
    sayIfStreaming(model.memory, ram)
    for (const note of model.notes) say(note, { dim: true })
    for (const { path: adapter, scale, baseModel } of model.adapters) {
      const to = baseModel === undefined ? '' : `, which is to ${quoted(baseModel)}`
      say(`with ${scale === 1 ? '' : `${scale} of `}the adapter ${adapter}${to}`, { dim: true })
    }
  }
  try {
    return await use(model)
  } finally {
    await model.close()
  }
}

/** Positions of a KV cache for as many answers, where nobody has said how many. */
export async function roomyPositions(
  model: string,
  { parallel = DEFAULT_PARALLEL, ...flags }: ModelFlags & { readonly parallel?: number },
): Promise<number | undefined> {
  const own = await adaptersMemory(await bringAdapters(flags.lora, flags.json))
  await sayIfAbsent(model)
  const [{ gguf, layers, adapters }, { build }] = await Promise.all([lookAt(model), compileKernels()])
  const loading = { build, layers, adapterBytes: own + adapterMemory(adapters), options: loadOptions(flags) }
  return roomyKvTokens(gguf, loading, parallel)
}

/** The name of a model in requests: a path's file, or the name itself. */
export function nameOf(model: string): string | undefined {
  const name = /\.gguf$/i.test(model) ? path.basename(model).replace(/\.gguf$/i, '') : model
  return /^[\w.:/@+-]{1,200}$/.test(name) ? name : undefined
}

/** Tells how many experts are in memory, unless all of them are. */
function sayIfStreaming({ experts, expertSlots, totalBytes }: ModelMemory, ram: number | undefined): void {
  if (expertSlots === experts) return
  const why = ram === undefined ? ', what this machine can spare' : ''
  const line = `${expertSlots} of ${experts} experts in memory at a time, ${byteCount(totalBytes)} with all else${why}; the others are read when needed`
  say(line, { dim: true })
}

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
