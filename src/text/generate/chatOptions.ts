// The options of a chat: those of a generation, and tools.

import type { ToolOptions } from '../tools/toolDefinitions.js'
import type { GenerationOptions } from './generationOptions.js'

/** `grammar` and `regex` cannot be asked for beside tools. With `jsonSchema`, an answer that is a text follows it. */
export interface ChatOptions extends GenerationOptions, ToolOptions {}

export interface ChatTemplateOptions extends Pick<ToolOptions, 'tools'> {
  /**
   * Whether the prompt asks for an answer. Default true; if the last message is the assistant's, the prompt then ends
   * with its text. False: a conversation that is over.
   */
  readonly addGenerationPrompt?: boolean
}
