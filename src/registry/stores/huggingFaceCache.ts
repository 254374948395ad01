// The cache of huggingface_hub, used in place: `models--OWNER--REPO/snapshots/COMMIT/FILE`, and `refs/BRANCH` with a
// commit in it. Read only.

import path from 'node:path'
import { MixtralError } from '../../base/errors.js'
import { fileBytes, filesUnder, readText } from '../../base/files/optionalFiles.js'
import { type HuggingFaceName, isSafeFile, parseModelName } from '../names/modelName.js'
import { chooseGgufFiles } from '../names/repositoryFiles.js'

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
  const files = (await filesUnder(snapshot, 4)).filter(isSafeFile)
  if (files.length === 0) return undefined
  const paths = chosen(files, name)?.map((file) => path.join(snapshot, file))
  // A link to a blob that is still being downloaded is broken, and has no size.
  if (!paths || (await Promise.all(paths.map(fileBytes))).includes(undefined)) return undefined
  return { name, paths }
}

/** All models in the cache, each by a name with a file. */
export async function listHuggingFaceCache(cache: string): Promise<CachedModel[]> {
  const files = await filesUnder(cache, 7)
  const models: CachedModel[] = []
  for (const file of files) {
    const match = /^models--([^/]+?)--([^/]+)\/refs\/([^/]+)$/.exec(file)
    if (!match) continue
    const [, owner, repo, revision] = match
    const commit = (await readText(path.join(cache, file), 100))?.trim()
    const snapshot = `models--${owner}--${repo}/snapshots/${commit}/`
    const names = new Set(
      files.filter((other) => other.startsWith(snapshot)).map((other) => `hf:${owner}/${repo}@${revision}/${other.slice(snapshot.length)}`),
    )
    for (const text of names) {
      const name = nameOf(text)
      const model = name && (await findInHuggingFaceCache(cache, name))
      if (model && path.join(cache, snapshot, name.file!) === model.paths[0]) models.push(model)
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
    return chooseGgufFiles(files, name)
  } catch (error) {
    if (error instanceof MixtralError && error.code === 'IO') return undefined
    throw error
  }
}
