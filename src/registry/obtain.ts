// A model by any name: looked up on this machine, once, else found at its source, and pulled if the caller agrees after
// a look at its header. Owns the order and the list of sources. Reports through callbacks; prints nothing, and does not
// know what the model is for.

import { abortedError, MixtralError } from '../base/errors.js'
import { limits } from '../base/limits.js'
import type { Gguf } from '../format/gguf/gguf.js'
import { openGgufs } from '../format/gguf/openGguf.js'
import { isPeftFile, type ModelName, modelNameText, type RemoteName } from './names/modelName.js'
import { type PullOptions, pullModel } from './pull.js'
import { findHuggingFaceModel } from './sources/huggingFace.js'
import { findOllamaModel } from './sources/ollamaRegistry.js'
import { findUrlModel } from './sources/plainUrl.js'
import { openRemoteGgufs, type RemoteModel, readRemoteText, remoteBytes } from './sources/remoteModel.js'
import { findLocalModel, type LocalModel, listLocalModels, meantModel, readModelName } from './stores/localModels.js'
import type { OllamaLayers } from './stores/ollamaLayers.js'
import { OwnStore } from './stores/ownStore.js'
import { storeFolders } from './stores/storeFolders.js'

/** What a model says about itself, without its weights. */
export interface ModelHeader {
  /** The shortest name of the model. */
  readonly name: string
  readonly gguf: Gguf
  /** Bytes of all its files. */
  readonly bytes: number
  /** Undefined unless it is an Ollama model. */
  readonly layers: OllamaLayers | undefined
  /** The LoRA adapters of an Ollama model. */
  readonly adapters: readonly Gguf[]
  /** Undefined if the model is not on this machine. */
  readonly local: LocalModel | undefined
}

export interface ObtainOptions extends PullOptions {
  /** Whether to ask the source for a newer version of a model in our own store. Default: false. */
  readonly update?: boolean
  /** Called before the weights of a model that is not on this machine are downloaded. What it throws ends the call. */
  readonly beforePull?: (header: ModelHeader) => void | Promise<void>
  /** Called in place of it for a PEFT adapter. Default: such an adapter is refused. */
  readonly beforeAdapter?: (adapter: RemotePeft) => void | Promise<void>
}

/** A PEFT adapter that is not on this machine. */
export interface RemotePeft extends Pick<ModelHeader, 'name' | 'bytes'> {
  /** Fetches its adapter_config.json. */
  readonly readConfig: () => Promise<string>
}

/**
 * The model of this name on this machine, pulled into our store if it is not there yet; or, where the caller takes
 * them, the PEFT adapter, by the path of its configuration. Throws `IO` for a name without a model, a network or disk
 * that fails; `UNSUPPORTED` for Ollama layers that cannot be used; `GGUF` for a malformed header; `MODEL` for an
 * adapter that the caller does not take; `ABORTED`; and what `beforePull` and `beforeAdapter` throw.
 * @example const model = await MixtralModel.load(await obtainModel('mixtral:8x7b', { onProgress }))
 */
export async function obtainModel(model: string | RemoteName, options: ObtainOptions = {}): Promise<LocalModel> {
  const { update = false, beforePull, beforeAdapter, ...pullOptions } = options
  const { signal } = pullOptions
  const name = typeof model === 'string' ? readModelName(model) : model
  const here = await findLocalModel(update ? name : model) // an update is of a name: nobody pulls a folder
  const local = here && !beforeAdapter && mayHideModel(here, name) ? undefined : here
  if (signal?.aborted) throw abortedError(signal)
  if (local && !beforeAdapter) refuseAdapter(local.path, local.name)
  if (local && !(update && local.store === 'mixtral')) return local
  const store = new OwnStore(storeFolders().own)
  // The demo and paths never get here: they are local, or have thrown.
  const remote = await (local ? findRemoteModel : findAbsentModel)(name as RemoteName, store, signal)
  if (!beforeAdapter) refuseAdapter(remote.weights[0]!.target, modelNameText(remote.name))
  if (!local) {
    const [first] = remote.weights
    if (beforeAdapter && isPeftFile(first!.target)) {
      const readConfig = () => readRemoteText(first!, limits.config.most, signal)
      await beforeAdapter({ name: modelNameText(remote.name), bytes: remoteBytes(remote), readConfig })
    } else await beforePull?.(await remoteHeader(remote, signal))
  }
  const pulled = await pullModel(remote, store, pullOptions)
  if (pulled) return pulled
  throw new MixtralError('IO', `${modelNameText(name)} was pulled, but is not in ${store.root}: another process has removed it`)
}

/**
 * The header of a model of any name: read from the disk, or from its source through HTTP ranges. Throws what
 * `obtainModel` throws.
 */
export async function readModelHeader(text: string, signal?: AbortSignal): Promise<ModelHeader> {
  const name = readModelName(text)
  const here = await findLocalModel(text)
  const local = here && mayHideModel(here, name) ? undefined : here
  if (signal?.aborted) throw abortedError(signal)
  if (!local) return remoteHeader(await findAbsentModel(name as RemoteName, new OwnStore(storeFolders().own), signal), signal)
  refuseAdapter(local.path, local.name)
  const [gguf, ...adapters] = await openGgufs([local.path, ...(local.adapters ?? [])], signal)
  return { name: local.name, gguf: gguf!, bytes: local.bytes, layers: local.layers, adapters, local }
}

async function remoteHeader(remote: RemoteModel, signal: AbortSignal | undefined): Promise<ModelHeader> {
  refuseAdapter(remote.weights[0]!.target, modelNameText(remote.name))
  const [gguf, ...adapters] = await openRemoteGgufs(remote, signal)
  const layers = await remote.readLayers?.()
  return { name: modelNameText(remote.name), gguf: gguf!, bytes: remoteBytes(remote), layers, adapters, local: undefined }
}

/** Whether an adapter was found where the repository may have a model, too, which is not on this machine. */
function mayHideModel({ path }: LocalModel, name: ModelName): boolean {
  return isPeftFile(path) && name.kind === 'huggingface' && name.file === undefined
}

/** Throws `MODEL` for a PEFT adapter, which has no header of a model. */
function refuseAdapter(file: string, name: string): void {
  if (isPeftFile(file))
    throw new MixtralError('MODEL', `${name} is a LoRA adapter in PEFT's form, expected a model, to which it can be added`)
}

/** Finds a model that is not on this machine. An error that names no near models names near ones on this machine. */
async function findAbsentModel(name: RemoteName, store: OwnStore, signal?: AbortSignal): Promise<RemoteModel> {
  return findRemoteModel(name, store, signal).catch(async (error: unknown) => {
    if (!(error instanceof MixtralError) || error.code !== 'IO' || error.message.includes('did you mean')) throw error
    const here = (await listLocalModels()).map((other) => other.name)
    const near = meantModel(modelNameText(name), here)
    throw near === '' ? error : new MixtralError('IO', error.message + near, { cause: error })
  })
}

function findRemoteModel(name: RemoteName, store: OwnStore, signal?: AbortSignal): Promise<RemoteModel> {
  if (name.kind === 'ollama') return findOllamaModel(name, store, signal)
  return name.kind === 'huggingface' ? findHuggingFaceModel(name, store, signal) : findUrlModel(name, store, signal)
}
