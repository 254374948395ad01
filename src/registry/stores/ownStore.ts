// Our own store: the pulled models, and their removal. Ollama models are in Ollama's layout under `ollama/`; files of
// Hugging Face and of addresses keep their names, each beside a record of its origin. Does not download.

import fs from 'node:fs/promises'
import path from 'node:path'
import { MixtralError } from '../../base/errors.js'
import { ioError } from '../../base/files/byteSource.js'
import { fileBytes, filesUnder, readText } from '../../base/files/optionalFiles.js'
import { makePrivateFolder, writeWhole } from '../../base/files/ownFiles.js'
import { limits } from '../../base/limits.js'
import { shardPaths } from '../../format/gguf/shards.js'
import { type HuggingFaceName, isStoredFile, modelNameText, type OllamaName, type RemoteName, type UrlName } from '../names/modelName.js'
import { chooseFiles, shardsOf } from '../names/repositoryFiles.js'
import { addressHash, shownAddress, urlFile } from '../names/urlName.js'
import { discardPartial, listPartials } from '../transfer/partialFile.js'
import { LARGEST_MANIFEST, type OllamaBlob, parseManifest } from './ollamaManifest.js'
import { OllamaStore, type StoredOllamaModel } from './ollamaStore.js'
import { incompleteSets, isFirstShard, namedFolders, validName } from './storedFiles.js'
import { livePull } from './storeLock.js'

/** The origin of a file, and its version. */
export interface FileRecord {
  readonly address: string
  readonly bytes: number
  readonly sha256: string
  readonly version: string | undefined
}

export interface OwnModel {
  readonly name: RemoteName
  /** First shard first; the adapters of an Ollama model behind it. */
  readonly paths: readonly string[]
}

/** A model whose download is not complete. */
export interface UnfinishedModel {
  readonly name: string
  readonly bytes: number
  readonly total: number
}

const RECORD = '.source.json'
const LARGEST_RECORD = limits.record.most

export class OwnStore {
  readonly root: string
  readonly ollama: OllamaStore

  constructor(root: string) {
    this.root = root
    this.ollama = new OllamaStore(path.join(root, 'ollama'))
  }

  /** Makes the folder of the store, for its owner only, unless it is there. Throws `IO`. */
  async make(): Promise<void> {
    await makePrivateFolder(this.root).catch((cause: unknown) => {
      throw ioError('write', this.root, cause)
    })
  }

  /** A model with all its files; undefined if one is missing. */
  async find(name: RemoteName): Promise<OwnModel | undefined> {
    if (name.kind === 'ollama') {
      const model = await this.findOllama(name)
      return model && { name, paths: [model.path, ...model.adapters] }
    }
    const folder = this.folderOf(name)
    const files = name.kind === 'url' ? shardPaths(urlFile(new URL(name.url))) : await this.#choose(folder, name)
    const paths = files?.map((file) => path.join(folder, file))
    return paths && (await all(paths, fileBytes)) ? { name, paths } : undefined
  }

  /**
   * An Ollama model with all its files. One with a damaged manifest is undefined too: the next pull replaces the
   * manifest.
   */
  async findOllama(name: OllamaName): Promise<StoredOllamaModel | undefined> {
    const model = await this.ollama.find(name).catch((error: unknown) => {
      if (error instanceof MixtralError && error.code === 'IO') return undefined
      throw error
    })
    return model && (await all(model.manifest.texts, (blob) => this.ollama.findBlob(blob))) ? model : undefined
  }

  async list(): Promise<OwnModel[]> {
    const names: RemoteName[] = await this.ollama.names()
    for (const [folder, depth] of namedFolders) {
      for (const file of await filesUnder(path.join(this.root, folder), depth)) {
        if (isFirstShard(file)) names.push(...(await this.#nameOf(folder, file)))
      }
    }
    return (await Promise.all(names.map((name) => this.find(name)))).filter((model) => model !== undefined)
  }

  /**
   * Incomplete downloads, by the name that was pulled, and models of which a stopped pull or removal has left a part.
   */
  async unfinished(): Promise<UnfinishedModel[]> {
    const models = new Map<string, UnfinishedModel>()
    for (const { kind, loaded } of await listPartials(this.root)) {
      const [name] = validName(kind.model).map(modelNameText)
      if (name === undefined) continue // not written by this program
      const { bytes, total } = models.get(name) ?? { bytes: 0, total: 0 }
      models.set(name, { name, bytes: bytes + loaded, total: total + kind.bytes })
    }
    for (const name of await this.ollama.names()) {
      const text = modelNameText(name)
      if (models.has(text) || (await this.findOllama(name))) continue
      const { bytes, total } = await this.#left(name)
      if (total > 0) models.set(text, { name: text, bytes, total })
    }
    for (const { name, bytes, total } of await this.#incompleteSets()) if (!models.has(name)) models.set(name, { name, bytes, total })
    return [...models.values()]
  }

  /** The model that a file belongs to, by its place or by the record beside it. */
  async #nameOf(folder: string, file: string): Promise<RemoteName[]> {
    const [owner, repo, revision, ...parts] = file.split('/')
    if (folder === 'huggingface') return validName(`hf:${owner}/${repo}@${revision}/${parts.join('/')}`)
    const record = await this.record(path.join(this.root, folder, file))
    return record ? validName(record.address) : []
  }

  /** Sets of shards with holes, by the names of their models. */
  async #incompleteSets(): Promise<(UnfinishedModel & { readonly paths: readonly string[] })[]> {
    const found = []
    for (const [folder, depth] of namedFolders) {
      for (const { first, files, bytes, total } of await incompleteSets(path.join(this.root, folder), depth)) {
        // Of an address, the record of any shard tells that shard's own; of a repository, the first names the model.
        const [name] = await this.#nameOf(folder, folder === 'url' ? files[0]! : first)
        const paths = files.map((file) => path.join(this.root, folder, file))
        if (name) found.push({ name: modelNameText(name), bytes, total, paths })
      }
    }
    return found
  }

  /**
   * Adds an Ollama model by its manifest, or replaces it. Hold the manifest's lock. Returns the blobs of the old
   * manifest.
   */
  async putManifest(name: OllamaName, text: string): Promise<string[]> {
    const before = await this.#blobsOf(name)
    await writeWhole(this.ollama.manifestPath(name), text)
    return before
  }

  /**
   * Deletes those of these blobs that no model has, one aside, unless a pull is running, which may need them. Returns
   * the bytes freed.
   */
  async prune(blobs: readonly string[], without?: OllamaName): Promise<number> {
    if (blobs.length === 0 || (await livePull(this.root)) !== undefined) return 0
    const used = new Set<string>()
    const ignored = without && modelNameText(without)
    for (const name of await this.ollama.names()) {
      if (modelNameText(name) !== ignored) for (const blob of await this.#blobsOf(name)) used.add(blob)
    }
    return this.removeFiles(blobs.filter((blob) => !used.has(blob)))
  }

  /** The folder of a Hugging Face revision, or of an address and its shards. */
  folderOf(name: HuggingFaceName | UrlName): string {
    if (name.kind === 'huggingface') return path.join(this.root, 'huggingface', name.owner, name.repo, name.revision)
    const url = new URL(name.url)
    return path.join(this.root, 'url', url.host.replaceAll(/[^\w.-]/g, '_'), addressHash(url))
  }

  /** The record of a file from Hugging Face or from an address. */
  async record(file: string): Promise<FileRecord | undefined> {
    const text = await readText(file + RECORD, LARGEST_RECORD)
    try {
      const record = text && JSON.parse(text)
      return typeof record?.address === 'string' ? record : undefined
    } catch {
      return undefined // not written by this program
    }
  }

  /** Deletes the old version of a file and writes the record of the new one. */
  async replace(file: string, record: FileRecord): Promise<void> {
    await removeFile(file) // first: with the new record, the old file would pass for the new one
    await writeWhole(file + RECORD, `${JSON.stringify({ ...record, address: shownAddress(record.address) })}\n`)
  }

  /**
   * Deletes a model, complete or not, with the blobs that no other model has. Returns the bytes freed. Throws `IO` if
   * the store has nothing of it.
   */
  async remove(name: RemoteName): Promise<number> {
    const text = modelNameText(name)
    const partials = (await listPartials(this.root)).filter(({ kind }) => kind.model === text)
    const model = await this.find(name)
    const stored = name.kind === 'ollama' ? ((await this.findOllama(name))?.name ?? name) : undefined
    const blobs = stored ? await this.#blobsOf(stored) : []
    const sets = (await this.#incompleteSets()).filter((set) => set.name === text)
    if (!model && partials.length === 0 && blobs.length === 0 && sets.length === 0)
      throw new MixtralError('IO', `no model ${text} in ${this.root}`)
    let freed = 0
    for (const { file, loaded } of partials) {
      await discardPartial(file)
      await this.#removeEmptyFolders(file)
      freed += loaded
      // Complete shards of an incomplete set are no model, and nothing would find them again.
      const shards = shardsOf(file).map(path.normalize)
      if (!(await all(shards, fileBytes))) freed += await this.removeFiles(shards)
    }
    for (const { paths } of sets) freed += await this.removeFiles(paths)
    if (!stored) return freed + (await this.removeFiles(model?.paths ?? []))
    // The manifest is last: it finds the blobs of a removal that was stopped.
    freed += await this.prune(blobs, stored)
    await this.removeFiles([this.ollama.manifestPath(stored)])
    return freed
  }

  /** Deletes files and their records. Returns the bytes freed. */
  async removeFiles(files: readonly string[]): Promise<number> {
    let freed = 0
    for (const file of files) {
      freed += (await fileBytes(file)) ?? 0
      await removeFile(file)
      await removeFile(file + RECORD)
      await this.#removeEmptyFolders(file)
    }
    return freed
  }

  /** The blobs in a model's manifest; empty without a manifest, or with a damaged one. */
  async #blobs(name: OllamaName): Promise<OllamaBlob[]> {
    try {
      const text = await readText(this.ollama.manifestPath(name), LARGEST_MANIFEST)
      if (text === undefined) return []
      const { config, model, adapters, texts } = parseManifest(text, modelNameText(name))
      return [config, model, ...adapters, ...texts]
    } catch {
      return []
    }
  }

  /** Their paths. */
  async #blobsOf(name: OllamaName): Promise<string[]> {
    return (await this.#blobs(name)).map((blob) => this.ollama.blobPath(blob))
  }

  /** The bytes of a model's blobs that are there, and of all. */
  async #left(name: OllamaName): Promise<{ bytes: number; total: number }> {
    let [bytes, total] = [0, 0]
    for (const blob of await this.#blobs(name)) {
      total += blob.bytes
      if ((await this.ollama.findBlob(blob)) !== undefined) bytes += blob.bytes
    }
    return { bytes, total }
  }

  /** The files that a name asks for; undefined if the folder lacks them. */
  async #choose(folder: string, name: HuggingFaceName): Promise<string[] | undefined> {
    const files = (await filesUnder(folder, limits.repositoryFolders.most)).filter(isStoredFile)
    try {
      return chooseFiles(files, name)
    } catch (error) {
      if (error instanceof MixtralError && error.code === 'IO') return undefined
      throw error
    }
  }

  async #removeEmptyFolders(file: string): Promise<void> {
    for (let folder = path.dirname(file); folder.startsWith(this.root + path.sep); folder = path.dirname(folder)) {
      try {
        await fs.rmdir(folder)
      } catch {
        return // not empty
      }
    }
  }
}

async function all<T>(items: readonly T[], check: (item: T) => Promise<unknown>): Promise<boolean> {
  return (await Promise.all(items.map(check))).every((result) => result !== undefined)
}

async function removeFile(file: string): Promise<void> {
  await fs.rm(file, { force: true }).catch((cause: unknown) => {
    throw ioError('delete', file, cause)
  })
}
