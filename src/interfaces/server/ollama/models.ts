// What Ollama's API tells of models: /api/tags, /api/ps, /api/show. There is one, and it stays loaded.

import { stat } from 'node:fs/promises'
import { z } from 'zod'
import { fileTypeName } from '../../../format/gguf/fileType.js'
import type { GgufValue } from '../../../format/gguf/gguf.js'
import { fingerprint } from '../../../runtime/weights/fingerprint.js'
import { badRequest } from '../apiError.js'
import { checked } from '../security/body.js'
import type { ServedModel } from '../servedModel.js'
import { expiry } from './keepAlive.js'
import { checkOllamaModel } from './options.js'

const CAPABILITIES = ['completion', 'tools']

export const showFields = z.object({ model: z.string().nullish(), name: z.string().nullish(), verbose: z.boolean().nullish() })

interface FileFacts {
  readonly digest: string
  readonly modified: string
}

export class OllamaModels {
  readonly #served: ServedModel
  /** Of the files, found out once. */
  #files: Promise<FileFacts> | undefined

  constructor(served: ServedModel) {
    this.#served = served
  }

  async tags(): Promise<object> {
    const { name, bytes } = this.#served
    const { digest, modified } = await this.#found()
    return {
      models: [{ name, model: name, modified_at: modified, size: bytes, digest, details: this.#details(), capabilities: CAPABILITIES }],
    }
  }

  async running(): Promise<object> {
    const { name, model } = this.#served
    const { digest } = await this.#found()
    const facts = { size: model.memory.totalBytes, digest, details: this.#details(), context_length: model.contextLength }
    return { models: [{ name, model: name, ...facts, expires_at: expiry(Infinity), size_vram: 0 }] }
  }

  /** Throws an ApiError 400 or 404. */
  async show(body: Record<string, unknown>): Promise<object> {
    const { model: asked, name, verbose } = checked(showFields, body)
    const wanted = asked || name
    if (!wanted) throw badRequest('model is required', 'model')
    checkOllamaModel(wanted, this.#served)
    const { layers, metadata } = this.#served.model
    const { modified } = await this.#found()
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
      details: this.#details(),
      model_info: Object.fromEntries([...metadata].map(([key, value]) => [key, plain(value, verbose ?? false)])),
      capabilities: CAPABILITIES,
      modified_at: modified,
    }
  }

  #details(): object {
    const { metadata, gguf } = this.#served.model
    let weights = 0
    for (const { shape } of gguf.tensors.values()) weights += shape.reduce((product, dimension) => product * dimension, 1)
    return {
      parent_model: '',
      format: 'gguf',
      family: 'llama',
      families: ['llama'],
      parameter_size: weights >= 1e9 ? `${(weights / 1e9).toFixed(1)}B` : `${(weights / 1e6).toFixed(1)}M`,
      quantization_level: fileTypeName(metadata) ?? 'unknown',
    }
  }

  #found(): Promise<FileFacts> {
    this.#files ??= this.#find()
    return this.#files
  }

  async #find(): Promise<FileFacts> {
    const { gguf } = this.#served.model
    const [digest, { mtime }] = await Promise.all([fingerprint(gguf), stat(gguf.files[0]!.path)])
    return { digest, modified: mtime.toISOString() }
  }
}

/** A value of a file as JSON has it. Long lists, such as the vocabulary, are null, as Ollama has them. */
function plain(value: GgufValue, verbose: boolean): unknown {
  if (typeof value === 'bigint') return Number(value)
  if (typeof value !== 'object') return value
  return verbose ? Array.from(value as Iterable<unknown>, (one) => (typeof one === 'bigint' ? Number(one) : one)) : null
}
