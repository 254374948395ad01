// A name to a model somewhere else: asks the source that the name belongs to. Owns the list of sources.

import { modelNameText, type RemoteName } from '../names/modelName.js'
import { OwnStore } from '../stores/ownStore.js'
import { storeFolders } from '../stores/storeFolders.js'
import { findHuggingFaceModel } from './huggingFace.js'
import { findOllamaModel } from './ollamaRegistry.js'
import { findUrlModel } from './plainUrl.js'
import type { RemoteModel } from './remoteModel.js'

export function find(name: RemoteName, store: OwnStore, signal?: AbortSignal): Promise<RemoteModel> {
  if (name.kind === 'ollama') return findOllamaModel(name, store, signal)
  return name.kind === 'huggingface' ? findHuggingFaceModel(name, store, signal) : findUrlModel(name, store, signal)
}

/** Asks about a model: its files, their sizes. Throws `IO` if there is none, `UNSUPPORTED` for layers that cannot be used. */
export function findRemoteModel(name: RemoteName, signal?: AbortSignal): Promise<RemoteModel> {
  return find(name, new OwnStore(storeFolders().own), signal)
}

/** The bytes of all files of a model. */
export function remoteBytes({ weights, extras }: RemoteModel): number {
  return [...weights, ...extras].reduce((sum, { bytes }) => sum + bytes, 0)
}

/** How a message names it. */
export function remoteText({ name }: RemoteModel): string {
  return modelNameText(name)
}
