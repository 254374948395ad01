// What an Ollama model brings beside its weights, in our own terms: options for callers that give none, and messages
// that go before a chat. Parameters without a meaning here, such as the threads of another engine, are left out.

import { checkObject, shown } from '../../base/errors.js'
import type { OllamaLayers, ParamValue } from '../../registry/stores/ollamaLayers.js'
import { namesOf } from '../../runtime/sampler/optionRow.js'
import type { ChatMessage } from '../chat/chatMessages.js'
import { checkGenerationOptions } from './checkGenerationOptions.js'
import type { GenerationOptions } from './generationOptions.js'
import { generationTable } from './generationTable.js'
import { ollamaContext, ollamaValue, UNSET } from './ollamaParameters.js'

export interface ModelDefaults {
  readonly options: GenerationOptions
  readonly contextLength?: number
  /** The names of parameters that are not used here. */
  readonly unused: readonly string[]
  /** Which values are ignored, for people to read. */
  readonly notes: readonly string[]
}

const PARAMETERS = namesOf(generationTable, 'ollama')

/** Reads the parameters. A value without a meaning is left out, with a note. */
export function modelDefaults({ params }: OllamaLayers): ModelDefaults {
  const options: Record<string, ParamValue> = {}
  const unused: string[] = []
  const notes: string[] = []
  let context: number | undefined
  for (const [name, given] of Object.entries(params)) {
    const option = PARAMETERS.get(name)
    if (option === undefined && name !== 'num_ctx') {
      unused.push(name)
      continue
    }
    const value = option === undefined ? ollamaContext(given) : ollamaValue(name, given, generationTable[option]!)
    if (value === undefined)
      notes.push(`the parameter ${name} that the model brings is ${shown(given)}, which means nothing here: it is ignored`)
    else if (value !== UNSET && option === undefined) context = value as number
    else if (value !== UNSET) options[option!] = value
  }
  checkGenerationOptions(options)
  return { options, ...(context !== undefined && { contextLength: context }), unused, notes }
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
 * The messages of a chat after those that the model brings: its own conversation, and its system message unless the
 * first message is one, as Ollama decides.
 */
export function withModelMessages(messages: readonly ChatMessage[], layers: OllamaLayers | undefined): readonly ChatMessage[] {
  if (!layers || !Array.isArray(messages)) return messages
  const all = [...(layers.messages as readonly ChatMessage[]), ...messages]
  const first = messages[0]?.role
  if (!layers.system || first === 'system' || first === 'developer') return all
  return [{ role: 'system', content: layers.system }, ...all]
}
