// A model at its source, before it is downloaded: its files, and where they will be in our store. Knows no source.

import type { OllamaName, RemoteName } from '../names/modelName.js'
import type { OllamaLayers } from '../stores/ollamaLayers.js'
import type { RemoteFile } from '../transfer/download.js'

/** A file and its path in our store. */
export interface StoreFile extends RemoteFile {
  readonly target: string
}

export interface RemoteModel {
  readonly name: RemoteName
  /** The GGUF, or its shards in order. */
  readonly weights: readonly StoreFile[]
  /** Small files that belong to it. */
  readonly extras: readonly StoreFile[]
  /** Fetches the texts of an Ollama model. */
  readonly readLayers?: () => Promise<OllamaLayers>
  /** An Ollama model's manifest, to be stored when all files are in place. */
  readonly manifest?: { readonly name: OllamaName; readonly target: string; readonly text: string }
}

/** The bytes of all files of a model. */
export function remoteBytes({ weights, extras }: RemoteModel): number {
  return [...weights, ...extras].reduce((sum, { bytes }) => sum + bytes, 0)
}
