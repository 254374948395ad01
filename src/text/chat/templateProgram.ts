// A chat template in either language, parsed when it is first run. Owns the errors of templates. What is rendered is
// covered: the caller finds the template's control tokens in it, and then reveals the texts.

import { MixtralError } from '../../base/errors.js'
import type { Disguise } from './disguise.js'
import type { Node } from './jinja.js'
import { OllamaTemplate } from './ollamaTemplate.js'
import { jinjaVariables, type TemplateInput, textsOf } from './templateInput.js'
import { parseTemplate, renderTemplate, TemplateRefusal } from './templateInterpreter.js'

export class TemplateProgram {
  readonly source: string
  readonly #language: 'jinja' | 'go'
  #jinja: Node | undefined
  #ollama: OllamaTemplate | undefined

  constructor(source: string, language: 'jinja' | 'go') {
    this.source = source
    this.#language = language
  }

  /**
   * The covered text. Throws a MixtralError `TEMPLATE`, whose cause is a TemplateRefusal where the template itself
   * refuses.
   */
  run(input: TemplateInput, disguise: Disguise): string {
    const characters = textsOf(input).join('').length
    try {
      if (this.#language === 'go') {
        this.#ollama ??= new OllamaTemplate(this.source)
        return this.#ollama.render(input.turns, input.tools ?? [], characters, disguise)
      }
      this.#jinja ??= parseTemplate(this.source)
      return renderTemplate(this.#jinja, jinjaVariables(input, disguise), disguise, characters)
    } catch (error) {
      const reason = (error instanceof Error ? error.message : String(error)).slice(0, 300)
      const did = error instanceof TemplateRefusal ? 'refused the messages' : 'failed'
      throw new MixtralError('TEMPLATE', `the chat template ${did}: ${disguise.reveal(reason)}`, { cause: error })
    }
  }
}
