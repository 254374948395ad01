// What Ollama's API tells of models: /api/tags, /api/ps, /api/show. Of one that is not in memory, its header tells.

import { z } from 'zod'
import type { GgufValue } from '../../../format/gguf/gguf.js'
import { badRequest } from '../apiError.js'
import type { ModelHost, ModelSummary } from '../models/modelHost.js'
import { unknownModel } from '../models/visits.js'
import { checked } from '../security/body.js'
import { expiry } from './keepAlive.js'

/** The library describes tools where a template knows none. */
export const CAPABILITIES = ['completion', 'tools']

/** The version of Ollama whose API this is: clients refuse older ones. Our own is in `build_info` of /props. */
export const OLLAMA_VERSION = '0.12.6'

export const showFields = z.object({ model: z.string().nullish(), name: z.string().nullish(), verbose: z.boolean().nullish() })

export async function taggedModels(host: ModelHost): Promise<object> {
  const models = []
  for (const offered of await host.list()) {
    const { name, bytes } = offered
    const { digest, modified } = await offered.fileFacts()
    const facts = { modified_at: modified, size: bytes, digest, details: detailsOf(offered.summary), capabilities: CAPABILITIES }
    models.push({ name, model: name, ...facts })
  }
  return { models }
}

export async function runningModels(host: ModelHost): Promise<object> {
  const models = []
  for (const { offered, served, ends } of host.loaded()) {
    const { name } = offered
    const { digest } = await offered.fileFacts()
    const { memory, contextLength } = served.model
    const facts = { size: memory.totalBytes, digest, details: detailsOf(offered.summary), context_length: contextLength }
    models.push({ name, model: name, ...facts, expires_at: expiry((ends - Date.now()) / 1000), size_vram: 0 })
  }
  return { models }
}

/** Throws an ApiError 400 or 404. */
export async function showModel(body: Record<string, unknown>, host: ModelHost): Promise<object> {
  const { model, name, verbose } = checked(showFields, body)
  const wanted = model || name
  if (!wanted) throw badRequest('model is required', 'model')
  const offered = await host.find(wanted)
  if (!offered) throw unknownModel('/api/show', wanted)
  const { gguf, layers } = await offered.header()
  const { metadata } = gguf
  const { modified } = await offered.fileFacts()
  const parameters = Object.entries(layers?.params ?? {}).flatMap(([key, value]) =>
    (Array.isArray(value) ? value : [value]).map((one) => `${key.padEnd(30)} ${JSON.stringify(one)}`),
  )
  const template = layers?.template ?? metadata.get('tokenizer.chat_template')
  const license = layers?.licenses.join('\n') ?? metadata.get('general.license')
  return {
    license: typeof license === 'string' ? license : '',
    modelfile: '',
    parameters: parameters.join('\n'),
    template: typeof template === 'string' ? template : '',
    ...(layers?.system !== undefined && { system: layers.system }),
    details: detailsOf(offered.summary),
    model_info: {
      'general.basename': metadata.get('general.name') ?? offered.name,
      'general.parameter_count': offered.summary.weights,
      ...Object.fromEntries([...metadata].map(([key, value]) => [key, plain(value, verbose ?? false)])),
    },
    capabilities: CAPABILITIES,
    modified_at: modified,
  }
}

export function detailsOf({ weights, quantization }: ModelSummary): object {
  return {
    parent_model: '',
    format: 'gguf',
    family: 'llama',
    families: ['llama'],
    parameter_size: weights >= 1e9 ? `${(weights / 1e9).toFixed(1)}B` : `${(weights / 1e6).toFixed(1)}M`,
    quantization_level: quantization,
  }
}

/** A value of a file as JSON has it. Long lists, such as the vocabulary, are null, as Ollama has them. */
function plain(value: GgufValue, verbose: boolean): unknown {
  if (typeof value === 'bigint') return Number(value)
  if (typeof value !== 'object') return value
  return verbose ? Array.from(value as Iterable<unknown>, (one) => (typeof one === 'bigint' ? Number(one) : one)) : null
}
