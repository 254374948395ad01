// Ollama's manifest: the blobs that make up a model. Owns the checks of a manifest from any source; reads no blob.
// Format: https://github.com/opencontainers/image-spec, with Ollama's media types.

import { MixtralError, quoted, shown } from '../../base/errors.js'
import { limits } from '../../base/limits.js'

export interface OllamaBlob {
  /** The kind of content, such as `model` or `template`. */
  readonly kind: string
  /** `sha256:` and 64 hex digits. */
  readonly digest: string
  readonly bytes: number
}

export interface OllamaManifest {
  readonly config: OllamaBlob
  readonly model: OllamaBlob
  /** LoRA adapters, GGUF files, in the order in which Ollama applies them. */
  readonly adapters: readonly OllamaBlob[]
  /** Template, params, system, messages, licenses: texts. */
  readonly texts: readonly OllamaBlob[]
}

export const MANIFEST_TYPE = 'application/vnd.docker.distribution.manifest.v2+json'
export const LARGEST_MANIFEST = limits.manifest.most
/** Most bytes of a text layer, and of the config. */
export const LARGEST_TEXT = limits.layerText.most

const LAYER_TYPE = 'application/vnd.ollama.image.'
const FILES = ['model', 'adapter']
const TEXTS = ['template', 'params', 'system', 'messages', 'license']
const MOST_LAYERS = limits.manifestLayers.most
const LARGEST_MODEL = limits.modelBytes.most

/**
 * Reads a manifest. Throws `IO` for a malformed or impossible one, `UNSUPPORTED` for layers that would change the
 * model. `where` names it in messages.
 */
export function parseManifest(text: string, where: string): OllamaManifest {
  const refuse = (problem: string): never => {
    throw new MixtralError('IO', `the manifest of ${where} is wrong: ${problem}`)
  }
  let manifest: unknown
  try {
    manifest = JSON.parse(text)
  } catch {
    refuse('it is not JSON')
  }
  if (!isRecord(manifest)) return refuse('it is not an object')
  if (manifest.schemaVersion !== 2) refuse(`schemaVersion is ${shortly(manifest.schemaVersion)}, expected 2`)
  const { layers } = manifest
  if (!Array.isArray(layers) || layers.length === 0) return refuse('it has no layers')
  if (layers.length > MOST_LAYERS) refuse(`it has ${layers.length} layers, expected at most ${MOST_LAYERS}`)
  const blobs = layers.map((layer, n) => parseBlob(layer, `layer ${n + 1}`, refuse))
  const foreign = blobs.find(({ kind }) => !FILES.includes(kind) && !TEXTS.includes(kind))
  if (foreign) throw new MixtralError('UNSUPPORTED', `${where} has a layer of type ${quoted(foreign.kind)}, which cannot be used here`)
  const models = blobs.filter(({ kind }) => kind === 'model')
  if (models.length !== 1) refuse(`it has ${models.length} model layers, expected 1`)
  const texts = blobs.filter(({ kind }) => TEXTS.includes(kind))
  const config = parseBlob(manifest.config, 'config', refuse)
  const long = [config, ...texts].find(({ bytes }) => bytes > LARGEST_TEXT)
  if (long) refuse(`its ${long.kind} has ${long.bytes} bytes, expected at most ${LARGEST_TEXT}`)
  const adapters = blobs.filter(({ kind }) => kind === 'adapter')
  const { size } = new Set(adapters.map(({ digest }) => digest)) // each has a header, which takes memory
  if (size < adapters.length) refuse(`it has ${adapters.length} adapters, of which ${size} are different, expected each once`)
  return { config, model: models[0]!, adapters, texts }
}

function parseBlob(value: unknown, which: string, refuse: (problem: string) => never): OllamaBlob {
  if (!isRecord(value)) return refuse(`its ${which} is ${shortly(value)}, expected an object`)
  const { mediaType, digest, size } = value
  if (typeof digest !== 'string' || !/^sha256:[0-9a-f]{64}$/.test(digest)) {
    refuse(`the digest of its ${which} is ${shortly(digest)}, expected sha256: and 64 hex digits`)
  }
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0 || size > LARGEST_MODEL) {
    refuse(`the size of its ${which} is ${shortly(size)}, expected a number of bytes`)
  }
  if (typeof mediaType !== 'string') return refuse(`the type of its ${which} is ${shortly(mediaType)}, expected a string`)
  const kind = mediaType.startsWith(LAYER_TYPE) ? mediaType.slice(LAYER_TYPE.length) : mediaType
  return { kind: which === 'config' ? 'config' : kind, digest: digest as string, bytes: size as number }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function shortly(value: unknown): string {
  return value === undefined ? 'absent' : shown(value) // not by JSON.stringify: the value may be nested deeper than the stack
}
