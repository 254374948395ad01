// Ollama models for tests: a manifest and its blobs. Not a test.

import { createHash } from 'node:crypto'

export interface OllamaModel {
  readonly manifest: string
  readonly blobs: ReadonlyMap<string, Uint8Array>
  readonly weights: Uint8Array
}

export function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}

/** A model with these layers beside its weights: texts, bytes, lists of them for several layers, or values for JSON. */
export function ollamaModel(layers: Record<string, unknown> = {}, weights: Uint8Array = Buffer.from('GGUF....')): OllamaModel {
  const blobs = new Map<string, Uint8Array>()
  const blob = (mediaType: string, bytes: Uint8Array) => {
    blobs.set(digestOf(bytes), bytes)
    return { mediaType, digest: digestOf(bytes), size: bytes.length }
  }
  const texts = Object.entries(layers).flatMap(([kind, value]) => {
    const contents = ['license', 'adapter'].includes(kind) && Array.isArray(value) ? value : [value]
    return contents.map((content) => {
      const text = typeof content === 'string' ? content : JSON.stringify(content)
      return blob(`application/vnd.ollama.image.${kind}`, content instanceof Uint8Array ? content : Buffer.from(text))
    })
  })
  const manifest = {
    schemaVersion: 2,
    mediaType: 'application/vnd.docker.distribution.manifest.v2+json',
    config: blob('application/vnd.docker.container.image.v1+json', Buffer.from('{"model_format":"gguf"}')),
    layers: [blob('application/vnd.ollama.image.model', weights), ...texts],
  }
  return { manifest: JSON.stringify(manifest), blobs, weights }
}
