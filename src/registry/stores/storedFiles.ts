// What the files in our store tell of models by their names: where files with their own names are, which of them names
// a model, and which sets of shards have holes. Those are what a pull that was stopped between two shards has left, or
// a removal: no model, and no partial file tells of them.

import path from 'node:path'
import { fileBytes, filesUnder } from '../../base/files/optionalFiles.js'
import { limits } from '../../base/limits.js'
import { isStoredFile, PEFT_WEIGHTS, parseModelName, type RemoteName } from '../names/modelName.js'
import { shardsOf } from '../names/repositoryFiles.js'

/** The folders of files with their own names, and how many folders deep they are: owner, repository, revision. */
export const namedFolders = [
  ['huggingface', 3 + limits.repositoryFolders.most],
  ['url', 2],
] as const

/** Whether a file is a model of one file, the first shard of a set, or the configuration of a PEFT adapter. */
export function isFirstShard(file: string): boolean {
  return isStoredFile(file) && !file.endsWith(PEFT_WEIGHTS) && !/-(?!00001)\d{5}-of-\d{5}\.gguf$/.test(file)
}

/** The name in a text, if it is one that can be pulled. */
export function validName(text: string): RemoteName[] {
  try {
    const name = parseModelName(text)
    return name.kind === 'demo' || name.kind === 'path' ? [] : [name]
  } catch {
    return []
  }
}

export interface IncompleteSet {
  /** The first shard's path relative to the folder, with `/`; it need not be there. */
  readonly first: string
  /** Those that are there, in the same form. */
  readonly files: readonly string[]
  readonly bytes: number
  /** Bytes of the whole, as many as if the missing shards had the size of the others. */
  readonly total: number
}

/** The sets under a folder, at most `depth` folders deep, of which a shard is missing. */
export async function incompleteSets(folder: string, depth: number): Promise<IncompleteSet[]> {
  const there = new Set(await filesUnder(folder, depth))
  const sets = new Map<string, { readonly all: number; readonly files: readonly string[] }>()
  const seen = new Set<string>()
  for (const file of there) {
    if (seen.has(file) || !isStoredFile(file)) continue
    const shards = shardsOf(file)
    for (const shard of shards) if (there.has(shard)) seen.add(shard)
    const files = shards.filter((shard) => there.has(shard))
    if (files.length < shards.length) sets.set(shards[0]!, { all: shards.length, files })
  }
  return Promise.all(
    [...sets].map(async ([first, { all, files }]) => {
      const sizes = await Promise.all(files.map((file) => fileBytes(path.join(folder, file))))
      const bytes = sizes.reduce<number>((sum, size) => sum + (size ?? 0), 0)
      return { first, files, bytes, total: Math.round((bytes * all) / files.length) }
    }),
  )
}
