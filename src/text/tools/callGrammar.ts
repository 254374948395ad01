// The language of an answer that may have calls: a text, or calls in the model's format, each a name of the list with
// arguments that its schema allows. Owns how the parts are put together; schemas and texts are languages of the engine
// of constraints.

import { MixtralError } from '../../base/errors.js'
import { anyJsonCharacter, ascii } from '../constraint/encodings.js'
import type { Expression, Grammar } from '../constraint/expressions.js'
import { FIRST_TOKEN_SYMBOL } from '../constraint/lexer.js'
import { schemaExpression } from '../constraint/schema/schemaGrammar.js'
import type { Term, Terms } from '../constraint/terms.js'
import { type CallFormat, type Script, symbolsOf, WRAP_CLOSE, WRAP_OPEN } from './callFormat.js'
import { anyText, textTerm } from './textMachine.js'
import { argumentsSchema, type CheckedTool, type CheckedTools } from './toolDefinitions.js'

export interface CallLanguage {
  readonly format: CallFormat
  readonly tools: CheckedTools
  /** The ids that the calls of the answer have, where the format writes ids. */
  readonly idOf: (index: number) => string
  /** The schema that a text follows; undefined for any text. */
  readonly jsonSchema: object | boolean | undefined
}

/** Throws a MixtralError as schemas do, `OPTION` or `UNSUPPORTED`, which names the tool. */
export function callExpression(grammar: Grammar, language: CallLanguage): Expression {
  const { tools, format, jsonSchema } = language
  const parts = new CallGrammar(grammar, language)
  if (tools.callable.length === 0) return parts.text()
  const opening = parts.opening(format.texts === 'before' && jsonSchema === undefined && !tools.mustCall)
  const calls = grammar.sequence(opening, parts.calls())
  return tools.mustCall ? calls : grammar.choice([calls, parts.text()])
}

class CallGrammar {
  readonly #grammar: Grammar
  readonly #language: CallLanguage

  constructor(grammar: Grammar, language: CallLanguage) {
    this.#grammar = grammar
    this.#language = language
  }

  /** What comes before the first name; if `withText`, a text may stand before it. */
  opening(withText: boolean): Expression {
    const { format, idOf } = this.#language
    const { trigger } = format
    const open = symbolsOf(format.open, idOf(0), idOf(0))
    if (!withText) return this.#lexeme(open)
    const { terms } = this.#grammar
    // The text ends with the trigger: a text that might end anywhere would cost a walk through all tokens.
    if (typeof trigger === 'number') {
      const behind = this.#lexeme(open.slice(1))
      return this.#grammar.sequence(this.#grammar.lexeme(terms.sequence([anyText(terms), tokenTerm(terms, trigger)])), behind)
    }
    return this.#grammar.sequence(this.#grammar.lexeme(textTerm(terms, trigger, 'upTo')), this.#lexeme(open.slice(trigger.length)))
  }

  /** One call or several, from the first name on. */
  calls(): Expression {
    const { format, tools } = this.#language
    const { middle, between, close } = format
    const values = tools.callable.map((tool) => this.#arguments(tool))
    const call = (index: number) => {
      const ways = tools.callable.map(({ name }, i) => this.#grammar.sequence(this.#script([name, ...middle], index), values[i]!))
      return this.#grammar.choice(ways)
    }
    const same = middle.every((part) => typeof part === 'string') ? call(0) : undefined
    const mostCalls = between ? tools.mostCalls : 1
    let rest = this.#script(close, mostCalls - 1)
    for (let index = mostCalls - 2; index >= 0; index--) {
      const another = this.#grammar.sequence(this.#script(between!, index), same ?? call(index + 1), rest)
      rest = this.#grammar.choice([this.#script(close, index), another])
    }
    return this.#grammar.sequence(same ?? call(0), rest)
  }

  /** An answer that is a text. */
  text(): Expression {
    const { format, jsonSchema } = this.#language
    const { terms } = this.#grammar
    const schema = jsonSchema === undefined ? undefined : schemaExpression(this.#grammar, jsonSchema, 'flexible')
    if (format.texts === 'wrapped') {
      return this.#grammar.sequence(this.#lexeme([WRAP_OPEN]), schema ?? this.#anyString(), this.#lexeme([WRAP_CLOSE]))
    }
    if (schema) return schema
    const { trigger, texts } = format
    const isFree = typeof trigger === 'number'
    return this.#grammar.lexeme(isFree ? anyText(terms) : textTerm(terms, trigger, texts === 'before' ? 'without' : 'notFirst'))
  }

  #anyString(): Expression {
    const { terms } = this.#grammar
    const quote = ascii(terms, '"')
    return this.#grammar.lexeme(terms.sequence([quote, terms.repeat(anyJsonCharacter(terms), 0, Infinity), quote]))
  }

  #arguments(tool: CheckedTool): Expression {
    try {
      return schemaExpression(this.#grammar, argumentsSchema(tool), 'spaced', !tool.strict)
    } catch (error) {
      if (!(error instanceof MixtralError)) throw error
      throw new MixtralError(error.code, `the parameters of the tool ${tool.name}: ${error.message}`, { cause: error })
    }
  }

  /** A script after, or within, the call of an index. */
  #script(script: Script, index: number): Expression {
    const { idOf } = this.#language
    return this.#lexeme(symbolsOf(script, idOf(index), idOf(index + 1)))
  }

  /** One lexeme of texts and control tokens. */
  #lexeme(symbols: readonly (string | number)[]): Expression {
    const { terms } = this.#grammar
    let text = ''
    const parts: Term[] = []
    const flush = () => {
      for (const byte of new TextEncoder().encode(text)) parts.push(terms.set([byte, byte]))
      text = ''
    }
    for (const symbol of symbols) {
      if (typeof symbol === 'string') text += symbol
      else {
        flush()
        parts.push(tokenTerm(terms, symbol))
      }
    }
    flush()
    return this.#grammar.lexeme(terms.sequence(parts))
  }
}

/** The symbol of a control token. */
function tokenTerm(terms: Terms, id: number): Term {
  return terms.set([FIRST_TOKEN_SYMBOL + id, FIRST_TOKEN_SYMBOL + id])
}
