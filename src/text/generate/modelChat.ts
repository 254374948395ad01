// What callers ask of a loaded model: its template and the messages that it brings make prompts, the parameters that it
// brings fill up options, and tools make the language of the answer. Owns how these go together.

import { checkObject, MixtralError, shown } from '../../base/errors.js'
import type { Weights } from '../../runtime/weights/weightLoader.js'
import type { ChatMessage } from '../chat/chatMessages.js'
import type { ChatPrompt, ChatTemplate, RenderedChat } from '../chat/chatTemplate.js'
import type { ConstraintSpec } from '../constraint/language.js'
import type { Tokenizer } from '../tokenizer/tokenizer.js'
import type { CallFormat } from '../tools/callFormat.js'
import type { CallParser } from '../tools/callParser.js'
import { callIds } from '../tools/toolCalls.js'
import { type CheckedTools, checkTools } from '../tools/toolDefinitions.js'
import type { ChatOptions, ChatTemplateOptions } from './chatOptions.js'
import { type CheckedOptions, checkGenerationOptions } from './checkGenerationOptions.js'
import type { GenerationOptions } from './generationOptions.js'
import { type OllamaExtras, withDefaults, withModelMessages } from './modelDefaults.js'

/** An answer that may have calls: what it may be, and how it is read. */
export interface ToolAnswer {
  readonly constraint: ConstraintSpec
  readonly parser: CallParser
}

export class ModelChat {
  readonly #template: ChatTemplate
  readonly #extras: OllamaExtras | undefined

  private constructor(template: ChatTemplate, extras: OllamaExtras | undefined) {
    this.#template = template
    this.#extras = extras
  }

  /**
   * Takes the template of an Ollama model, else the file's. The interpreters are loaded with a model, so that importing
   * the library stays cheap.
   */
  static async open({ metadata }: Weights, tokenizer: Tokenizer, extras?: OllamaExtras): Promise<ModelChat> {
    const { ChatTemplate } = await import('../chat/chatTemplate.js')
    const template = extras?.layers.template
    const read = template === undefined ? ChatTemplate.fromGgufMetadata(metadata, tokenizer) : ChatTemplate.fromOllama(template, tokenizer)
    return new ModelChat(read, extras)
  }

  /** The options of a generation, checked, filled up with the model's. */
  checked(options: GenerationOptions): CheckedOptions {
    return checkGenerationOptions(withDefaults(this.#extras?.defaults.options ?? {}, options))
  }

  /** Throws `TEMPLATE`, and `OPTION` for tools that are none. */
  render(messages: readonly ChatMessage[], options: ChatTemplateOptions): RenderedChat {
    checkObject(options)
    const unknown = Object.keys(options).find((name) => name !== 'tools' && name !== 'addGenerationPrompt')
    if (unknown !== undefined) throw new MixtralError('OPTION', `unknown option ${unknown}, expected tools, addGenerationPrompt`)
    const { tools, addGenerationPrompt = true } = options
    if (typeof addGenerationPrompt !== 'boolean') {
      throw new MixtralError('OPTION', `addGenerationPrompt is ${shown(addGenerationPrompt)}, expected true or false`)
    }
    const shownTools = checkTools({ tools })?.tools
    const { ids, text, folded } = this.#template.render(withModelMessages(messages, this.#extras?.layers), {
      tools: shownTools,
      addGenerationPrompt,
    })
    return { ids, text, folded }
  }

  /** The prompt of a chat, its tools, and the other options. Throws `OPTION` and `TEMPLATE`. */
  ask(messages: readonly ChatMessage[], options: ChatOptions) {
    checkObject(options)
    const { tools: given, toolChoice, parallelToolCalls, ...others } = options
    const tools = checkTools({ tools: given, toolChoice, parallelToolCalls })
    const prompt = this.#template.render(withModelMessages(messages, this.#extras?.layers), { tools: tools?.tools })
    return { prompt, tools, others }
  }
}

/**
 * What an answer to a prompt with tools may be. The engine of constraints is loaded here, where it is needed. Throws
 * `OPTION` for options that do not go together.
 */
export async function toolAnswer(prompt: ChatPrompt, tools: CheckedTools, options: CheckedOptions): Promise<ToolAnswer> {
  const { constraint, sampling } = options
  if (constraint && !('jsonSchema' in constraint)) {
    throw new MixtralError('OPTION', `tools and ${Object.keys(constraint)[0]} are given, expected at most one of them`)
  }
  const format = formatBeside(constraint?.jsonSchema, prompt.format!)
  const onlyText = prompt.continues && format.texts === 'instead'
  if (onlyText && tools.mustCall) {
    throw new MixtralError('OPTION', "toolChoice asks for a call, but the last message is the assistant's, whose text goes on")
  }
  const [{ callExpression }, { CallParser }] = await Promise.all([import('../tools/callGrammar.js'), import('../tools/callParser.js')])
  const idOf = callIds(prompt.ids, sampling.seed)
  const asked = onlyText ? { ...tools, callable: [] } : tools
  const language = { format, tools: asked, idOf, jsonSchema: constraint?.jsonSchema as object | boolean | undefined }
  return {
    constraint: { compose: (grammar) => callExpression(grammar, language) },
    parser: new CallParser(format, idOf, constraint !== undefined),
  }
}

/** The format where a text follows a schema: no calls behind it, and their beginning must not be one of JSON. */
function formatBeside(jsonSchema: unknown, format: CallFormat): CallFormat {
  if (jsonSchema === undefined || format.texts === 'wrapped') return format
  if (typeof format.trigger === 'number' || !/^[{"]/.test(format.trigger)) return { ...format, texts: 'instead' }
  throw new MixtralError('UNSUPPORTED', "tools and jsonSchema are given, but this model's calls begin as JSON does: expected one of them")
}
