// The SHA-256 that a file of a store was pulled by: in its name, as Ollama's store and the Hugging Face cache have it,
// or in our record of the file.

import { realpath } from 'node:fs/promises'
import path from 'node:path'
import { OwnStore } from './ownStore.js'
import { storeFolders } from './storeFolders.js'

/** In hex; undefined for a file of which nothing is known. */
export async function pulledDigest(file: string, root = storeFolders().own): Promise<string | undefined> {
  const target = await realpath(file).catch(() => file)
  const named = /^(?:sha256-)?([0-9a-f]{64})$/.exec(path.basename(target))
  return named?.[1] ?? (await new OwnStore(root).record(file))?.sha256
}
