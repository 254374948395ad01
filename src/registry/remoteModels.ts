// A name to a model somewhere else: asks the source that the name belongs to. Owns the list of sources.

import { findHuggingFaceModel } from './huggingFace.js'
import { modelNameText, type RemoteName } from './modelName.js'
import { findOllamaModel } from './ollamaRegistry.js'
import { OwnStore } from './ownStore.js'
import { findUrlModel } from './plainUrl.js'
import { type PullOptions, pull } from './pull.js'
import type { RemoteModel } from './remoteModel.js'
import { storeFolders } from './storeFolders.js'

function find(name: RemoteName, store: OwnStore, signal?: AbortSignal): Promise<RemoteModel> {
  if (name.kind === 'ollama') return findOllamaModel(name, store, signal)
  return name.kind === 'huggingface' ? findHuggingFaceModel(name, store, signal) : findUrlModel(name, store, signal)
}

/** Asks about a model: its files, their sizes. Throws `IO` if there is none, `UNSUPPORTED` for layers that cannot be used. */
export function findRemoteModel(name: RemoteName, signal?: AbortSignal): Promise<RemoteModel> {
  return find(name, new OwnStore(storeFolders().own), signal)
}

/** Pulls a model of any source; `remote` is what is known of it already. Throws as the sources' own `pull` does. */
export function pullModel(name: RemoteName, options: PullOptions = {}, remote?: RemoteModel) {
  return pull(name, remote ? async () => remote : find, options)
}

/** The bytes of all files of a model. */
export function remoteBytes({ weights, extras }: RemoteModel): number {
  return [...weights, ...extras].reduce((sum, { bytes }) => sum + bytes, 0)
}

/** How a message names it. */
export function remoteText({ name }: RemoteModel): string {
  return modelNameText(name)
}
