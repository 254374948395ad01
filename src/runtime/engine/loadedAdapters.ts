// The adapters of a model while it is loaded: they are read, memory is planned for them, and their factors go there.
// What stays of them outside of that memory is what calls and saved sessions must know. Owns their fingerprint.

import { createHash } from 'node:crypto'
import { TimeSlice } from '../../base/timeSlice.js'
import type { Gguf } from '../../format/gguf/gguf.js'
import type { Adapter, ReadOptions } from '../adapters/adapter.js'
import { type AdapterChoice, AdapterSet, checkAdapters } from '../adapters/adapterSet.js'
import {
  type AdaptedPlan,
  type AdapterNeeds,
  adapterNeeds,
  fillAdapters,
  type PlacedAdapters,
  placeAdapters,
} from '../adapters/placedAdapters.js'
import type { WasmMemory, WasmModule } from '../kernels/abi.js'
import { openBank } from '../weights/bank.js'
import type { MixtralConfig } from '../weights/mixtralConfig.js'
import type { Plan } from '../weights/plan.js'

/** An adapter of a loaded model. */
export interface LoadedAdapter extends Required<AdapterChoice> {
  /** The files that it was read from. */
  readonly files: readonly string[]
  /** Of its factors and their scales, as 64 hex digits. */
  readonly sha256: string
  /** The model that it was trained for, as it says itself. Nothing is checked by it: widths are. */
  readonly baseModel?: string
}

export interface LoadedAdapters {
  /** How much of each counts where a call does not say so, in their order. */
  readonly choices: readonly LoadedAdapter[]
  /** Names what they do where a call does not say so; undefined where none counts. */
  readonly fingerprint: string | undefined
}

export class AdapterLoading {
  /** The plan of the model, which leaves memory for them. */
  readonly plan: Plan
  /** Undefined without adapters. */
  readonly adapted: AdaptedPlan | undefined
  readonly #set: AdapterSet
  readonly #placed: PlacedAdapters | undefined

  private constructor(set: AdapterSet, plan: Plan) {
    this.#set = set
    this.#placed = set.adapters.length > 0 ? placeAdapters(set.adapters, plan) : undefined
    this.plan = plan
    this.adapted = this.#placed?.plan
  }

  /** Reads adapters. Throws `OPTION`, what reading them throws, and what planning throws. */
  static async open(
    given: unknown,
    config: MixtralConfig,
    planOf: (needs: AdapterNeeds) => Plan,
    options: ReadOptions,
  ): Promise<AdapterLoading> {
    const set = await AdapterSet.open(checkAdapters(given), config, options)
    const needs = adapterNeeds(set.adapters)
    const plan = planOf(needs)
    return new AdapterLoading(set, { ...plan, bytes: plan.bytes + needs.bytes })
  }

  /** Brings the factors to their places in the memories behind those of the model. Throws `ABORTED` and `MEMORY`. */
  async fill(module: WasmModule, memories: readonly WasmMemory[], signal?: AbortSignal): Promise<LoadedAdapters> {
    if (!this.#placed) return { choices: [], fingerprint: undefined }
    const banks = memories.map((memory, bank) => (bank < this.plan.banks.length ? undefined : openBank(module, memory)))
    await fillAdapters(this.#placed.fills, banks, this.plan, signal)
    const loaded = await withDigests(this.#set, signal)
    return { choices: loaded, fingerprint: fingerprintOf(loaded) }
  }
}

/**
 * Adapters to a model that is not loaded, as they are known when it is. Throws `OPTION`, and what reading them throws.
 */
export async function readAdapters(given: unknown, config: MixtralConfig): Promise<readonly LoadedAdapter[]> {
  return withDigests(await AdapterSet.open(checkAdapters(given), config))
}

/** Frozen: callers get this very list, and steps, saved sessions and marks of answers go by it. */
async function withDigests({ choices, adapters }: AdapterSet, signal?: AbortSignal): Promise<readonly LoadedAdapter[]> {
  const loaded: LoadedAdapter[] = []
  for (const [i, adapter] of adapters.entries()) {
    const files = Object.freeze([...adapter.files])
    const base = adapter.baseModel !== undefined && { baseModel: adapter.baseModel }
    loaded.push(Object.freeze({ ...choices[i]!, files, sha256: await digestOf(adapter, signal), ...base }))
  }
  return Object.freeze(loaded)
}

/** Names the adapters that count, and how much they do; undefined where none counts. */
export function fingerprintOf(choices: readonly LoadedAdapter[]): string | undefined {
  const counting = choices.filter(({ scale }) => scale !== 0)
  if (counting.length === 0) return undefined
  const lines = counting.map(({ sha256, scale }) => `${sha256} ${scale}\n`)
  return createHash('sha256').update(lines.join('')).digest('hex')
}

/** Every file that a model was read from, its adapters too: no output may take the place of one. */
export function inputFiles({ gguf, adapters }: { readonly gguf: Gguf; readonly adapters: readonly LoadedAdapter[] }): string[] {
  return [...gguf.files.map(({ path }) => path), ...adapters.flatMap(({ files }) => files)]
}

async function digestOf({ changes }: Adapter, signal: AbortSignal | undefined): Promise<string> {
  const slice = new TimeSlice()
  const hash = createHash('sha256')
  for (const { role, layer, expert = '', lowRank } of changes) {
    const { a, b } = lowRank
    hash.update(`${role} ${layer} ${expert} ${lowRank.scale} ${a.type} ${a.rows} ${a.columns} ${b.type} ${b.rows}\n`)
    for (const { bytes } of [a, b]) hash.update(bytes.slice())
    if (slice.isOver) await slice.pause(signal)
  }
  return hash.digest('hex')
}
