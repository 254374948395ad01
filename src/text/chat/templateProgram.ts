// A chat template in either language, parsed when it is first run. Owns the errors of templates. The text that comes
// out says which of its parts the caller wrote, so that control tokens are found in the template's own parts only.

import { MixtralError } from '../../base/errors.js'
import { TemplateRefusal } from '../jinja/globals.js'
import { renderJinja } from '../jinja/interpreter.js'
import { parseJinja } from '../jinja/parser.js'
import type { Body } from '../jinja/tree.js'
import type { Text } from '../templates/markedText.js'
import { OllamaTemplate } from './ollamaTemplate.js'
import { charactersOf, jinjaVariables, type TemplateInput } from './templateInput.js'

export class TemplateProgram {
  readonly source: string
  readonly #language: 'jinja' | 'go'
  #jinja: Body | undefined
  #ollama: OllamaTemplate | undefined

  constructor(source: string, language: 'jinja' | 'go') {
    this.source = source
    this.#language = language
  }

  /** Throws a MixtralError `TEMPLATE`, whose cause is a TemplateRefusal where the template itself refuses. */
  run(input: TemplateInput): Text {
    const characters = charactersOf(input)
    try {
      if (this.#language === 'go') {
        this.#ollama ??= new OllamaTemplate(this.source)
        return this.#ollama.render(input.turns, input.tools ?? [], characters)
      }
      this.#jinja ??= parseJinja(this.source)
      return renderJinja(this.#jinja, jinjaVariables(input), characters)
    } catch (error) {
      const reason = (error instanceof Error ? error.message : String(error)).slice(0, 300)
      const did = error instanceof TemplateRefusal ? 'refused the messages' : 'failed'
      throw new MixtralError('TEMPLATE', `the chat template ${did}: ${reason}`, { cause: error })
    }
  }
}
