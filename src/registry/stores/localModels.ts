// A name to the files of a model on this machine, wherever they lie: a path, the shipped demo, our store, Ollama's, the Hugging Face cache. Owns
// the order in which they are looked at. Never writes and never asks the network.

import { statSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { MixtralError } from '../../base/errors.js'
import { quoted } from '../../format/gguf/ggufError.js'
import { shardPaths } from '../../format/gguf/shards.js'
import { type ModelName, modelNameText, parseModelName } from '../names/modelName.js'
import { didYouMean, wellKnownNames } from '../names/nearNames.js'
import { fileBytes, filesUnder } from '../transfer/storeFiles.js'
import { findInHuggingFaceCache, listHuggingFaceCache } from './huggingFaceCache.js'
import type { OllamaLayers } from './ollamaLayers.js'
import { OllamaStore } from './ollamaStore.js'
import { OwnStore } from './ownStore.js'
import { type StoreFolders, storeFolders } from './storeFolders.js'

export interface LocalModel {
  /** Finds it again. */
  readonly name: string
  /** Whose it is: only models in the `mixtral` store can be removed with this program. */
  readonly store: 'file' | 'mixtral' | 'ollama' | 'huggingface'
  /** Of the GGUF, or of its first shard. */
  readonly path: string
  /** Of all shards. */
  readonly bytes: number
  /** What an Ollama model brings beside its weights. */
  readonly layers?: OllamaLayers
}

/** Reads a name, in which the path of an existing file goes before everything else. Throws `IO` if it can be no name. */
export function readModelName(text: string): ModelName {
  return text !== 'demo' && isFile(text) ? { kind: 'path', path: text } : parseModelName(text)
}

function isFile(text: string): boolean {
  try {
    return statSync(text).isFile()
  } catch {
    return false // also for what can be no path
  }
}

/** The model of this name if it is on this machine. Throws `IO` for a name that is none, and for a path that leads nowhere. */
export async function findLocalModel(text: string, folders: StoreFolders = storeFolders()): Promise<LocalModel | undefined> {
  const name = readModelName(text)
  switch (name.kind) {
    case 'demo':
      return inStore('file', name, [fileURLToPath(new URL('../../../models/tiny-mixtral.Q4_K_M.gguf', import.meta.url))])
    case 'path':
      if ((await fileBytes(name.path)) === undefined) throw await noFile(name.path)
      return { ...(await inStore('file', name, shardPaths(name.path))), path: name.path }
    case 'ollama': {
      const own = new OwnStore(folders.own)
      const mine = await own.findOllama(name)
      if (mine) return { ...(await inStore('mixtral', name, [mine.path])), layers: await own.ollama.layers(mine) }
      for (const ollama of folders.ollama.map((root) => new OllamaStore(root))) {
        const model = await ollama.find(name)
        if (model) return { ...(await inStore('ollama', name, [model.path])), layers: await ollama.layers(model) }
      }
      return undefined
    }
    case 'huggingface': {
      const own = await new OwnStore(folders.own).find(name)
      if (own) return inStore('mixtral', name, own.paths)
      const cached = await findInHuggingFaceCache(folders.huggingFace, name)
      return cached && inStore('huggingface', name, cached.paths)
    }
    case 'url': {
      const own = await new OwnStore(folders.own).find(name)
      return own && inStore('mixtral', name, own.paths)
    }
  }
}

async function noFile(file: string): Promise<MixtralError> {
  const there = await stat(file).catch(() => undefined)
  if (there)
    return new MixtralError('IO', `${quoted(file)} is ${there.isDirectory() ? 'a folder' : 'no regular file'}, expected a GGUF file`)
  const folder = path.dirname(file)
  const others = (await filesUnder(folder, 0)).filter((other) => /\.gguf$/i.test(other))
  return new MixtralError('IO', `no file ${quoted(file)}${didYouMean(path.basename(file), others)}`)
}

/** The model of this name. Throws `IO` if it is not on this machine, with near names and how to get it. */
export async function localModel(text: string, folders: StoreFolders = storeFolders()): Promise<LocalModel> {
  const model = await findLocalModel(text, folders)
  if (model) return model
  const name = modelNameText(readModelName(text))
  const near = didYouMean(name, [...wellKnownNames, ...(await listLocalModels(folders)).map((other) => other.name)])
  throw new MixtralError('IO', `no model ${quoted(name)} on this machine: \`mixtral pull ${name}\` fetches it${near}`)
}

/** All models in the three stores, without the demo; one that cannot be read is left out. */
export async function listLocalModels(folders: StoreFolders = storeFolders()): Promise<LocalModel[]> {
  const own = (await new OwnStore(folders.own).list()).map(({ name, paths }) => inStore('mixtral', name, paths))
  const ollama = folders.ollama.map(async (root) => {
    const store = new OllamaStore(root)
    // Ollama runs more than can run here, such as vision models: those are not ours to judge.
    const models = (await store.names()).map((name) => store.find(name).catch(() => undefined))
    return Promise.all((await Promise.all(models)).flatMap((model) => (model ? [inStore('ollama', model.name, [model.path])] : [])))
  })
  const hub = (await listHuggingFaceCache(folders.huggingFace)).map(({ name, paths }) => inStore('huggingface', name, paths))
  return [...(await Promise.all(own)), ...(await Promise.all(ollama)).flat(), ...(await Promise.all(hub))]
}

async function inStore(store: LocalModel['store'], name: ModelName, paths: readonly string[]): Promise<LocalModel> {
  const bytes = (await Promise.all(paths.map(fileBytes))).reduce<number>((sum, each) => sum + (each ?? 0), 0)
  return { name: modelNameText(name), store, path: paths[0]!, bytes }
}
