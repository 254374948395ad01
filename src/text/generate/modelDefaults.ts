// What an Ollama model brings beside its weights, in our own terms: options for callers that give none, and messages
// that go before a chat. Parameters without a meaning here, such as the threads of another engine, are left out.

import { checkObject, MixtralError, shown } from '../../base/errors.js'
import type { OllamaLayers, ParamValue } from '../../registry/stores/ollamaLayers.js'
import { namesOf } from '../../runtime/sampler/optionRow.js'
import type { ChatMessage } from '../chat/chatMessages.js'
import { checkGenerationOptions } from './checkGenerationOptions.js'
import type { GenerationOptions } from './generationOptions.js'
import { generationTable } from './generationTable.js'

export interface ModelDefaults {
  readonly options: GenerationOptions
  readonly contextLength?: number
  /** The names of parameters that are not used here. */
  readonly unused: readonly string[]
}

const PARAMETERS = namesOf(generationTable, 'ollama')

/** Reads the parameters. Throws `MODEL` for an impossible one. */
export function modelDefaults({ params }: OllamaLayers): ModelDefaults {
  const { num_ctx: contextLength, ...others } = params
  const options: Record<string, ParamValue> = {}
  const unused: string[] = []
  for (const [name, value] of Object.entries(others)) {
    const option = PARAMETERS.get(name)
    // Below 0, Ollama means a random seed, or no limit: our defaults.
    const unset = (name === 'seed' || name === 'num_predict') && typeof value === 'number' && value < 0
    if (option === undefined) unused.push(name)
    else if (!unset) options[option] = value
  }
  try {
    checkGenerationOptions(options)
  } catch (error) {
    throw new MixtralError('MODEL', `a parameter that the model brings is wrong: ${(error as Error).message}`, { cause: error })
  }
  if (contextLength === undefined) return { options, unused }
  if (typeof contextLength !== 'number' || !Number.isInteger(contextLength) || contextLength < 1) {
    throw new MixtralError(
      'MODEL',
      `a parameter that the model brings is wrong: num_ctx is ${shown(contextLength)}, expected a whole number from 1`,
    )
  }
  return { options, contextLength, unused }
}

/** The context length that the model brings, as an option of loading; never longer than its positions. */
export function contextDefault({ contextLength }: ModelDefaults, maxPositions: number): { readonly contextLength?: number } {
  return contextLength === undefined ? {} : { contextLength: Math.min(contextLength, maxPositions) }
}

/**
 * A caller's options, filled up with the model's. An option that is undefined counts as not given. Throws `OPTION` for
 * options that are not an object.
 */
export function withDefaults<T extends object>(defaults: Partial<T>, options: T): T {
  checkObject(options)
  const all: T = { ...options }
  for (const name of Object.keys(defaults) as (keyof T)[]) if (all[name] === undefined) all[name] = defaults[name] as T[keyof T]
  return all
}

/**
 * The messages of a chat after those that the model brings: its own conversation, and its system message where there is
 * none.
 */
export function withModelMessages(messages: readonly ChatMessage[], layers: OllamaLayers | undefined): readonly ChatMessage[] {
  if (!layers || !Array.isArray(messages)) return messages
  const all = [...(layers.messages as readonly ChatMessage[]), ...messages]
  if (!layers.system || all.some((message) => message?.role === 'system')) return all
  return [{ role: 'system', content: layers.system }, ...all]
}
