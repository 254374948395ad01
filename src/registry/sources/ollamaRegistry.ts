// Ollama's registry as a source: finds the manifest of a model and its blobs. Owns the addresses and the meaning of
// refusals; downloads no weights.

import { MixtralError } from '../../base/errors.js'
import { didYouMean } from '../../base/nearNames.js'
import { isLoopback, modelNameText, type OllamaName, wellKnownNames } from '../names/modelName.js'
import { readLayers } from '../stores/ollamaLayers.js'
import { LARGEST_MANIFEST, LARGEST_TEXT, MANIFEST_TYPE, type OllamaBlob, parseManifest } from '../stores/ollamaManifest.js'
import type { OwnStore } from '../stores/ownStore.js'
import { BearerToken } from '../transfer/bearerToken.js'
import { ExchangeError, exchange, readBody } from '../transfer/exchange.js'
import { withPatience } from '../transfer/patience.js'
import type { RemoteModel, StoreFile } from './remoteModel.js'

/** Asks the registry for a model's manifest. Throws `IO`, with near names if it has no such model. */
export async function findOllamaModel(name: OllamaName, store: OwnStore, signal?: AbortSignal): Promise<RemoteModel> {
  const where = modelNameText(name)
  // Without TLS only on this machine.
  const origin = `${isLoopback(name.host) ? 'http' : 'https'}://${name.host}`
  const base = `${origin}/v2/${name.namespace}/${name.model}`
  const credentials = new BearerToken(origin)
  const fetchText = (address: string, accept: string, mostBytes: number, what: string) =>
    withPatience(where, signal, () =>
      exchange({ address, headers: { accept }, credentials, signal }, (_, chunks) => readBody(chunks, mostBytes, what)),
    )
  const text = await fetchText(`${base}/manifests/${name.tag}`, MANIFEST_TYPE, LARGEST_MANIFEST, 'the manifest').catch((error: unknown) => {
    throw explained(error, name)
  })
  const manifest = parseManifest(text, where)
  const address = (blob: OllamaBlob) => `${base}/blobs/${blob.digest}`
  const file = (blob: OllamaBlob): StoreFile => ({
    address: address(blob),
    name: blob.kind === 'model' ? where : `${where} (${blob.kind})`,
    bytes: blob.bytes,
    sha256: blob.digest.slice('sha256:'.length),
    credentials,
    target: store.ollama.blobPath(blob),
  })
  return {
    name,
    weights: [file(manifest.model)],
    adapters: manifest.adapters.map(file),
    extras: [manifest.config, ...manifest.texts].map(file),
    readLayers: () => readLayers(manifest.texts, where, (blob) => fetchText(address(blob), '*/*', LARGEST_TEXT, `its ${blob.kind}`)),
    manifest: { name, target: store.ollama.manifestPath(name), text },
  }
}

function explained(error: unknown, name: OllamaName): unknown {
  if (!(error instanceof ExchangeError)) return error
  const where = modelNameText(name)
  // Registries answer the same for models that do not exist and for private ones.
  if (error.status === 404 || error.status === 401 || error.status === 403) {
    const why = error.status === 404 ? 'has no' : 'does not give out'
    return new MixtralError('IO', `${name.host} ${why} model ${where}${didYouMean(where, wellKnownNames)}`, { cause: error })
  }
  return error
}
