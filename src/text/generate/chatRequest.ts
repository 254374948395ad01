// What a chat asks of a model: messages and tools become a prompt. Owns the options of a chat and of a prompt; what
// tools mean for the answer is toolAnswer.ts's.

import { checkNames, checkObject, MixtralError, shown, unknownOption } from '../../base/errors.js'
import { meantOption } from '../../base/nearNames.js'
import { atOnce, type Steps } from '../../base/timeSlice.js'
import type { ChatMessage } from '../chat/chatMessages.js'
import type { ChatPrompt, RenderedChat, RenderOptions } from '../chat/chatTemplate.js'
import { type CheckedTools, checkTools } from '../tools/toolDefinitions.js'
import type { ChatOptions, ChatTemplateOptions, GenerationOptions } from './generationOptions.js'
import type { ChatResult, GenerationResult, Piece } from './generationResult.js'
import { withModelMessages } from './modelDefaults.js'
import type { ModelParts } from './modelParts.js'

export interface ChatRequest {
  readonly prompt: ChatPrompt
  readonly tools: CheckedTools | undefined
  /** The options that are not about tools. */
  readonly options: GenerationOptions
}

/** Throws `OPTION` for tools that are none, and `TEMPLATE`. */
export function chatRequest(parts: ModelParts, messages: readonly ChatMessage[], options: ChatOptions): ChatRequest {
  const { tools, options: others } = checkedTools(options)
  return { prompt: promptOf(parts, messages, { tools: tools?.tools }), tools, options: others }
}

const TOOL_OPTIONS = ['tools', 'toolChoice', 'parallelToolCalls']

/** The tools of a chat, checked, and its other options. Throws `OPTION` for tools that are none. */
export function checkedTools(options: ChatOptions): Omit<ChatRequest, 'prompt'> {
  checkObject(options)
  const { tools, toolChoice, parallelToolCalls, ...others } = options
  const theirs = Object.keys(others).find((name) => meantOption(name, TOOL_OPTIONS))
  if (theirs !== undefined) throw unknownOption(theirs, TOOL_OPTIONS)
  return { tools: checkTools({ tools, toolChoice, parallelToolCalls }), options: others }
}

/** The pieces of an answer, and its result as that of a chat. */
export async function* chatPieces(
  pieces: AsyncGenerator<Piece, GenerationResult>,
  request: ChatRequest,
): AsyncGenerator<Piece, ChatResult> {
  return chatResult(yield* pieces, request)
}

function chatResult({ choices, ...result }: GenerationResult, request: ChatRequest): ChatResult {
  const answer = { ...result, toolCalls: result.toolCalls ?? [], folded: request.prompt.folded }
  return choices ? { ...answer, choices: choices.map((choice) => chatResult(choice, request)) } : answer
}

/** Throws `OPTION` and `TEMPLATE`. */
export function renderChat(parts: ModelParts, messages: readonly ChatMessage[], options: ChatTemplateOptions): RenderedChat {
  return atOnce(renderSteps(parts, messages, options))
}

/** The same as work that may pause. */
export function* renderSteps(parts: ModelParts, messages: readonly ChatMessage[], options: ChatTemplateOptions): Steps<RenderedChat> {
  checkNames(options, ['tools', 'addGenerationPrompt'])
  const { tools, addGenerationPrompt = true } = options
  if (typeof addGenerationPrompt !== 'boolean') {
    throw new MixtralError('OPTION', `addGenerationPrompt is ${shown(addGenerationPrompt)}, expected true or false`)
  }
  const { tokens, text, folded } = promptOf(parts, messages, { tools: checkTools({ tools })?.tools, addGenerationPrompt })
  return { ids: yield* tokens(), text, folded }
}

/** A conversation as the model's template has it, with what an Ollama model puts before it. */
function promptOf({ template, extras }: ModelParts, messages: readonly ChatMessage[], options: RenderOptions): ChatPrompt {
  return template.write(withModelMessages(messages, extras?.layers), options)
}
