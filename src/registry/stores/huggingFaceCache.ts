// The cache of huggingface_hub, used in place: `models--OWNER--REPO/snapshots/COMMIT/FILE`, and `refs/BRANCH` with a
// commit in it. Read only.

import path from 'node:path'
import { MixtralError } from '../../base/errors.js'
import { fileBytes, filesUnder, readText } from '../../base/files/optionalFiles.js'
import { limits } from '../../base/limits.js'
import { type HuggingFaceName, isSafeFile, isStoredFile, parseModelName } from '../names/modelName.js'
import { chooseFiles, completeModels } from '../names/repositoryFiles.js'

export interface CachedModel {
  readonly name: HuggingFaceName
  /** First shard first. */
  readonly paths: readonly string[]
}

/** The files of a model in the cache; undefined unless all of them are there. */
export async function findInHuggingFaceCache(cache: string, name: HuggingFaceName): Promise<CachedModel | undefined> {
  const folder = path.join(cache, `models--${name.owner}--${name.repo}`)
  const commit = (await readText(path.join(folder, 'refs', name.revision), 100))?.trim() ?? name.revision
  if (!/^[\w.-]+$/.test(commit) || /^\.+$/.test(commit)) return undefined
  const snapshot = path.join(folder, 'snapshots', commit)
  const files = (await filesUnder(snapshot, limits.repositoryFolders.most)).filter(isStoredFile)
  if (files.length === 0) return undefined
  const paths = chosen(files, name)?.map((file) => path.join(snapshot, file))
  // A link to a blob that is still being downloaded is broken, and has no size.
  if (!paths || (await Promise.all(paths.map(fileBytes))).includes(undefined)) return undefined
  return { name, paths }
}

/** All models in the cache, each by a name with a file. Each folder is read once. */
export async function listHuggingFaceCache(cache: string): Promise<CachedModel[]> {
  const files = await filesUnder(cache, 3 + limits.repositoryFolders.most)
  const snapshots = new Map<string, string[]>()
  for (const file of files) {
    const [, snapshot, inside] = /^(models--[^/]+\/snapshots\/[^/]+)\/(.+)$/.exec(file) ?? []
    if (snapshot === undefined || !isSafeFile(inside!)) continue
    const known = snapshots.get(snapshot)
    if (known) known.push(inside!)
    else snapshots.set(snapshot, [inside!])
  }
  const models: CachedModel[] = []
  for (const file of files) {
    const [, owner, repo, revision] = /^models--([^/]+?)--([^/]+)\/refs\/([^/]+)$/.exec(file) ?? []
    if (owner === undefined) continue
    const commit = (await readText(path.join(cache, file), 100))?.trim()
    const snapshot = `models--${owner}--${repo}/snapshots/${commit}`
    for (const shards of completeModels(snapshots.get(snapshot) ?? [])) {
      const name = nameOf(`hf:${owner}/${repo}@${revision}/${shards[0]}`)
      const paths = shards.map((shard) => path.join(cache, snapshot, shard))
      if (name && !(await Promise.all(paths.map(fileBytes))).includes(undefined)) models.push({ name, paths })
    }
  }
  return models
}

function nameOf(text: string): HuggingFaceName | undefined {
  try {
    const name = parseModelName(text)
    return name.kind === 'huggingface' ? name : undefined
  } catch {
    return undefined
  }
}

/** The model's files; undefined if the cache lacks them, which is no error: it holds only earlier downloads. */
function chosen(files: readonly string[], name: HuggingFaceName): string[] | undefined {
  try {
    return chooseFiles(files, name)
  } catch (error) {
    if (error instanceof MixtralError && error.code === 'IO') return undefined
    throw error
  }
}
