// The options of a call as LangChain has them: the library's own names, and LangChain's for tools and formats, which
// its agents use. Owns their copy: a call is what it was when it was made.

import type { BaseChatModelCallOptions, BindToolsInput } from '@langchain/core/language_models/chat_models'
import { convertToOpenAITool, isLangChainTool } from '@langchain/core/utils/function_calling'
import { MixtralError, shown, unknownOption } from '../../../base/errors.js'
import { meantOption, nearNames } from '../../../base/nearNames.js'
import type { ChatOptions } from '../../../text/generate/generationOptions.js'
import { generationTable } from '../../../text/generate/generationTable.js'
import type { ToolChoice, ToolDefinition } from '../../../text/tools/toolDefinitions.js'
import { toolsWithStrictness } from '../../server/openai/allowedTools.js'
import { rootedSchema } from '../../server/openai/constraints.js'

/** The options of an answer, by the library's names: those of `chat`, without what LangChain has its own way for. */
export type MixtralAnswerOptions = Omit<
  ChatOptions,
  'n' | 'tools' | 'toolChoice' | 'parallelToolCalls' | 'signal' | 'onAccepted' | 'onProgress' | 'expected'
>

/** The options of a call: those of an answer, and LangChain's. */
export interface ChatMixtralCallOptions extends BaseChatModelCallOptions, Omit<MixtralAnswerOptions, 'stop'> {
  /** What `bindTools` binds. */
  tools?: BindToolsInput[]
  /** Whether one answer may have several calls. Default true. */
  parallel_tool_calls?: boolean
  /** What an answer that is a text is to follow: `text`, `json_object` or `json_schema`, as in the OpenAI API. */
  response_format?: Readonly<Record<string, unknown>>
}

const ANSWER = [...Object.keys(generationTable), 'experts', 'salt', 'adapters']
const LANGCHAINS = ['tools', 'tool_choice', 'parallel_tool_calls', 'response_format', 'signal']
/** Options of `chat` that LangChain has another way for: `batch`, `signal`, `stream`. */
const ELSEWHERE = ['n', 'onAccepted', 'onProgress', 'expected', 'toolChoice', 'parallelToolCalls']

type Given = Readonly<Record<string, unknown>>

/**
 * Copies of the options that are ours. Others are LangChain's, of which there are more in each version. Throws `OPTION`
 * for a name that is none, and is near one of ours.
 */
export function answerOptions(given: object): MixtralAnswerOptions {
  const known = [...ANSWER, ...LANGCHAINS]
  for (const [name, value] of Object.entries(given)) {
    if (known.includes(name) || value === undefined) continue
    const isMeant = meantOption(name, ANSWER) !== undefined || nearNames(name, ANSWER).length > 0
    if (isMeant || ELSEWHERE.includes(name)) throw unknownOption(name, known)
  }
  const own = Object.entries(given).filter(([name, value]) => ANSWER.includes(name) && value !== undefined && value !== null)
  return structuredClone(Object.fromEntries(own))
}

/** The options of a call, read at once. */
export function copiedOptions<Options extends Partial<ChatMixtralCallOptions>>(given: Options): Options {
  const { tools, tool_choice: choice, response_format: format } = given
  return {
    ...given,
    ...answerOptions(given),
    ...(choice && { tool_choice: structuredClone(choice) }),
    ...(tools && { tools: tools.map((tool) => toolDefinition(tool)) }),
    ...(format && { response_format: structuredClone(format) }),
  }
}

/**
 * What a call asks of `chat`, over the options of its model. Throws `OPTION` for a format that is none; what else is
 * wrong, `chat` says.
 */
export function chatOptions(defaults: MixtralAnswerOptions, call: Partial<ChatMixtralCallOptions>): ChatOptions {
  const { tools, tool_choice: choice, parallel_tool_calls: parallelToolCalls, response_format: format, signal } = call
  return {
    ...defaults,
    ...answerOptions(call),
    ...formatOptions(format),
    ...(tools && tools.length > 0 && { tools: tools.map((tool) => toolDefinition(tool)) }),
    ...(choice !== undefined && choice !== null && { toolChoice: toolChoice(choice) }),
    ...(parallelToolCalls !== undefined && { parallelToolCalls }),
    ...(signal && { signal }),
  }
}

/** A tool of LangChain's or of the OpenAI API's, as the library takes it. The library checks what comes out. */
export function toolDefinition(tool: BindToolsInput, strict?: boolean): ToolDefinition {
  const converted = isLangChainTool(tool) ? convertToOpenAITool(tool) : tool
  const { function: given } = converted as { readonly function?: object }
  const asked = given && strict !== undefined ? { ...converted, function: { ...given, strict } } : converted
  const [definition] = toolsWithStrictness([asked]) as [ToolDefinition]
  return structuredClone(definition)
}

/** `any` and `required` ask for a call, a name for that of this function. */
function toolChoice(choice: NonNullable<ChatMixtralCallOptions['tool_choice']>): ToolChoice {
  if (typeof choice !== 'string') return choice as ToolChoice
  if (choice === 'auto' || choice === 'none' || choice === 'required') return choice
  return choice === 'any' ? 'required' : { type: 'function', function: { name: choice } }
}

function formatOptions(format: ChatMixtralCallOptions['response_format']): ChatOptions {
  if (format === undefined || format === null) return {}
  const { type, json_schema: named, schema: own } = format as Given & { readonly json_schema?: Given }
  if (type === 'text') return {}
  const schema = type === 'json_object' ? (own ?? { type: 'object' }) : type === 'json_schema' ? (named?.schema ?? own) : undefined
  if (typeof schema === 'object' && schema !== null) return { jsonSchema: rootedSchema(schema) }
  const expected = 'expected text, json_object, or json_schema with a json_schema.schema'
  throw new MixtralError('OPTION', `response_format has the type ${shown(type)}, ${expected}`)
}
