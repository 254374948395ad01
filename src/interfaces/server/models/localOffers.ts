// Which models of this machine a server offers, and what each is called: all that have a name, or those of a list. A
// request gives a name, never a path or an address; only the one who starts the server gives paths.

import { stat } from 'node:fs/promises'
import path from 'node:path'
import { MixtralError } from '../../../base/errors.js'
import { type ModelName, modelNameText, parseModelName } from '../../../registry/names/modelName.js'
import { findLocalModel, type LocalModel, listLocalModels, localModel, readModelName } from '../../../registry/stores/localModels.js'

/** A model as it is found by a name. */
export interface FoundModel {
  /** As lists and answers call it. */
  readonly name: string
  readonly local: LocalModel
  /** Changes when its files, or what comes with them, do. */
  readonly key: string
}

export class LocalOffers {
  readonly #chosen: readonly ModelName[] | undefined

  private constructor(chosen: readonly ModelName[] | undefined) {
    this.#chosen = chosen
  }

  /** @param names of models, or paths; without them, all on this machine. Throws `IO` for one that is not there. */
  static async open(names: readonly string[] | undefined): Promise<LocalOffers> {
    const chosen = names && [...new Set(names)].map((text) => readModelName(text))
    for (const name of chosen ?? []) await localModel(name)
    const called = new Map<string, string>()
    for (const name of chosen ?? []) {
      const other = called.get(nameOf(name))
      if (other !== undefined && other !== modelNameText(name)) {
        throw new MixtralError('OPTION', `${modelNameText(name)} and ${other} would both be called ${nameOf(name)}`)
      }
      called.set(nameOf(name), modelNameText(name))
    }
    return new LocalOffers(chosen)
  }

  /** All of them, each name once. A model that cannot be read is left out. */
  async list(): Promise<FoundModel[]> {
    const names = this.#chosen ?? [...(await listLocalModels()).map(({ name }) => name), 'demo']
    const found = new Map<string, FoundModel>()
    for (const name of names) {
      const model = await foundBy(name).catch(() => undefined)
      if (model && !found.has(model.name)) found.set(model.name, model)
    }
    return [...found.values()]
  }

  /** The model that a request means. Throws `IO` and `UNSUPPORTED` for one that is damaged. */
  async find(asked: string): Promise<FoundModel | undefined> {
    const name = nameIn(asked)
    if (this.#chosen) return this.#among(this.#chosen, asked, name)
    if (name?.kind === 'huggingface' && name.file === undefined) return foundByFile(name)
    if (name) return (await foundBy(name)) ?? (asked === 'demo:latest' ? foundBy('demo') : undefined)
    if (!/^https?:/i.test(asked)) return undefined
    // only what has been pulled, by the name that lists have
    const listed = (await listLocalModels()).find((model) => model.name === asked && model.store === 'mixtral')
    return listed && foundBy(listed.name)
  }

  /** Whether a model of this name, if it is there, may be asked for. */
  offers(name: string): boolean {
    return this.#chosen === undefined || this.#chosen.some((one) => nameOf(one).toLowerCase() === name.toLowerCase())
  }

  async #among(chosen: readonly ModelName[], asked: string, name: ModelName | undefined): Promise<FoundModel | undefined> {
    const same = (one: string) => [asked, name && modelNameText(name)].some((text) => text?.toLowerCase() === one.toLowerCase())
    const called = chosen.find((one) => same(nameOf(one)) || same(`${nameOf(one)}:latest`))
    if (called) return foundBy(called)
    if (name?.kind !== 'huggingface') return undefined
    const wanted = await findLocalModel(name) // a file, or the quantization that it has
    const all = await Promise.all(chosen.filter(({ kind }) => kind === 'huggingface').map(foundBy))
    return all.find((model) => model && model.local.path === wanted?.path)
  }
}

/** The name of a request, unless it is a path or an address, or no name at all. */
function nameIn(asked: string): ModelName | undefined {
  try {
    const name = parseModelName(asked)
    return name.kind === 'path' || name.kind === 'url' ? undefined : name
  } catch {
    return undefined
  }
}

/** A path's file without its ending, or the name itself. */
function nameOf(name: ModelName): string {
  return name.kind === 'path' ? path.basename(name.path).replace(/\.gguf$/i, '') : modelNameText(name)
}

/** A model by its repository, under the name that lists have, which is that of a file. */
async function foundByFile(name: ModelName): Promise<FoundModel | undefined> {
  const found = await foundBy(name)
  const listed = found && (await listLocalModels()).find(({ path }) => path === found.local.path)
  return listed ? foundBy(listed.name) : found
}

async function foundBy(given: ModelName | string): Promise<FoundModel | undefined> {
  const name = typeof given === 'string' ? parseModelName(given) : given
  const local = await findLocalModel(name)
  if (!local) return undefined
  const { mtimeMs } = await stat(local.path)
  const key = JSON.stringify([local.path, local.bytes, mtimeMs, local.layers ?? null, ...(local.adapters ?? [])])
  return { name: name.kind === 'path' ? nameOf(name) : local.name, local, key }
}
