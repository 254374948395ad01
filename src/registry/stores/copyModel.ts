// A second name for an Ollama model of our own store: another manifest of the same blobs, which are deleted with the
// last name that has them.

import { MixtralError } from '../../base/errors.js'
import { readText } from '../../base/files/optionalFiles.js'
import { modelNameText, type OllamaName } from '../names/modelName.js'
import { LARGEST_MANIFEST } from './ollamaManifest.js'
import type { OwnStore } from './ownStore.js'
import { withLock } from './storeLock.js'

/** What `to` was before is replaced. Throws `IO` if the store has no model `from`, and for a disk that fails. */
export async function copyModel(store: OwnStore, from: OllamaName, to: OllamaName, signal?: AbortSignal): Promise<void> {
  const model = await store.findOllama(from)
  const text = model && (await readText(store.ollama.manifestPath(model.name), LARGEST_MANIFEST))
  if (text === undefined) throw new MixtralError('IO', `no model ${modelNameText(from)} in ${store.root}`)
  const target = (await store.findOllama(to))?.name ?? to // a name that differs in case only is the same
  if (modelNameText(target) === modelNameText(model!.name)) return
  const replaced = await withLock(store.ollama.manifestPath(target), { signal }, () => store.putManifest(target, text))
  await store.prune(replaced)
}
