// A chat template in either language, parsed when it is first run. Owns the errors of templates. The text that comes
// out says which of its parts the caller wrote, so that control tokens are found in the template's own parts only.

import { MixtralError } from '../../base/errors.js'
import { TemplateRefusal } from '../jinja/globals.js'
import { renderJinja } from '../jinja/interpreter.js'
import { parseJinja } from '../jinja/parser.js'
import type { Body } from '../jinja/tree.js'
import type { Text } from '../templates/markedText.js'
import { ChatBudget, WorkLimit } from '../templates/workBudget.js'
import { OllamaTemplate } from './ollamaTemplate.js'
import { charactersOf, jinjaVariables, type TemplateInput } from './templateInput.js'

/** Whether the time of a chat is over: what its template does is not known then, and is found out later. */
export function isOverTime(error: unknown): boolean {
  return error instanceof MixtralError && error.cause instanceof WorkLimit && error.cause.isOfTime
}

export class TemplateProgram {
  readonly source: string
  readonly #language: 'jinja' | 'go'
  #jinja: Body | undefined
  #ollama: OllamaTemplate | undefined

  constructor(source: string, language: 'jinja' | 'go') {
    this.source = source
    this.#language = language
  }

  /**
   * Throws a MixtralError `TEMPLATE`, whose cause is a TemplateRefusal where the template itself refuses.
   * @param time what is left for it and the other renderings of a chat
   * @param isTrial whether a few words are rendered, to find out what the template does
   */
  run(input: TemplateInput, time = new ChatBudget(), isTrial = false): Text {
    return time.during(() => this.#run(input, time), isTrial)
  }

  #run(input: TemplateInput, time: ChatBudget): Text {
    const characters = charactersOf(input)
    try {
      if (this.#language === 'go') {
        this.#ollama ??= new OllamaTemplate(this.source)
        return this.#ollama.render(input.turns, input.tools ?? [], characters, time)
      }
      this.#jinja ??= parseJinja(this.source)
      return renderJinja(this.#jinja, jinjaVariables(input), characters, undefined, time)
    } catch (error) {
      const reason = (error instanceof Error ? error.message : String(error)).slice(0, 300)
      const did = error instanceof TemplateRefusal ? 'refused the messages' : 'failed'
      throw new MixtralError('TEMPLATE', `the chat template ${did}: ${reason}`, { cause: error })
    }
  }
}
