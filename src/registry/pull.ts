// From a model somewhere else to a model in our store: what is missing is downloaded under a lock, the name comes last. Owns the order; knows
// neither Ollama nor Hugging Face.

import { MixtralError } from '../base/errors.js'
import { modelNameText, type RemoteName } from './names/modelName.js'
import type { RemoteModel, StoreFile } from './sources/remoteModel.js'
import { find } from './sources/remoteModels.js'
import { findLocalModel, type LocalModel, localModel } from './stores/localModels.js'
import { OwnStore } from './stores/ownStore.js'
import { storeFolders } from './stores/storeFolders.js'
import { hasLock, withLock } from './stores/storeLock.js'
import { type DownloadOptions, download } from './transfer/download.js'
import { checkSpace } from './transfer/freeSpace.js'
import { discardPartial, hasPartial } from './transfer/partialFile.js'
import { fileBytes } from './transfer/storeFiles.js'

export interface PullProgress {
  /** Bytes that are on disk, those of earlier attempts among them. */
  readonly loaded: number
  readonly total: number
}

export interface PullOptions {
  readonly onProgress?: (progress: PullProgress) => void
  /** Ends the pull with an `ABORTED` error; what came is kept for the next one. */
  readonly signal?: AbortSignal
  /** Called once if another process is pulling the same model, with its number: this pull waits for it. */
  readonly onWait?: (pid: number) => void
}

/** Pulls a model of any source; `remote` is what is known of it already. Throws as the sources' own `pull` does. */
export function pullModel(name: RemoteName, options: PullOptions = {}, remote?: RemoteModel) {
  return pull(name, remote ? async () => remote : find, options)
}

/** Pulls a model, unless Ollama or huggingface_hub has it on this machine; returns where it is. `find` asks its source about it. */
export async function pull<N extends RemoteName>(
  name: N,
  find: (name: N, store: OwnStore, signal?: AbortSignal) => Promise<RemoteModel>,
  options: PullOptions = {},
): Promise<LocalModel> {
  checkOptions(options)
  const text = modelNameText(name)
  const folders = storeFolders()
  const local = await findLocalModel(text, folders)
  if (local && local.store !== 'mixtral') return local
  const store = new OwnStore(folders.own)
  await pullRemote(await find(name, store, options.signal), store, options)
  return localModel(text, folders)
}

/** Throws `OPTION` for an option that is not there, or of the wrong kind. */
function checkOptions(options: { readonly [Name in keyof PullOptions]: unknown }): void {
  const kinds = { onProgress: 'function', signal: 'object', onWait: 'function' } as const
  for (const [name, value] of Object.entries(options)) {
    const kind = Object.hasOwn(kinds, name) ? kinds[name as keyof typeof kinds] : undefined
    if (!kind) throw new MixtralError('OPTION', `unknown option ${name}, expected ${Object.keys(kinds).join(', ')}`)
    const wrong = value !== undefined && (kind === 'object' ? !(value instanceof AbortSignal) : typeof value !== kind)
    if (wrong) throw new MixtralError('OPTION', `${name} is not ${kind === 'object' ? 'an AbortSignal' : 'a function'}`)
  }
}

/** Pulls a model that its source has told about. */
async function pullRemote(remote: RemoteModel, store: OwnStore, { onProgress, signal, onWait }: PullOptions = {}): Promise<void> {
  const files = [...remote.extras, ...remote.weights]
  const total = files.reduce((sum, { bytes }) => sum + bytes, 0)
  const absent = []
  for (const file of files) if (!(await isThere(file, remote, store))) absent.push(file)
  await checkSpace(modelNameText(remote.name), store.root, absent)

  let told = false
  const tell = (pid: number) => {
    if (!told) onWait?.(pid)
    told = true
  }
  let before = 0
  for (const file of files) {
    const onLoaded = (loaded: number) => onProgress?.({ loaded: before + loaded, total })
    const untidy = (await hasLock(file.target)) || (await hasPartial(file.target))
    if (absent.includes(file) || untidy)
      await withLock(file.target, { signal, onWait: tell }, () => bring(file, remote, store, { signal, onLoaded }))
    else onLoaded(file.bytes)
    before += file.bytes
  }
  // The name comes last: with it, the model is known to the store.
  const { manifest } = remote
  if (!manifest) return
  const replaced = await withLock(manifest.target, { signal }, () => store.putManifest(manifest.name, manifest.text))
  await store.prune(replaced)
}

/** Downloads one file, unless it is there: another process may have brought it while this one waited, or have been killed before it had tidied up. */
async function bring(file: StoreFile, remote: RemoteModel, store: OwnStore, options: DownloadOptions): Promise<void> {
  if (await isThere(file, remote, store)) {
    await discardPartial(file.target)
    return options.onLoaded?.(file.bytes)
  }
  const { address, bytes, version } = file
  await download(file, file.target, {
    ...options,
    model: modelNameText(remote.name),
    beforeNaming: async (sha256) => {
      if (remote.name.kind === 'ollama') return
      // Beside a new shard, an old one would pass for its sibling: with the first new one the old model ends.
      for (const other of remote.weights) if (!(await isThere(other, remote, store))) await store.removeFiles([other.target])
      await store.replace(file.target, { address, bytes, sha256, version })
    },
  })
}

/** Whether a file is in place. In Ollama's layout its name is its hash; elsewhere the record beside it says what it is. */
async function isThere({ target, bytes, sha256, version }: StoreFile, { name }: RemoteModel, store: OwnStore): Promise<boolean> {
  if ((await fileBytes(target)) !== bytes) return false
  if (name.kind === 'ollama') return true
  const record = await store.record(target)
  return sha256 === undefined ? record?.version === version : record?.sha256 === sha256
}
