// Looks at a model of any name without its weights: the header from the disk, or through HTTP ranges from where it would be pulled.

import type { Gguf } from '../../format/gguf/gguf.js'
import { openGguf } from '../../format/gguf/openGguf.js'
import type { RemoteName } from '../../registry/names/modelName.js'
import { openRemoteGguf } from '../../registry/sources/httpSource.js'
import { findRemoteModel, remoteBytes, remoteText } from '../../registry/sources/remoteModels.js'
import { findLocalModel, type LocalModel, readModelName } from '../../registry/stores/localModels.js'
import type { OllamaLayers } from '../../registry/stores/ollamaLayers.js'
import { onInterrupt } from './interrupt.js'

export interface Sight {
  readonly name: string
  readonly gguf: Gguf
  /** Of all files. */
  readonly bytes: number
  /** Undefined where the model is not on this machine. */
  readonly path: string | undefined
  readonly store: LocalModel['store'] | undefined
  readonly layers: OllamaLayers | undefined
}

/** Throws what the registry and the GGUF reader throw, and `ABORTED` if Ctrl-C was pressed. */
export async function lookAt(text: string): Promise<Sight> {
  const local = await findLocalModel(text)
  if (local) {
    const { name, path, bytes, store, layers } = local
    return { name, gguf: await openGguf(path), bytes, path, store, layers }
  }
  const interrupt = onInterrupt()
  try {
    const remote = await findRemoteModel(readModelName(text) as RemoteName, interrupt.signal)
    const gguf = await openRemoteGguf(remote, interrupt.signal)
    const layers = await remote.readLayers?.()
    return { name: remoteText(remote), gguf, bytes: remoteBytes(remote), path: undefined, store: undefined, layers }
  } finally {
    interrupt.release()
  }
}
