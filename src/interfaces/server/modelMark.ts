// What an answer depends on beside its request: the model and the arithmetic. Machines with the same marks write the
// same bytes. Owns digests, and JSON in a form that has one spelling.

import { createHash } from 'node:crypto'
import type { Gguf } from '../../format/gguf/gguf.js'
import type { OllamaLayers } from '../../registry/stores/ollamaLayers.js'
import { fingerprint } from '../../runtime/weights/fingerprint.js'

/** Names the model and the arithmetic: results with the same of both have the same bytes. */
export interface ModelMark {
  /** 64 hex digits of the weights, of adapters, and of the texts that an Ollama model brings. */
  readonly model: string
  /** Package, version of the arithmetic, format of the KV cache, and context length. */
  readonly numerics: string
}

/** What the marks are made of. */
export interface Marked {
  readonly gguf: Gguf
  readonly layers: OllamaLayers | undefined
  readonly contextLength: number
  readonly adapters?: readonly { readonly sha256: string; readonly scale: number }[]
  readonly memory: { readonly kvFormat: string }
}

/** Throws `IO`. */
export async function markOf({ gguf, layers, contextLength, memory, adapters = [] }: Marked, version: string): Promise<ModelMark> {
  const weights = await fingerprint(gguf)
  const { template, system, params, messages } = layers ?? {}
  const own = layers ? sha256(canonical([weights, template ?? null, system ?? null, params, messages])) : weights
  const model = adapters.length > 0 ? sha256(canonical([own, adapters.map(({ sha256, scale }) => [sha256, scale])])) : own
  return { model, numerics: `${version}-${memory.kvFormat}-c${contextLength}` }
}

/** Whether the template writes the time: then a prompt of now is not that of a moment ago. */
export function readsClock({ gguf, layers }: Pick<Marked, 'gguf' | 'layers'>): boolean {
  const templates = [layers?.template, ...gguf.metadata.values()].filter((value) => typeof value === 'string')
  return templates.some((text) => /strftime_now|currentDate|yesterdayDate/.test(text))
}

export function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

/** JSON whose objects have their keys in order. */
export function canonical(value: unknown): string {
  return JSON.stringify(value, (_, item: unknown) => {
    if (typeof item !== 'object' || item === null || Array.isArray(item)) return item
    return Object.fromEntries(Object.entries(item).sort(([a], [b]) => (a < b ? -1 : 1)))
  })
}
