// Adapters that a caller wants: which, how much of each counts, and what all of them together change. Owns the check of
// such a list, and whether a path is a GGUF file or a folder as PEFT writes it. Reads all of an adapter into memory.

import { stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { checkNames, listCopy, MixtralError, shown } from '../../base/errors.js'
import { fileBytes } from '../../base/files/optionalFiles.js'
import { limits } from '../../base/limits.js'
import type { Adapter, AdapterBase, MatrixPlace, ReadOptions } from './adapter.js'
import type { GgufAdapterHeader } from './ggufAdapter.js'
import type { LowRank } from './lowRank.js'

/** An adapter by its path, or its path and how much of it counts. */
export interface AdapterChoice {
  /** Path of a GGUF file, of a folder as PEFT writes it, or of the `adapter_config.json` in it. */
  readonly path: string
  /** By what its change of the weights is multiplied. Default: 1. */
  readonly scale?: number
}

/** A copy of a list of adapters, with scales. Throws `OPTION` for what is no such list. */
export function checkAdapters(given: unknown): Required<AdapterChoice>[] {
  if (given === undefined) return []
  const refuse = (problem: string): never => {
    throw new MixtralError('OPTION', problem)
  }
  if (!Array.isArray(given)) return refuse(`adapters is ${shown(given)}, expected a list of paths`)
  const { length } = given
  if (length > limits.adapters.most) refuse(`${length} adapters, expected at most ${limits.adapters.most}`)
  return listCopy<unknown>(given, { length }).map((item, n) => {
    if (typeof item === 'string') return { path: item, scale: 1 }
    if (typeof item !== 'object' || item === null) return refuse(`adapter ${n} is ${shown(item)}, expected a path`)
    const own = { ...item } as { path?: unknown; scale?: unknown }
    checkNames(own, ['path', 'scale'])
    const { path, scale = 1 } = own
    if (typeof path !== 'string') return refuse(`the path of adapter ${n} is ${shown(path)}, expected a string`)
    return { path, scale: checkScale(scale, (found) => `the scale of adapter ${n} is ${found}`) }
  })
}

/** Returns a scale. Throws `OPTION` for what is no number, is beyond the limit, or becomes 0 as float32. */
export function checkScale(scale: unknown, problem: (found: string) => string): number {
  const { most } = limits.adapterScale
  const isThere = typeof scale === 'number' && Math.abs(scale) <= most
  if (isThere && (scale === 0 || Math.fround(scale) !== 0)) return scale
  const expected = isThere ? '0, or a number that float32 can hold' : `a number from -${most} to ${most}`
  throw new MixtralError('OPTION', `${problem(shown(scale))}, expected ${expected}`)
}

/** Whether a path is that of a folder. */
export async function isFolder(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isDirectory() === true
}

/** The folder of a configuration, or of weights, as PEFT writes it; another path as it is. */
function folderOf(path: string): string {
  return /(^|[\\/])adapter_(config\.json|model\.safetensors)$/.test(path) ? dirname(path) : path
}

/**
 * Reads an adapter to a model. Throws `IO`, `GGUF`, `CHECKPOINT` for a malformed PEFT folder, `MODEL` for what is no
 * adapter to this model, `UNSUPPORTED`, by name, for what is not applied here, `MEMORY` and `ABORTED`.
 */
async function openAdapter(given: string, base: AdapterBase, options: ReadOptions): Promise<Adapter> {
  const path = folderOf(given)
  if (await isFolder(path)) {
    const { loadPeftAdapter } = await import('./peftAdapter.js')
    return loadPeftAdapter(path, base, options)
  }
  const [{ openGguf }, { loadGgufAdapter }] = await Promise.all([import('../../format/gguf/openGguf.js'), import('./ggufAdapter.js')])
  return loadGgufAdapter(await openGguf(path), base, options)
}

/**
 * Throws what is wrong with an adapter whatever its model is, as far as its header or configuration tells: before a
 * model is downloaded for it.
 */
export async function checkAdapterHeader(given: string): Promise<void> {
  const path = folderOf(given)
  if (await isFolder(path)) {
    const { PeftConfig } = await import('./peftConfig.js')
    await PeftConfig.read(path)
    return
  }
  await ggufHeader(path)
}

async function ggufHeader(path: string): Promise<GgufAdapterHeader> {
  const [{ openGguf }, { readAdapterHeader }] = await Promise.all([import('../../format/gguf/openGguf.js'), import('./ggufAdapter.js')])
  return readAdapterHeader(await openGguf(path))
}

/**
 * Nearly the bytes of memory that adapters will take, without reading them: of a PEFT folder, those of its file. Throws
 * what opening a header throws.
 */
export async function adaptersMemory(choices: readonly AdapterChoice[]): Promise<number> {
  const { headerNeeds } = await import('./placedAdapters.js')
  let bytes = 0
  for (const choice of choices) {
    const path = folderOf(choice.path)
    if (await isFolder(path)) bytes += (await fileBytes(join(path, 'adapter_model.safetensors'))) ?? 0
    else bytes += headerNeeds(await ggufHeader(path))
  }
  return bytes
}

/** Several adapters, each with how much of it counts. Their changes add up. */
export class AdapterSet {
  /** Every file that they were read from. */
  readonly files: readonly string[]
  readonly #adapters: readonly { readonly adapter: Adapter; readonly scale: number }[]

  private constructor(adapters: readonly { readonly adapter: Adapter; readonly scale: number }[]) {
    this.#adapters = adapters
    this.files = adapters.flatMap(({ adapter }) => adapter.files)
  }

  /** Throws what `openAdapter` throws. */
  static async open(
    choices: readonly Required<AdapterChoice>[],
    base: AdapterBase,
    { ram = Number.POSITIVE_INFINITY, signal }: ReadOptions = {},
  ): Promise<AdapterSet> {
    const adapters = []
    let left = ram
    for (const { path, scale } of choices) {
      const adapter = await openAdapter(path, base, { ram: left, signal })
      left -= adapter.bytes
      adapters.push({ adapter, scale })
    }
    return new AdapterSet(adapters)
  }

  get adapters(): readonly Adapter[] {
    return this.#adapters.map(({ adapter }) => adapter)
  }

  /** The paths and scales. */
  get choices(): readonly Required<AdapterChoice>[] {
    return this.#adapters.map(({ adapter: { path }, scale }) => ({ path, scale }))
  }

  /** The changes of a matrix, in the order of the adapters; their scales have those of the list in them. */
  at(place: MatrixPlace): LowRank[] {
    return this.#adapters.flatMap(({ adapter, scale }) => {
      const lowRank = adapter.at(place)
      return lowRank && scale !== 0 ? [{ ...lowRank, scale: lowRank.scale * scale }] : []
    })
  }

  /** The matrices that any of them changes. */
  get places(): MatrixPlace[] {
    const places = this.#adapters.flatMap(({ adapter }) => adapter.changes)
    return places.map(({ role, layer, expert }) => ({ role, layer, expert }))
  }
}
