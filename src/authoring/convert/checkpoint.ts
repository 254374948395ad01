// A folder with the weights of a checkpoint: one safetensors file, or shards with an index. Owns which files those are,
// and checks that the index agrees with them. Holds the files open; does not know what the tensors mean.

import fs from 'node:fs/promises'
import path from 'node:path'
import { quoted } from '../../base/errors.js'
import { FileSource, ioError } from '../../base/files/byteSource.js'
import { limits } from '../../base/limits.js'
import { checkpointError, unsupported } from '../../format/tensors/checkpointError.js'
import { JsonObject } from '../../format/tensors/jsonObject.js'
import { readSafetensors, type SourceTensor } from '../../format/tensors/safetensors.js'

const LONGEST_INDEX = limits.index.most
const MOST_SHARDS = limits.checkpointShards.most

export class Checkpoint {
  readonly folder: string
  /** The names of the files in the folder. */
  readonly files: ReadonlySet<string>
  /** Files that are links out of the checkpoint, and where to. */
  readonly #linksOut: ReadonlyMap<string, string>
  /** `huggingface` as transformers writes them, `consolidated` as Mistral AI first publishes them. */
  readonly layout: 'huggingface' | 'consolidated'
  readonly tensors: ReadonlyMap<string, SourceTensor>
  /** What is odd about the files. */
  readonly notes: readonly string[]
  readonly #sources: readonly FileSource[]

  private constructor(
    folder: string,
    files: ReadonlySet<string>,
    links: ReadonlyMap<string, string>,
    layout: Checkpoint['layout'],
    tensors: ReadonlyMap<string, SourceTensor>,
    notes: readonly string[],
    sources: readonly FileSource[],
  ) {
    this.folder = folder
    this.files = files
    this.#linksOut = links
    this.layout = layout
    this.tensors = tensors
    this.notes = notes
    this.#sources = sources
  }

  /**
   * Opens the weights in a folder. The caller closes it. Throws `IO`, `CHECKPOINT` if they are malformed or incomplete,
   * and `UNSUPPORTED` for pickled ones.
   */
  static async open(folder: string): Promise<Checkpoint> {
    const entries = await fs.readdir(folder, { withFileTypes: true }).catch((cause: unknown) => {
      throw ioError('open', folder, cause)
    })
    const files = new Set(entries.map(({ name }) => name))
    const links = entries.filter((entry) => entry.isSymbolicLink()).map(({ name }) => name)
    const has = (stem: string) => files.has(`${stem}.safetensors`) || files.has(`${stem}.safetensors.index.json`)
    // Some folders have both; the files of transformers are enough.
    const layout = !has('model') && has('consolidated') && files.has('params.json') ? 'consolidated' : 'huggingface'
    const stem = layout === 'huggingface' ? 'model' : 'consolidated'
    if (!has(stem)) throw noWeights(folder, [...files], stem)
    const index = `${stem}.safetensors.index.json`
    const single = `${stem}.safetensors`
    // As for transformers, a single file goes first: an index beside it is of older shards.
    const places = files.has(index) && !files.has(single) ? await readIndex(path.join(folder, index)) : undefined
    const notes = files.has(index) && files.has(single) ? [`${single} is taken, and ${index} beside it is not`] : []

    const sources: FileSource[] = []
    try {
      const tensors = new Map<string, SourceTensor>()
      for (const file of places ? new Set(places.values()) : [single]) {
        const source = await FileSource.open(path.join(folder, file))
        sources.push(source)
        for (const tensor of await readSafetensors(source)) {
          if (!places || places.get(tensor.name) === file) tensors.set(tensor.name, tensor)
        }
      }
      for (const [name, file] of places ?? []) {
        if (!tensors.has(name))
          throw checkpointError(path.join(folder, file), `has no tensor ${quoted(name)}, which ${index} says is in it`)
      }
      return new Checkpoint(folder, files, await linksOut(folder, links), layout, tensors, notes, sources)
    } catch (error) {
      for (const source of sources) await source.close()
      throw error
    }
  }

  /**
   * The path of a file of which texts become part of the model, or undefined if the folder does not have it. Throws
   * `CHECKPOINT` for a link out of the checkpoint: it would publish a file that is none of it.
   */
  path(name: string): string | undefined {
    refuseLinkOut(this.folder, name, this.#linksOut)
    return this.files.has(name) ? path.join(this.folder, name) : undefined
  }

  /**
   * The names and paths of the files with an ending in a folder of the checkpoint, sorted; none without the folder.
   * Throws `IO`, and `CHECKPOINT` as `path` does.
   */
  async filesIn(folder: string, ending: string): Promise<{ readonly name: string; readonly path: string }[]> {
    const inside = this.path(folder)
    if (inside === undefined) return []
    const entries = await fs.readdir(inside, { withFileTypes: true }).catch((cause: NodeJS.ErrnoException) => {
      if (cause.code === 'ENOTDIR') return []
      throw ioError('open', inside, cause)
    })
    // Files whose names begin with a dot are those of file managers.
    const wanted = entries.filter((entry) => entry.name.endsWith(ending) && !entry.name.startsWith('.') && !entry.isDirectory())
    const links = wanted.filter((entry) => entry.isSymbolicLink()).map(({ name }) => path.join(folder, name))
    const out = await linksOut(this.folder, links)
    return wanted
      .map(({ name }) => {
        refuseLinkOut(this.folder, path.join(folder, name), out)
        return { name, path: path.join(inside, name) }
      })
      .sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  async close(): Promise<void> {
    for (const source of this.#sources) await source.close()
  }
}

function refuseLinkOut(folder: string, name: string, linksOut: ReadonlyMap<string, string>): void {
  const target = linksOut.get(name)
  if (target === undefined) return
  const problem = `a link to ${target}, outside of the checkpoint, expected a file: its text would become part of the model`
  throw checkpointError(path.join(folder, name), problem)
}

/** The file of each tensor. Only plain names are allowed, so that an index cannot refer to other folders. */
async function readIndex(file: string): Promise<Map<string, string>> {
  const index = await JsonObject.read(file, LONGEST_INDEX)
  const weightMap = index.object('weight_map') ?? index.refuse('weight_map', 'an object of tensors and their files')
  const places = new Map<string, string>()
  for (const name of weightMap.keys) {
    const shard = weightMap.string(name) ?? weightMap.refuse(name, 'the name of a file')
    if (!/^[\w.-]+\.safetensors$/.test(shard)) weightMap.refuse(name, 'the name of a safetensors file beside the index')
    places.set(name, shard)
  }
  const shards = new Set(places.values()).size
  if (shards < 1 || shards > MOST_SHARDS) throw checkpointError(file, `names ${shards} files, expected 1 to ${MOST_SHARDS}`)
  return places
}

/** Those links that lead to another place than the folder, or than the blobs of its cache if it is a hub's snapshot. */
async function linksOut(folder: string, links: readonly string[]): Promise<Map<string, string>> {
  const home = await fs.realpath(folder).catch((cause: unknown) => {
    throw ioError('open', folder, cause)
  })
  const inSnapshots = path.basename(path.dirname(home)) === 'snapshots'
  const roots = inSnapshots ? [home, path.join(path.dirname(path.dirname(home)), 'blobs')] : [home]
  const out = new Map<string, string>()
  for (const name of links) {
    const target = await fs.realpath(path.join(folder, name)).catch(() => undefined) // opening it says that it is broken
    if (target !== undefined && !roots.some((root) => target.startsWith(root + path.sep))) out.set(name, target)
  }
  return out
}

function noWeights(folder: string, files: readonly string[], stem: string): Error {
  const expected = `expected ${stem}.safetensors, or its shards and ${stem}.safetensors.index.json`
  const pickled = files.find((file) => /\.(bin|pt|pth|ckpt)$/.test(file))
  if (pickled) return unsupported(folder, `${quoted(pickled)} is a pickle, which is a program and not data, ${expected}`)
  const adapter = files.find((file) => file.startsWith('adapter_'))
  if (adapter) return unsupported(folder, `${quoted(adapter)} belongs to an adapter, ${expected} of a whole model`)
  return checkpointError(folder, `no weights, ${expected}`)
}
