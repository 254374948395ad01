// The model that a server has, as requests name it and answers describe it. Owns its names.

import path from 'node:path'
import { namesOf } from '../../runtime/sampler/optionRow.js'
import { NUMERICS } from '../../runtime/weights/scratch.js'
import { fileDefaults } from '../../text/generate/fileDefaults.js'
import type { GenerationOptions } from '../../text/generate/generationOptions.js'
import { generationTable } from '../../text/generate/generationTable.js'
import type { MixtralModel } from '../../text/generate/mixtralModel.js'
import { modelDefaults } from '../../text/generate/modelDefaults.js'
import { type ModelMark, markOf } from './modelMark.js'
import { packageVersion } from './packageVersion.js'
import type { Settings } from './settings.js'

export interface ServedModel {
  readonly model: MixtralModel
  /** The name in answers. */
  readonly name: string
  readonly aliases: readonly string[]
  /** Options that the model brings, for requests without. */
  readonly defaults: GenerationOptions
  /** When it was loaded, in seconds since 1970. */
  readonly created: number
  /** Names the version of everything that a text depends on beside the request. */
  readonly fingerprint: string
  /** What streams that go on elsewhere are bound to. Read once from the files; fails with `IO`. */
  readonly mark: () => Promise<ModelMark>
  /** Bytes of its files. */
  readonly bytes: number
}

/** What is known of the model of a request while it is read: nothing but defaults before there is one. */
export type AskedModel = Pick<ServedModel, 'defaults'> & Partial<Pick<ServedModel, 'model'>>

/** What is known before there is a model: a request is checked as far as that goes. */
export const NO_MODEL: AskedModel = { defaults: {} }

export function servedModel(model: MixtralModel, { name, aliases }: Pick<Settings, 'name' | 'aliases'>): ServedModel {
  const { files } = model.gguf
  const file = path.basename(files[0]!.path)
  let mark: Promise<ModelMark> | undefined
  const own = name ?? file.replace(/\.gguf$/i, '')
  return {
    model,
    name: own,
    aliases: [...new Set([...aliases, file, file.replace(/\.gguf$/i, '')])].filter((alias) => alias !== own),
    defaults: { ...fileDefaults(model.metadata).options, ...(model.layers && modelDefaults(model.layers).options) },
    created: Math.floor(Date.now() / 1000 - model.loadSeconds),
    fingerprint: servedVersion(),
    mark: () => (mark ??= markOf(model, servedVersion())),
    bytes: files.reduce((sum, { bytes }) => sum + bytes, 0),
  }
}

/** The version of package and arithmetic. */
export function servedVersion(): string {
  return `mixtral-wasm-${packageVersion()}-n${NUMERICS}`
}

/** Whether a request means this model. A name without a tag has the tag `latest`, and case is nothing, as in Ollama. */
export function isCalled({ name, aliases }: Pick<ServedModel, 'name' | 'aliases'>, asked: string): boolean {
  const wanted = asked.toLowerCase()
  return [name, ...aliases].some((one) => {
    const known = one.toLowerCase()
    return known === wanted || `${known}:latest` === wanted || known === `${wanted}:latest`
  })
}

/** The options that an API has by these names. */
export function optionNames(...programs: readonly ('openai' | 'llama' | 'ollama')[]): ReadonlyMap<string, string> {
  return new Map(programs.flatMap((program) => [...namesOf(generationTable, program)]))
}

/** Names in requests by ours, for messages. */
export function wireNames(names: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  return new Map([...names].toReversed().map(([wire, own]) => [own, wire]))
}

/** The value of an option as ours. A `top_k` below 0 takes all tokens, as 0 does: vLLM says -1, llama.cpp any. */
export function withoutLimit(own: string, value: unknown): unknown {
  return own === 'topK' && Number.isInteger(value) && (value as number) < 0 ? 0 : value
}
