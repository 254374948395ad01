// A call of the AI SDK as a chat: its messages, its options in ours, and a warning for each thing that is not done.
// Everything is read here, before anything is awaited.

import type { LanguageModelV3CallOptions, SharedV3Warning } from '@ai-sdk/provider'
import { checkNames } from '../../../base/errors.js'
import type { ChatMessage } from '../../../text/chat/chatMessages.js'
import type { ChatOptions } from '../../../text/generate/generationOptions.js'
import { generationTable } from '../../../text/generate/generationTable.js'
import { checkTools, type ToolChoice, type ToolDefinition } from '../../../text/tools/toolDefinitions.js'
import { toolsWithStrictness } from '../../server/openai/allowedTools.js'
import { rootedSchema } from '../../server/openai/constraints.js'
import { followedSchema, leftOut } from '../sharedCalls.js'
import { chatMessages } from './prompt.js'

/** The name of our options among those of all providers, and of our part of what an answer tells. */
export const PROVIDER = 'mixtral'

/**
 * Options of ours that the SDK has no name for, as `providerOptions.mixtral`: those of `chat`, of which the SDK's own
 * go first.
 */
export type MixtralChatOptions = Omit<ChatOptions, 'n' | 'tools' | 'toolChoice' | 'signal' | 'onAccepted' | 'onProgress' | 'expected'>

export interface AskedChat {
  readonly messages: ChatMessage[]
  readonly options: ChatOptions
  readonly warnings: SharedV3Warning[]
}

const OWN = [...Object.keys(generationTable), 'experts', 'parallelToolCalls', 'salt', 'adapters']

/** Any JSON that has parts: a schema that nobody gave. */
const ANY_JSON = { type: ['object', 'array'] }

/** Throws `OPTION` for an option that is none, and `UNSUPPORTED` for parts of a prompt. */
export function askedChat(given: LanguageModelV3CallOptions): AskedChat {
  const warnings = new Map<string, SharedV3Warning>()
  const warn = (feature: string, details: string) => warnings.set(feature, { type: 'unsupported', feature, details })
  const { maxOutputTokens: maxNewTokens, stopSequences, abortSignal: signal, toolChoice, responseFormat } = given
  const { temperature, topP, topK, presencePenalty, frequencyPenalty, seed } = given
  const called = { maxNewTokens, temperature, topP, topK, presencePenalty, frequencyPenalty, seed, signal }
  const own = ownOptions(given.providerOptions, OWN) as MixtralChatOptions
  const tools = toolsOf(given.tools, warn)
  warnOfHeaders(given.headers, warn)
  warnOfReasoning(given, warn)
  const options: ChatOptions = {
    ...own,
    ...Object.fromEntries(Object.entries(called).filter(([, value]) => value !== undefined)),
    ...(stopSequences && stopSequences.length > 0 && { stop: stopSequences }),
    ...(responseFormat?.type === 'json' && { jsonSchema: schemaOf(responseFormat, warn) }),
    ...(tools.length > 0 && { tools }),
    ...(toolChoice && { toolChoice: choiceOf(toolChoice) }),
  }
  const messages = chatMessages(given.prompt, (what) => warn(what, 'the model has no use for it: it is left out'))
  return { messages, options, warnings: [...warnings.values()] }
}

/** Our own options. Throws `OPTION` for one that is none of `known`. */
export function ownOptions(given: LanguageModelV3CallOptions['providerOptions'], known: readonly string[]): object {
  const own = given?.[PROVIDER] ?? {}
  checkNames(own, known)
  return own
}

type Warn = (feature: string, details: string) => void

/** The SDK itself says who it is in a header, whatever the provider. */
export function warnOfHeaders(headers: LanguageModelV3CallOptions['headers'] = {}, warn: Warn): void {
  const names = Object.keys(headers).filter((name) => headers[name] !== undefined && name.toLowerCase() !== 'user-agent')
  if (names.length > 0) warn('headers', 'nothing is sent: the model runs in this process')
}

/** What ai 7 hands over to models of its earlier version as well. */
function warnOfReasoning(given: LanguageModelV3CallOptions, warn: Warn): void {
  const { reasoning } = given as { readonly reasoning?: unknown }
  const asksNothing = reasoning === undefined || reasoning === 'provider-default' || reasoning === 'none'
  if (!asksNothing) warn('reasoning', 'the model writes its answer alone')
}

type FunctionTool = Extract<NonNullable<LanguageModelV3CallOptions['tools']>[number], { readonly type: 'function' }>

function toolsOf(tools: LanguageModelV3CallOptions['tools'] = [], warn: Warn): ToolDefinition[] {
  const isFunction = (tool: (typeof tools)[number]) => tool.type === 'function'
  checkTools({ tools: tools.filter(isFunction).map(definitionOf) }) // before the schema of each becomes a grammar, which takes time
  return tools.flatMap((tool) => {
    if (tool.type !== 'function') {
      warn(`provider-defined tool ${tool.id}`, 'there is no such tool here: it is left out')
      return []
    }
    const { name, inputExamples, providerOptions } = tool
    if (inputExamples && inputExamples.length > 0)
      warn(`inputExamples of the tool ${name}`, 'the model does not see them: the SDK has addToolInputExamplesMiddleware')
    ownOptions(providerOptions, [])
    const definition = definitionOf(tool)
    const why = leftOut(definition)
    if (why !== undefined) warn(`inputSchema of the tool ${name}`, `${why}: it is left out, and calls may break it`)
    return [definition]
  })
}

function definitionOf({ name, description, inputSchema: parameters, strict }: FunctionTool): ToolDefinition {
  const described = { name, parameters, ...(description !== undefined && { description }), ...(strict !== undefined && { strict }) }
  const [definition] = toolsWithStrictness([{ type: 'function', function: described }]) as [ToolDefinition]
  return definition
}

function choiceOf(choice: NonNullable<LanguageModelV3CallOptions['toolChoice']>): ToolChoice {
  return choice.type === 'tool' ? { type: 'function', function: { name: choice.toolName } } : choice.type
}

type JsonFormat = Extract<LanguageModelV3CallOptions['responseFormat'], { readonly type: 'json' }>

/** The answer is held to the schema; the model does not read it, as in the OpenAI API. */
function schemaOf({ schema: given, name, description }: JsonFormat, warn: Warn): object {
  const unread = 'the answer follows the schema, but the model is not told of it'
  if (name !== undefined) warn('responseFormat.name', unread)
  if (description !== undefined) warn('responseFormat.description', unread)
  if (given === undefined) return ANY_JSON
  const { schema, leftOut } = followedSchema(given)
  if (leftOut.length > 0) warn('responseFormat.schema', `${leftOut.join('; ')}: it is left out, and the answer may break it`)
  return rootedSchema(schema as object)
}
