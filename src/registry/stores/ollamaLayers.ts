// The texts that an Ollama model brings beside its weights: template, system message, parameters, messages, licenses.
// Owns their reading and checks; text/generate/modelDefaults.ts decides their effect on a generation.

import { MixtralError, shown } from '../../base/errors.js'
import type { OllamaBlob } from './ollamaManifest.js'

export interface OllamaLayers {
  /** A Go template. */
  readonly template?: string
  /** The system message for a caller without one. */
  readonly system?: string
  /** As in a Modelfile: `temperature`, `num_ctx`, `stop` and so on. */
  readonly params: Readonly<Record<string, ParamValue>>
  /** Messages that come before every conversation. */
  readonly messages: readonly { readonly role: string; readonly content: string }[]
  readonly licenses: readonly string[]
}

export type ParamValue = number | boolean | string | readonly string[]

/**
 * Reads the text layers; `read` returns the content of a blob. Throws `IO` for content that does not match its type.
 */
export async function readLayers(
  texts: readonly OllamaBlob[],
  where: string,
  read: (blob: OllamaBlob) => Promise<string>,
): Promise<OllamaLayers> {
  let template: string | undefined
  let system: string | undefined
  let params: OllamaLayers['params'] = {}
  let messages: OllamaLayers['messages'] = []
  const licenses: string[] = []
  for (const blob of texts) {
    const text = await read(blob)
    if (blob.kind === 'template') template = text
    else if (blob.kind === 'system') system = text
    else if (blob.kind === 'license') licenses.push(text)
    else if (blob.kind === 'params') params = parseParams(text, where)
    else messages = parseMessages(text, where)
  }
  return { ...(template !== undefined && { template }), ...(system !== undefined && { system }), params, messages, licenses }
}

/** Throws `OPTION` for layers that a caller made otherwise than `readLayers` would. */
export function checkLayers(layers: unknown): void {
  const { template, system, params, messages } = (layers ?? {}) as { readonly [name: string]: unknown }
  const wrong = (name: string, value: unknown, expected: string) =>
    new MixtralError('OPTION', `${name} of the model's layers is ${shown(value)}, expected ${expected}`)
  for (const [name, value] of Object.entries({ template, system })) {
    if (value !== undefined && typeof value !== 'string') throw wrong(name, value, 'a string')
  }
  if (typeof params !== 'object' || params === null || Array.isArray(params)) throw wrong('params', params, 'an object')
  if (!Array.isArray(messages)) throw wrong('messages', messages, 'a list')
}

function parseParams(text: string, where: string): OllamaLayers['params'] {
  const params = text.trim() === '' ? null : parseJson(text, where, 'params')
  if (params === null) return {}
  if (typeof params !== 'object' || params === null || Array.isArray(params)) throw wrong(where, 'params', 'expected an object')
  return Object.fromEntries(
    Object.entries(params).flatMap(([key, value]): [string, ParamValue][] => {
      if (value === null) return []
      const isList = Array.isArray(value) && value.every((item) => typeof item === 'string')
      const isKnown = isList || ['number', 'boolean', 'string'].includes(typeof value)
      return [[key, isKnown ? (value as ParamValue) : textOf(value)]] // a list of other things has no meaning
    }),
  )
}

/** Nothing is too deep to be shown. */
function textOf(value: unknown): string {
  try {
    return JSON.stringify(value)
  } catch {
    return shown(value)
  }
}

function parseMessages(text: string, where: string): OllamaLayers['messages'] {
  const messages = parseJson(text, where, 'messages')
  const valid =
    Array.isArray(messages) &&
    messages.every((message) => ['system', 'user', 'assistant'].includes(message?.role) && typeof message.content === 'string')
  if (!valid) throw wrong(where, 'messages', 'expected a list of { role, content }')
  return messages.map(({ role, content }) => ({ role, content }))
}

function parseJson(text: string, where: string, kind: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw wrong(where, kind, 'it is not JSON')
  }
}

function wrong(where: string, kind: string, problem: string): MixtralError {
  return new MixtralError('IO', `the ${kind} layer of ${where} is wrong: ${problem}`)
}
