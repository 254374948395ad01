// A folder in Ollama's layout, `manifests/HOST/NAMESPACE/MODEL/TAG` and `blobs/sha256-HEX`: Ollama's own store, or the
// Ollama part of ours. Writes nothing.

import path from 'node:path'
import { MixtralError } from '../../base/errors.js'
import { fileBytes, filesUnder, readText } from '../../base/files/optionalFiles.js'
import { modelNameText, type OllamaName, parseModelName } from '../names/modelName.js'
import { type OllamaLayers, readLayers } from './ollamaLayers.js'
import { LARGEST_MANIFEST, LARGEST_TEXT, type OllamaBlob, type OllamaManifest, parseManifest } from './ollamaManifest.js'

export interface StoredOllamaModel {
  readonly name: OllamaName
  readonly manifest: OllamaManifest
  /** Path of the GGUF. */
  readonly path: string
  /** Paths of its LoRA adapters. */
  readonly adapters: readonly string[]
}

export class OllamaStore {
  readonly root: string

  constructor(root: string) {
    this.root = root
  }

  /**
   * A model with its manifest, weights and adapters; undefined if one is missing. Throws `IO` for a malformed manifest.
   */
  async find(name: OllamaName): Promise<StoredOllamaModel | undefined> {
    const stored = await this.#stored(name)
    if (!stored) return undefined
    const manifest = parseManifest(stored.text, modelNameText(stored.name))
    const [file, ...adapters] = await Promise.all([manifest.model, ...manifest.adapters].map((blob) => this.findBlob(blob)))
    if (file === undefined || adapters.includes(undefined)) return undefined
    return { name: stored.name, manifest, path: file, adapters: adapters as string[] }
  }

  /** The manifest of a name as it is written, or of one that differs in case only: to Ollama they are the same. */
  async #stored(name: OllamaName): Promise<{ name: OllamaName; text: string } | undefined> {
    const read = async (each: OllamaName) => {
      const text = await readText(this.manifestPath(each), LARGEST_MANIFEST)
      return text === undefined ? undefined : { name: each, text }
    }
    const exact = await read(name)
    if (exact) return exact
    const wanted = modelNameText(name).toLowerCase()
    const other = (await this.names()).find((each) => modelNameText(each).toLowerCase() === wanted)
    return other && read(other)
  }

  /** Names with a manifest, complete or not. */
  async names(): Promise<OllamaName[]> {
    const files = await filesUnder(path.join(this.root, 'manifests'), 3)
    return files.flatMap((file) => {
      const [host, namespace, model, tag, ...more] = file.split('/')
      if (!tag || more.length > 0) return []
      try {
        const name = parseModelName(`${host!.replace('%3A', ':')}/${namespace}/${model}:${tag}`)
        return name.kind === 'ollama' ? [name] : []
      } catch {
        return [] // a draft, or a file of a file manager
      }
    })
  }

  /** Reads the texts of a model. Throws `IO` if one is missing. */
  layers({ name, manifest }: StoredOllamaModel): Promise<OllamaLayers> {
    const where = modelNameText(name)
    return readLayers(manifest.texts, where, async (blob) => {
      const file = await this.findBlob(blob)
      const text = file && (await readText(file, LARGEST_TEXT))
      if (text === undefined)
        throw new MixtralError('IO', `${where}: its ${blob.kind} is missing in ${this.root}, expected blob ${blob.digest}`)
      return text
    })
  }

  /** On Windows the colon of a host such as `localhost:5000` is encoded: file names there have none. */
  manifestPath({ host, namespace, model, tag }: OllamaName): string {
    const folder = process.platform === 'win32' ? host.replace(':', '%3A') : host
    return path.join(this.root, 'manifests', folder, namespace, model, tag)
  }

  blobPath({ digest }: OllamaBlob): string {
    return path.join(this.root, 'blobs', digest.replace(':', '-'))
  }

  /** The file of a blob, by its current name or the old one with a colon; undefined if there is none of its size. */
  async findBlob(blob: OllamaBlob): Promise<string | undefined> {
    for (const file of [this.blobPath(blob), path.join(this.root, 'blobs', blob.digest)]) {
      if ((await fileBytes(file)) === blob.bytes) return file
    }
    return undefined
  }
}
