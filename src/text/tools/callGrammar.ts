// The language of an answer that may have calls: a text, or calls in the model's format, each a name of the list with
// arguments that its schema allows. Owns how the parts are put together; schemas and texts are languages of the engine
// of constraints.

import { MixtralError } from '../../base/errors.js'
import { anyJsonCharacter, ascii, Encoder, utf8 } from '../constraint/encodings.js'
import type { Expression, Grammar } from '../constraint/expressions.js'
import { FIRST_TOKEN_SYMBOL } from '../constraint/lexer.js'
import { schemaExpression } from '../constraint/schema/schemaGrammar.js'
import { StringLanguages } from '../constraint/schema/stringLanguages.js'
import type { Term } from '../constraint/terms.js'
import { type CallFormat, type Script, symbolsOf, WRAP_CLOSE, WRAP_OPEN } from './callFormat.js'
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
  const calls = parts.calls()
  if (tools.mustCall) return calls
  const isBefore = format.texts === 'before' && jsonSchema === undefined
  return isBefore ? grammar.sequence(parts.text(), grammar.optional(calls)) : grammar.choice([calls, parts.text()])
}

class CallGrammar {
  readonly #grammar: Grammar
  readonly #language: CallLanguage

  constructor(grammar: Grammar, language: CallLanguage) {
    this.#grammar = grammar
    this.#language = language
  }

  /** One call or several, from the opening on. */
  calls(): Expression {
    const { format, tools, idOf } = this.#language
    const { open, middle, between, close } = format
    const bodies = tools.callable.map((tool) => ({ tool, values: this.#arguments(tool) }))
    const call = (index: number) => {
      const names = bodies.map(({ tool, values }) => this.#grammar.sequence(this.#script([tool.name, ...middle], index), values))
      return this.#grammar.choice(names)
    }
    const mostCalls = between ? tools.mostCalls : 1
    let rest = this.#script(close, mostCalls - 1)
    for (let index = mostCalls - 2; index >= 0; index--) {
      const another = this.#grammar.sequence(this.#script(between!, index), call(index + 1), rest)
      rest = this.#grammar.choice([this.#script(close, index), another])
    }
    const first = symbolsOf(open, idOf(0), idOf(0))
    return this.#grammar.sequence(this.#lexeme(first), call(0), rest)
  }

  /** An answer that is a text. */
  text(): Expression {
    const { format, jsonSchema } = this.#language
    const schema = jsonSchema === undefined ? undefined : schemaExpression(this.#grammar, jsonSchema, 'flexible')
    if (format.texts === 'wrapped') {
      return this.#grammar.sequence(this.#lexeme([WRAP_OPEN]), schema ?? this.#anyString(), this.#lexeme([WRAP_CLOSE]))
    }
    return schema ?? this.#grammar.lexeme(new Encoder(this.#grammar.terms, utf8).encode(this.#anyText()))
  }

  /** A term over code points: any text that does not begin like calls, or has their beginning nowhere in it. */
  #anyText(): Term {
    const { terms } = this.#grammar
    const { trigger, texts } = this.#language.format
    const strings = new StringLanguages(terms)
    const any = strings.ofLength(0, Infinity)
    if (typeof trigger === 'number') return any
    const calls = terms.sequence([strings.literals([trigger]), any])
    return strings.except(any, texts === 'before' ? terms.sequence([any, calls]) : calls)
  }

  #anyString(): Expression {
    const { terms } = this.#grammar
    const quote = ascii(terms, '"')
    return this.#grammar.lexeme(terms.sequence([quote, terms.repeat(anyJsonCharacter(terms), 0, Infinity), quote]))
  }

  #arguments(tool: CheckedTool): Expression {
    try {
      return schemaExpression(this.#grammar, argumentsSchema(tool), 'spaced')
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
        parts.push(terms.set([FIRST_TOKEN_SYMBOL + symbol, FIRST_TOKEN_SYMBOL + symbol]))
      }
    }
    flush()
    return this.#grammar.lexeme(terms.sequence(parts))
  }
}
