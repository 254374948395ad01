// What the names of files in our store tell of models: where files with their own names are, and which of them names a
// model. Reads nothing.

import { isSafeFile, parseModelName, type RemoteName } from '../names/modelName.js'

/** The folders of files with their own names, and how many folders deep they are. */
export const namedFolders = [
  ['huggingface', 6],
  ['url', 2],
] as const

/** Whether a file is a model of one file, or the first shard of a set. */
export function isFirstShard(file: string): boolean {
  return isSafeFile(file) && !/-(?!00001)\d{5}-of-\d{5}\.gguf$/.test(file)
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
