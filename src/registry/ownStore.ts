// Our own store: where pulled models lie, and what is in it. Ollama models are in Ollama's layout under `ollama/`; files of Hugging Face and of
// addresses keep their names, each beside a record of where it came from. Does not download.

import { createHash } from 'node:crypto'
import fs from 'node:fs/promises'
import path from 'node:path'
import { MixtralError } from '../errors.js'
import { ioError } from '../gguf/byteSource.js'
import { shardPaths } from '../gguf/shards.js'
import { chooseGgufFiles } from './ggufFiles.js'
import {
  type HuggingFaceName,
  isSafeFile,
  modelNameText,
  type OllamaName,
  parseModelName,
  type RemoteName,
  type UrlName,
  urlFile,
} from './modelName.js'
import { LARGEST_MANIFEST, parseManifest } from './ollamaManifest.js'
import { OllamaStore } from './ollamaStore.js'
import { fileBytes, filesUnder, readText, writeWhole } from './storeFiles.js'

/** Where a file came from, and what it is. */
export interface FileRecord {
  readonly address: string
  readonly bytes: number
  readonly sha256: string
  readonly version: string | undefined
}

export interface OwnModel {
  readonly name: RemoteName
  /** First shard first. */
  readonly paths: readonly string[]
}

const RECORD = '.source.json'
const LARGEST_RECORD = 65_536

export class OwnStore {
  readonly root: string
  readonly ollama: OllamaStore

  constructor(root: string) {
    this.root = root
    this.ollama = new OllamaStore(path.join(root, 'ollama'))
  }

  /** A model all of whose files are there. */
  async find(name: RemoteName): Promise<OwnModel | undefined> {
    if (name.kind === 'ollama') {
      const model = await this.ollama.find(name)
      return model && { name, paths: [model.path] }
    }
    const folder = this.folderOf(name)
    const files = name.kind === 'url' ? shardPaths(urlFile(new URL(name.url))) : await this.#choose(folder, name)
    const paths = files?.map((file) => path.join(folder, file))
    return paths && (await all(paths, fileBytes)) ? { name, paths } : undefined
  }

  async list(): Promise<OwnModel[]> {
    const names: RemoteName[] = await this.ollama.names()
    for (const file of await filesUnder(path.join(this.root, 'huggingface'), 6)) {
      const [owner, repo, revision, ...parts] = file.split('/')
      if (isFirstShard(file)) names.push(...validName(`hf:${owner}/${repo}@${revision}/${parts.join('/')}`))
    }
    for (const file of await filesUnder(path.join(this.root, 'url'), 2)) {
      if (!isFirstShard(file)) continue
      const record = await this.record(path.join(this.root, 'url', file))
      if (record) names.push(...validName(record.address))
    }
    return (await Promise.all(names.map((name) => this.find(name)))).filter((model) => model !== undefined)
  }

  /** Where the files of a Hugging Face revision, or of an address and its shards, lie. */
  folderOf(name: HuggingFaceName | UrlName): string {
    if (name.kind === 'huggingface') return path.join(this.root, 'huggingface', name.owner, name.repo, name.revision)
    const url = new URL(name.url)
    const base = url.href.slice(0, url.href.lastIndexOf('/', url.href.length - url.search.length)) + url.search
    return path.join(this.root, 'url', url.host.replaceAll(/[^\w.-]/g, '_'), createHash('sha256').update(base).digest('hex').slice(0, 16))
  }

  /** What is known of a file of Hugging Face or of an address. */
  async record(file: string): Promise<FileRecord | undefined> {
    const text = await readText(file + RECORD, LARGEST_RECORD)
    try {
      const record = text && JSON.parse(text)
      return typeof record?.address === 'string' ? record : undefined
    } catch {
      return undefined // what is not ours we do not read
    }
  }

  /** Makes way for a new file, and says what it will be. */
  async replace(file: string, record: FileRecord): Promise<void> {
    await removeFile(file) // first: under the new record it would pass for the new one
    await writeWhole(file + RECORD, `${JSON.stringify(record)}\n`)
  }

  /** Deletes a model and the blobs that no other model has. Returns the bytes freed. Throws `IO` if it is not in this store. */
  async remove(name: RemoteName): Promise<number> {
    const model = await this.find(name)
    if (!model) throw new MixtralError('IO', `no model ${modelNameText(name)} in ${this.root}`)
    const files = name.kind === 'ollama' ? await this.#removable(name) : model.paths
    if (name.kind === 'ollama') await removeFile(this.ollama.manifestPath(name))
    let freed = 0
    for (const file of files) {
      freed += (await fileBytes(file)) ?? 0
      await removeFile(file)
      await removeFile(file + RECORD)
    }
    for (const file of name.kind === 'ollama' ? [this.ollama.manifestPath(name), ...files] : files) await this.#removeEmptyFolders(file)
    return freed
  }

  /** The blobs of a model that no other one shares. */
  async #removable(name: OllamaName): Promise<string[]> {
    const shared = new Set<string>()
    const own: string[] = []
    for (const other of await this.ollama.names()) {
      const file = this.ollama.manifestPath(other)
      const { config, model, texts } = parseManifest((await readText(file, LARGEST_MANIFEST))!, modelNameText(other))
      for (const blob of [config, model, ...texts]) {
        const blobPath = this.ollama.blobPath(blob)
        if (modelNameText(other) === modelNameText(name)) own.push(blobPath)
        else shared.add(blobPath)
      }
    }
    return own.filter((file) => !shared.has(file))
  }

  /** What `find` should look for: nothing where the folder has no such file. */
  async #choose(folder: string, name: HuggingFaceName): Promise<string[] | undefined> {
    const files = (await filesUnder(folder, 4)).filter(isSafeFile)
    try {
      return chooseGgufFiles(files, name)
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

/** Whether a file of the store is a model, or the first of its shards. */
function isFirstShard(file: string): boolean {
  return isSafeFile(file) && !/-(?!00001)\d{5}-of-\d{5}\.gguf$/.test(file)
}

async function all<T>(items: readonly T[], check: (item: T) => Promise<unknown>): Promise<boolean> {
  return (await Promise.all(items.map(check))).every((result) => result !== undefined)
}

async function removeFile(file: string): Promise<void> {
  await fs.rm(file, { force: true }).catch((cause: unknown) => {
    throw ioError('delete', file, cause)
  })
}

function validName(text: string): RemoteName[] {
  try {
    const name = parseModelName(text)
    return name.kind === 'demo' || name.kind === 'path' ? [] : [name]
  } catch {
    return []
  }
}
