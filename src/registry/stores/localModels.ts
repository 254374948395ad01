// The models on this machine, by name: a path, the shipped demo, our store, Ollama's, the Hugging Face cache. Owns the
// order in which they are searched; tells the SHA-256 that a file was pulled by. Never writes and never uses the
// network.

import { type Stats, statSync } from 'node:fs'
import { realpath, stat } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { MixtralError, quoted, shown } from '../../base/errors.js'
import { fileBytes, filesUnder } from '../../base/files/optionalFiles.js'
import { didYouMean } from '../../base/nearNames.js'
import { shardPaths } from '../../format/gguf/shards.js'
import { type ModelName, modelNameText, parseModelName, type RemoteName, wellKnownNames } from '../names/modelName.js'
import { findInHuggingFaceCache, listHuggingFaceCache } from './huggingFaceCache.js'
import { checkLayers, type OllamaLayers } from './ollamaLayers.js'
import { OllamaStore, type StoredOllamaModel } from './ollamaStore.js'
import { OwnStore } from './ownStore.js'
import { type StoreFolders, storeFolders } from './storeFolders.js'

/** A model as `list` shows it. */
export interface ListedModel {
  /** The shortest name of the model. */
  readonly name: string
  /**
   * The store that it is in; `file` for the demo and for paths. Only models in the `mixtral` store can be removed here.
   */
  readonly store: 'file' | 'mixtral' | 'ollama' | 'huggingface'
  /** Path of the GGUF, or of its first shard. */
  readonly path: string
  /** Bytes of all shards, and of the adapters of an Ollama model. */
  readonly bytes: number
}

/** A model on this machine, with everything that loading it needs: no other look-up of its name. */
export interface LocalModel extends ListedModel {
  /** What an Ollama model brings beside its weights; undefined for any other. */
  readonly layers: OllamaLayers | undefined
  /** Paths of the LoRA adapters of an Ollama model, in their order. Default: none. */
  readonly adapters?: readonly string[]
}

/**
 * Reads a name. The path of an existing file is a path, whatever else it could mean, and so is the URL of a file.
 * Throws `IO` for a malformed name.
 */
export function readModelName(text: string): ModelName {
  if (typeof text === 'string' && /^file:/i.test(text) && !isFile(text)) return { kind: 'path', path: pathOf(text) }
  return text !== 'demo' && isFile(text) ? { kind: 'path', path: text } : parseModelName(text)
}

function pathOf(url: string): string {
  try {
    return fileURLToPath(url)
  } catch (error) {
    throw new MixtralError('IO', `${quoted(url)} is no address of a file here: ${(error as Error).message}`)
  }
}

function isFile(text: string): boolean {
  return statsOf(text)?.isFile() === true
}

function statsOf(text: string): Stats | undefined {
  try {
    return statSync(text)
  } catch {
    return undefined // also for a text that can be no path
  }
}

/**
 * The model of this name; undefined if it is not on this machine. Throws `IO` for a malformed name, for a path without
 * a file, and for a text that is no known model and the path of a folder.
 */
export async function findLocalModel(model: string | ModelName, folders: StoreFolders = storeFolders()): Promise<LocalModel | undefined> {
  if (typeof model === 'object' && model !== null) return findByName(model, folders)
  const name = readModelName(model)
  const local = await findByName(name, folders)
  if (local || !statsOf(model)?.isDirectory()) return local
  if (isAdapter(model)) throw adapterError(model)
  const full = modelNameText(name)
  if (full === model) return undefined // there is no other way to write the name
  throw new MixtralError('IO', `${quoted(model)} is a folder, expected a GGUF file, or ${full} for the model of that name`)
}

async function findByName(name: ModelName, folders: StoreFolders): Promise<LocalModel | undefined> {
  switch (name.kind) {
    case 'demo':
      return found('file', name, [fileURLToPath(new URL('../../../models/tiny-mixtral.Q4_K_M.gguf', import.meta.url))])
    case 'path':
      if ((await fileBytes(name.path)) === undefined) throw await noFile(name.path)
      return { ...(await found('file', name, shardPaths(name.path))), path: name.path }
    case 'ollama': {
      const own = await findInOwnStore(name, new OwnStore(folders.own))
      if (own) return own
      for (const ollama of folders.ollama.map((root) => new OllamaStore(root))) {
        const model = await ollama.find(name)
        if (model) return foundOllama('ollama', model, ollama)
      }
      return undefined
    }
    case 'huggingface': {
      const own = await findInOwnStore(name, new OwnStore(folders.own))
      if (own) return own
      const cached = await findInHuggingFaceCache(folders.huggingFace, name)
      return cached && found('huggingface', name, cached.paths)
    }
    case 'url':
      return findInOwnStore(name, new OwnStore(folders.own))
  }
}

/** The model of this name in our own store; undefined if it is not there, or not complete. */
export async function findInOwnStore(name: RemoteName, store: OwnStore): Promise<LocalModel | undefined> {
  if (name.kind === 'ollama') {
    const model = await store.findOllama(name)
    return model && foundOllama('mixtral', model, store.ollama)
  }
  const model = await store.find(name)
  return model && found('mixtral', name, model.paths)
}

/**
 * A model that a caller says it has found. Throws `OPTION` for an object of another kind, such as a URL or the promise
 * of a model.
 */
export function checkLocalModel(model: LocalModel): LocalModel {
  const {
    path: file,
    layers,
    adapters = [],
  }: { readonly [name: string]: unknown } = {
    ...{ path: model.path, layers: model.layers, adapters: model.adapters },
  }
  if (typeof file !== 'string')
    throw new MixtralError('OPTION', `the model's path is ${shown(file)}, expected a name or a model that was found`)
  if (layers !== undefined) checkLayers(layers)
  if (!Array.isArray(adapters) || adapters.some((one) => typeof one !== 'string'))
    throw new MixtralError('OPTION', `the model's adapters are ${shown(adapters)}, expected a list of paths`)
  return model
}

/** Whether a folder is one that PEFT has written. */
const isAdapter = (folder: string) => isFile(path.join(folder, 'adapter_config.json'))

function adapterError(folder: string): MixtralError {
  return new MixtralError(
    'IO',
    `${quoted(folder)} is the folder of an adapter, expected the model that it is applied to: the adapter goes with --lora, or the option adapters`,
  )
}

async function noFile(file: string): Promise<MixtralError> {
  if (isAdapter(file)) return adapterError(file)
  const there = await stat(file).catch(() => undefined)
  if (there)
    return new MixtralError('IO', `${quoted(file)} is ${there.isDirectory() ? 'a folder' : 'no regular file'}, expected a GGUF file`)
  const folder = path.dirname(file)
  const others = (await filesUnder(folder, 0)).filter((other) => /\.gguf$/i.test(other))
  return new MixtralError('IO', `no file ${quoted(file)}${didYouMean(path.basename(file), others)}`)
}

/** `; did you mean A, B?`, or nothing: of these models, and the demo. */
export function meantModel(name: string, others: Iterable<string>): string {
  return didYouMean(name.replace(/:latest$/, ''), ['demo']) || didYouMean(name, others)
}

/** The model of this name. Throws `IO` if it is not on this machine, with near names and how to get it. */
export async function localModel(model: string | ModelName, folders: StoreFolders = storeFolders()): Promise<LocalModel> {
  const local = await findLocalModel(model, folders)
  if (local) return local
  const name = modelNameText(typeof model === 'object' ? model : readModelName(model))
  const others = wellKnownNames.includes(name) ? [] : wellKnownNames // a name that exists is meant
  const near = meantModel(name, [...others, ...(await listLocalModels(folders)).map((other) => other.name)])
  throw new MixtralError('IO', `no model ${quoted(name)} on this machine: \`mixtral pull ${name}\` fetches it${near}`)
}

/** All models in the three stores, without the demo. One that cannot be read is left out. */
export async function listLocalModels(folders: StoreFolders = storeFolders()): Promise<ListedModel[]> {
  const own = (await new OwnStore(folders.own).list()).map(({ name, paths }) => listed('mixtral', name, paths))
  const ollama = folders.ollama.map(async (root) => {
    const store = new OllamaStore(root)
    // Ollama has models that cannot run here, such as vision models: their errors are no reason not to list the others.
    const models = (await store.names()).map((name) => store.find(name).catch(() => undefined))
    return Promise.all(
      (await Promise.all(models)).flatMap((model) => (model ? [listed('ollama', model.name, [model.path, ...model.adapters])] : [])),
    )
  })
  const hub = (await listHuggingFaceCache(folders.huggingFace)).map(({ name, paths }) => listed('huggingface', name, paths))
  return [...(await Promise.all(own)), ...(await Promise.all(ollama)).flat(), ...(await Promise.all(hub))]
}

async function foundOllama(store: LocalModel['store'], model: StoredOllamaModel, ollama: OllamaStore): Promise<LocalModel> {
  const { name, path: file, adapters } = model
  const local = await found(store, name, [file, ...adapters], await ollama.layers(model))
  return adapters.length > 0 ? { ...local, adapters } : local
}

async function found(store: LocalModel['store'], name: ModelName, paths: readonly string[], layers?: OllamaLayers): Promise<LocalModel> {
  return { ...(await listed(store, name, paths)), layers }
}

async function listed(store: ListedModel['store'], name: ModelName, paths: readonly string[]): Promise<ListedModel> {
  const bytes = (await Promise.all(paths.map(fileBytes))).reduce<number>((sum, each) => sum + (each ?? 0), 0)
  return { name: modelNameText(name), store, path: paths[0]!, bytes }
}

/**
 * The SHA-256 that a file of a store was pulled by, in hex: in its name, as Ollama's store and the Hugging Face cache
 * have it, or in our record of the file. Undefined for a file of which nothing is known.
 */
export async function pulledDigest(file: string, root = storeFolders().own): Promise<string | undefined> {
  const target = await realpath(file).catch(() => file)
  const named = /^(?:sha256-)?([0-9a-f]{64})$/.exec(path.basename(target))
  return named?.[1] ?? (await new OwnStore(root).record(file))?.sha256
}
