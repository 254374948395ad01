// A chat as a prompt: the messages go through the Jinja template in the model's file, or the Go template beside it, and
// the text becomes tokens. Owns two promises: the text of a message never becomes a control token, and there is exactly
// one BOS where the file asks for one. Templates are run by templateInterpreter.ts and ollamaTemplate.ts.

import { MixtralError } from '../../base/errors.js'
import type { GgufValue } from '../../format/gguf/gguf.js'
import type { Tokenizer } from '../tokenizer/tokenizer.js'
import { type ChatMessage, checkMessages, foldSystem } from './chatMessages.js'
import { Disguise } from './disguise.js'
import type { Node } from './jinja.js'
import { OllamaTemplate } from './ollamaTemplate.js'
import { parseTemplate, renderTemplate, TemplateRefusal } from './templateInterpreter.js'

/** Mixtral's first format, for files without a template. llama.cpp calls it mistral-v1. */
const MISTRAL_V1 = `{{ bos_token }}{% for message in messages %}
{% if (message.role == 'user') != (loop.index0 % 2 == 0) %}
{{ raise_exception('roles must alternate: user, assistant, user, ...') }}
{% endif %}
{% if message.role == 'user' %}{{ '[INST] ' + message.content + ' [/INST]' }}{% else %}{{ ' ' + message.content | trim + eos_token }}{% endif %}
{% endfor %}`

export interface RenderedChat {
  /** The prompt, with BOS where the file asks for it. */
  readonly ids: number[]
  /** The text of the prompt as the template wrote it, for people to read. */
  readonly text: string
  /** Whether the template has no system role, so that the system message was put before the first user message. */
  readonly folded: boolean
}

/** The variables that a template may use. */
type Variables = Readonly<Record<string, unknown>> & { readonly messages: readonly ChatMessage[] }

export class ChatTemplate {
  readonly #source: string
  readonly #language: 'jinja' | 'go'
  readonly #tokenizer: Tokenizer
  #program: Node | undefined
  #ollama: OllamaTemplate | undefined

  private constructor(source: string, language: 'jinja' | 'go', tokenizer: Tokenizer) {
    this.#source = source
    this.#language = language
    this.#tokenizer = tokenizer
  }

  /** Takes the Go template of an Ollama model. */
  static fromOllama(source: string, tokenizer: Tokenizer): ChatTemplate {
    return new ChatTemplate(source, 'go', tokenizer)
  }

  /**
   * Takes the template under `tokenizer.chat_template`, or Mixtral's own format where the file has none. Nothing is
   * parsed before the first `render`. Throws `TEMPLATE` if the key holds no text.
   */
  static fromGgufMetadata(metadata: ReadonlyMap<string, GgufValue>, tokenizer: Tokenizer): ChatTemplate {
    const source = metadata.get('tokenizer.chat_template') ?? MISTRAL_V1
    if (typeof source !== 'string') throw new MixtralError('TEMPLATE', `tokenizer.chat_template is a ${typeof source}, expected a string`)
    return new ChatTemplate(source, 'jinja', tokenizer)
  }

  /**
   * Renders the prompt that asks for the next answer. If the template refuses a system message, or leaves out its text,
   * that text is put before the first user message. Throws a MixtralError `TEMPLATE` for messages of the wrong shape or
   * order, and for a template that fails or exceeds its limits (a second, a million steps, a few times the messages'
   * length and a megabyte).
   */
  render(messages: readonly ChatMessage[]): RenderedChat {
    const checked = checkMessages(messages)
    if (!checked.some((message) => message.role === 'system')) return { ...this.#render(checked), folded: false }
    const whole = this.#tryWithSystem(checked)
    return whole ? { ...whole, folded: false } : { ...this.#render(foldSystem(checked)), folded: true }
  }

  #tryWithSystem(messages: readonly ChatMessage[]): { ids: number[]; text: string } | undefined {
    try {
      const rendered = this.#render(messages)
      const present = messages.every(({ role, content }) => role !== 'system' || rendered.text.includes(content.trim()))
      return present ? rendered : undefined
    } catch (error) {
      if (error instanceof MixtralError && error.cause instanceof TemplateRefusal) return undefined
      throw error
    }
  }

  #render(messages: readonly ChatMessage[]): { ids: number[]; text: string } {
    const tokenizer = this.#tokenizer
    const contents = messages.map((message) => message.content)
    const disguise = new Disguise(tokenizer.specialTexts, [this.#source, ...contents])
    const variables = {
      messages: messages.map(({ role, content }) => ({ role, content: disguise.cover(content) })),
      bos_token: tokenizer.token(tokenizer.bosId).piece,
      eos_token: tokenizer.token(tokenizer.eosId).piece,
      add_generation_prompt: true,
    }
    const covered = this.#run(variables, disguise, contents.join('').length)
    const parts = tokenizer.splitSpecial(covered).map((part) => (typeof part === 'string' ? disguise.reveal(part) : part))
    return { ids: tokenizer.encodeParts(parts), text: disguise.reveal(covered) }
  }

  #run(variables: Variables, disguise: Disguise, characters: number): string {
    try {
      if (this.#language === 'go') {
        this.#ollama ??= new OllamaTemplate(this.#source)
        return this.#ollama.render(variables.messages, characters, (text) => disguise.reveal(text))
      }
      this.#program ??= parseTemplate(this.#source)
      return renderTemplate(this.#program, variables, disguise, characters)
    } catch (error) {
      const reason = (error instanceof Error ? error.message : String(error)).slice(0, 300)
      const did = error instanceof TemplateRefusal ? 'refused the messages' : 'failed'
      throw new MixtralError('TEMPLATE', `the chat template ${did}: ${disguise.reveal(reason)}`, { cause: error })
    }
  }
}
