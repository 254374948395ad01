// Objects from a chat model of LangChain: what is bound to its calls, and how the answer is read. LangChain checks
// objects of Zod's and other schemas that can check; those of JSON Schemas are checked by the constraint alone.

import type { BaseLanguageModelInput, StructuredOutputMethodOptions } from '@langchain/core/language_models/base'
import type { BindToolsInput } from '@langchain/core/language_models/chat_models'
import {
  assembleStructuredOutputPipeline,
  createContentParser,
  createFunctionCallingParser,
} from '@langchain/core/language_models/structured_output'
import type { AIMessageChunk } from '@langchain/core/messages'
import type { Runnable } from '@langchain/core/runnables'
import { toJsonSchema } from '@langchain/core/utils/json_schema'
import { isSerializableSchema } from '@langchain/core/utils/standard_schema'
import { isInteropZodSchema } from '@langchain/core/utils/types'
import { MixtralError, shown } from '../../../base/errors.js'
import { followedSchema } from '../sharedCalls.js'
import type { ChatMixtralCallOptions } from './callOptions.js'

// biome-ignore lint/suspicious/noExplicitAny: LangChain's own word for objects and schemas
type Schema = Record<string, any>
type Call = Partial<ChatMixtralCallOptions> & { readonly strict?: boolean }
type Bound = Runnable<BaseLanguageModelInput, AIMessageChunk>

/** A chat model, as far as options can be bound to it. */
interface Bindable {
  bindTools(tools: BindToolsInput[], call: Call): Bound
  withConfig(call: Call): Bound
}

/** Throws `OPTION` for a method that is none, or one that cannot be strict. */
export function structuredOutput(
  chat: Bindable,
  schema: Schema,
  config: StructuredOutputMethodOptions<boolean>,
): Runnable<BaseLanguageModelInput, Schema> {
  const { method = 'jsonSchema', name = 'extract', includeRaw = false, strict } = config
  const isChecked = isInteropZodSchema(schema) || isSerializableSchema(schema)
  const parameters: Schema = isChecked ? toJsonSchema(schema) : schema
  const traced = { ls_structured_output_format: { kwargs: { method }, schema: { title: name, ...parameters } } }
  if (method === 'functionCalling') {
    const isFunction = !isChecked && typeof schema.name === 'string' && typeof schema.parameters === 'object'
    const called = isFunction ? { ...schema, name: String(schema.name) } : { name, description: parameters.description, parameters }
    const bound = chat.bindTools([{ type: 'function', function: called }], {
      ...traced,
      tool_choice: called.name,
      ...(strict !== undefined && { strict }),
    })
    return assembleStructuredOutputPipeline(bound, createFunctionCallingParser(schema, called.name), includeRaw, 'StructuredOutput')
  }
  if (method !== 'jsonSchema' && method !== 'jsonMode') {
    throw new MixtralError('OPTION', `method is ${shown(method)}, expected jsonSchema, functionCalling or jsonMode`)
  }
  if (method === 'jsonMode' && strict) throw new MixtralError('OPTION', 'strict is true, expected no strict beside the method jsonMode')
  const followed = isChecked && !strict ? followedSchema(parameters).schema : parameters
  const format = method === 'jsonMode' ? { type: 'json_object' } : { type: 'json_schema', json_schema: { name, schema: followed } }
  const bound = chat.withConfig({ ...traced, response_format: format })
  return assembleStructuredOutputPipeline(bound, createContentParser(schema), includeRaw, 'StructuredOutput')
}
