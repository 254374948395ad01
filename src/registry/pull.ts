// Pulls a model that its source has described into our store: downloads the missing files under the model's lock, then
// names them. Owns this order, in which an old version stays whole until all of the new one is here; knows neither
// Ollama nor Hugging Face.

import { stat } from 'node:fs/promises'
import { checkDiskSpace } from '../base/files/draftFile.js'
import { fileBytes } from '../base/files/optionalFiles.js'
import { Told } from '../base/onAbort.js'
import { modelNameText } from './names/modelName.js'
import { type RemoteModel, remoteFiles, type StoreFile } from './sources/remoteModel.js'
import { findInOwnStore, type LocalModel } from './stores/localModels.js'
import type { OwnStore } from './stores/ownStore.js'
import { hasLock, withLock } from './stores/storeLock.js'
import { downloadUnnamed } from './transfer/download.js'
import { discardPartial, hasPartial, nameComplete, partialOf } from './transfer/partialFile.js'

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
  /** Called once if the source names no hash of a file, so that nobody can tell whether it is the right one. */
  readonly onUnverified?: () => void
}

/**
 * Downloads what is missing of a model; returns the model as it is in the store, undefined if another process has
 * removed it. Throws `IO` for a network or disk that fails, or a disk that is too small, before a byte is downloaded;
 * `ABORTED`; and what the caller's functions throw.
 */
export async function pullModel(remote: RemoteModel, store: OwnStore, options: PullOptions = {}): Promise<LocalModel | undefined> {
  const { signal } = options
  const progress = new Told(options.onProgress)
  const waiting = new Told(options.onWait)
  const unverified = new Told<void>(options.onUnverified)
  const toldAll = async () => {
    for (const told of [progress, waiting, unverified]) await told.end()
  }
  const files = remoteFiles(remote)
  const total = files.reduce((sum, { bytes }) => sum + bytes, 0)
  const absent = []
  for (const file of files) if (!(await isComplete(file, remote, store))) absent.push(file)
  await store.make()
  await checkSpace(remote, store.root, absent)
  if (files.some(({ sha256, gitHash }) => (sha256 ?? gitHash) === undefined)) unverified.next()

  const { manifest } = remote
  if (!manifest && absent.length === 0 && !(await isUntidy(files))) {
    let loaded = 0
    for (const { name, bytes, sha256 } of files) {
      loaded += bytes
      progress.next({ loaded, total, file: { name, loaded: bytes, total: bytes, sha256 } })
    }
    const model = await findInOwnStore(remote.name, store)
    if (model) return toldAll().then(() => model) // else another pull is replacing it
  }
  let reported = false
  const lock = {
    signal,
    onWait: (pid: number) => {
      if (!reported) waiting.next(pid)
      reported = true
    },
  }
  const held = manifest?.target ?? remote.weights[0]!.target
  /** Waits for the lock of a file, unless that is the model's lock. */
  const locked = (file: StoreFile, work: () => Promise<void>) => (file.target === held ? work() : withLock(file.target, lock, work))
  let replaced: readonly string[] = []
  // One lock for the whole: of two pulls at once, of one version or of two, each finds or leaves a whole model.
  const model = await withLock(held, lock, async () => {
    const fresh: FreshFile[] = []
    let before = 0
    for (const file of files) {
      const { name, bytes, sha256 } = file
      const onLoaded = (loaded: number) => progress.next({ loaded: before + loaded, total, file: { name, loaded, total: bytes, sha256 } })
      const isTidy = (await isComplete(file, remote, store)) && !(await isUntidy([file]))
      if (isTidy) onLoaded(file.bytes)
      else await locked(file, () => downloadMissing(file, remote, store, fresh, { signal, onLoaded }))
      before += file.bytes
    }
    await nameAll(fresh, store)
    // Last, because with its manifest the model is in the store.
    if (manifest) replaced = await store.putManifest(manifest.name, manifest.text)
    return findInOwnStore(remote.name, store)
  })
  await store.prune(replaced)
  await toldAll()
  return model
}

/** Whether a killed process has left something beside files, or a live one is at work on them. */
async function isUntidy(files: readonly StoreFile[]): Promise<boolean> {
  for (const { target } of files) if ((await hasLock(target)) || (await hasPartial(target))) return true
  return false
}

/** A file that is complete, and does not have its name yet. */
interface FreshFile {
  readonly file: StoreFile
  readonly sha256: string
}

/**
 * Gives the files of a model their names, after all old ones are deleted: a shard of the old version beside one of the
 * new would pass for a model.
 */
async function nameAll(fresh: readonly FreshFile[], store: OwnStore): Promise<void> {
  for (const { file, sha256 } of fresh) {
    const { address, bytes, version } = file
    await store.replace(file.target, { address, bytes, sha256, version })
  }
  for (const { file } of fresh) await nameComplete(file.target)
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
  fresh: FreshFile[],
  options: { readonly signal: AbortSignal | undefined; readonly onLoaded: (loaded: number) => void },
): Promise<void> {
  if (await isComplete(file, remote, store)) {
    await discardPartial(file.target)
    options.onLoaded(file.bytes)
    return
  }
  const sha256 = await downloadUnnamed(file, file.target, { ...options, model: modelNameText(remote.name) })
  if (remote.name.kind === 'ollama') await nameComplete(file.target)
  else fresh.push({ file, sha256 })
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
