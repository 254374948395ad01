// Pulls a model that its source has described into our store: downloads the missing files, each under its lock, then
// gives the model its name. Owns this order; knows neither Ollama nor Hugging Face.

import { stat } from 'node:fs/promises'
import { fileBytes } from '../base/files/optionalFiles.js'
import { checkDiskSpace } from '../base/files/outputChecks.js'
import { modelNameText } from './names/modelName.js'
import type { RemoteModel, StoreFile } from './sources/remoteModel.js'
import type { OwnStore } from './stores/ownStore.js'
import { hasLock, withLock } from './stores/storeLock.js'
import { type DownloadOptions, download } from './transfer/download.js'
import { discardPartial, hasPartial, partialOf } from './transfer/partialFile.js'

export interface PullProgress {
  /** Bytes on disk, those of earlier attempts included. */
  readonly loaded: number
  readonly total: number
  /** The file that is downloaded now. */
  readonly file: {
    readonly name: string
    /** Bytes of it on disk. */
    readonly loaded: number
    readonly total: number
    /** In hex; undefined if the source does not tell it. */
    readonly sha256: string | undefined
  }
}

export interface PullOptions {
  readonly onProgress?: (progress: PullProgress) => void
  /** Ends the pull with an `ABORTED` error. The next pull resumes the partial download. */
  readonly signal?: AbortSignal
  /** Called once, with the process's number, if this pull waits for another process that pulls the same model. */
  readonly onWait?: (pid: number) => void
  /** Called once if the source names no SHA-256 of a file, so that nobody can tell whether it is the right one. */
  readonly onUnverified?: () => void
}

/**
 * Downloads what is missing of a model. Throws `IO` for a network or disk that fails, or a disk that is too small,
 * before a byte is downloaded; `ABORTED`.
 */
export async function pullModel(remote: RemoteModel, store: OwnStore, options: PullOptions = {}): Promise<void> {
  const { onProgress, signal, onWait, onUnverified } = options
  const files = [...remote.extras, ...remote.weights]
  const total = files.reduce((sum, { bytes }) => sum + bytes, 0)
  const absent = []
  for (const file of files) if (!(await isComplete(file, remote, store))) absent.push(file)
  await store.make()
  await checkSpace(remote, store.root, absent)

  let reported = false
  const reportOnce = (pid: number) => {
    if (!reported) onWait?.(pid)
    reported = true
  }
  if (files.some(({ sha256 }) => sha256 === undefined)) onUnverified?.()
  /** Files that this pull has downloaded: those without a version can be known in no other way. */
  const done = new Set<string>()
  let before = 0
  for (const file of files) {
    const { name, bytes, sha256 } = file
    const onLoaded = (loaded: number) => onProgress?.({ loaded: before + loaded, total, file: { name, loaded, total: bytes, sha256 } })
    const untidy = (await hasLock(file.target)) || (await hasPartial(file.target))
    if (absent.includes(file) || untidy)
      await withLock(file.target, { signal, onWait: reportOnce }, () => downloadMissing(file, remote, store, done, { signal, onLoaded }))
    else onLoaded(file.bytes)
    before += file.bytes
  }
  // Last, because with its manifest the model is in the store.
  const { manifest } = remote
  if (!manifest) return
  const replaced = await withLock(manifest.target, { signal }, () => store.putManifest(manifest.name, manifest.text))
  await store.prune(replaced)
}

/** Checks that the disk has room for the files, less what has been downloaded of them. Throws `IO`. */
async function checkSpace({ name }: RemoteModel, root: string, files: readonly StoreFile[]): Promise<void> {
  let needed = 0
  for (const { target, bytes } of files) {
    const partial = await stat(partialOf(target)).catch(() => undefined)
    needed += Math.max(0, bytes - (partial?.blocks ?? 0) * 512)
  }
  await checkDiskSpace(modelNameText(name), root, needed)
}

/**
 * Downloads one file, unless it is complete: another process may have downloaded it while this one waited for the lock,
 * or been killed before it removed the lock and the partial file.
 */
async function downloadMissing(
  file: StoreFile,
  remote: RemoteModel,
  store: OwnStore,
  done: Set<string>,
  options: DownloadOptions,
): Promise<void> {
  if (await isComplete(file, remote, store)) {
    await discardPartial(file.target)
    return options.onLoaded?.(file.bytes)
  }
  const { address, bytes, version } = file
  await download(file, file.target, {
    ...options,
    model: modelNameText(remote.name),
    beforeNaming: async (sha256) => {
      if (remote.name.kind === 'ollama') return
      // A shard of the old version must not remain beside one of the new: the set would pass for a model.
      for (const other of remote.weights) {
        if (!done.has(other.target) && !(await isComplete(other, remote, store))) await store.removeFiles([other.target])
      }
      await store.replace(file.target, { address, bytes, sha256, version })
      done.add(file.target)
    },
  })
}

/**
 * Whether a file is in the store, in the version that the source describes. In Ollama's layout the name of a file is
 * its hash; elsewhere the record beside it holds hash and version.
 */
async function isComplete({ target, bytes, sha256, version }: StoreFile, { name }: RemoteModel, store: OwnStore): Promise<boolean> {
  if ((await fileBytes(target)) !== bytes) return false
  if (name.kind === 'ollama') return true
  const record = await store.record(target)
  if (sha256 !== undefined) return record?.sha256 === sha256
  return version !== undefined && record?.version === version // without a version, only its bytes could tell
}
