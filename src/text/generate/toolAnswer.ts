// The answer to a chat with tools: what it may be, and how it is read. Owns how tools go together with the other
// options of a generation; formats and grammars know nothing of options.

import { MixtralError } from '../../base/errors.js'
import type { ChatPrompt } from '../chat/chatTemplate.js'
import type { ConstraintSpec } from '../constraint/language.js'
import { type CallFormat, ID_BEFORE, ID_NEXT } from '../tools/callFormat.js'
import type { CallParser } from '../tools/callParser.js'
import { callIds } from '../tools/toolCalls.js'
import type { CheckedTools } from '../tools/toolDefinitions.js'
import type { CheckedOptions } from './checkGenerationOptions.js'

export interface ToolAnswer {
  readonly constraint: ConstraintSpec
  /** Takes the calls out of the text. */
  readonly parser: CallParser
}

/**
 * What the answer to a prompt with tools may be; `before` is another answer to the same, whose language serves for this
 * one where it has no ids of calls in it. The engine of constraints is loaded here, where it is needed. Throws
 * `OPTION` for options that do not go together.
 */
export async function toolAnswer(
  prompt: Pick<ChatPrompt, 'format' | 'continues'> & { readonly ids: readonly number[] },
  tools: CheckedTools,
  options: CheckedOptions,
  before: ToolAnswer | undefined,
): Promise<ToolAnswer> {
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
  const hasIds = [format.open, format.middle, format.between ?? [], format.close]
    .flat()
    .some((part) => part === ID_BEFORE || part === ID_NEXT)
  return {
    constraint: (!hasIds && before?.constraint) || { compose: (grammar) => callExpression(grammar, language) },
    parser: new CallParser(format, idOf, constraint !== undefined),
  }
}

/** The format where a text follows a schema: no calls behind it, and their beginning must not be one of JSON. */
function formatBeside(jsonSchema: unknown, format: CallFormat): CallFormat {
  if (jsonSchema === undefined || format.texts === 'wrapped') return format
  if (typeof format.trigger === 'number' || !/^[{"]/.test(format.trigger)) return { ...format, texts: 'instead' }
  throw new MixtralError('UNSUPPORTED', "tools and jsonSchema are given, but this model's calls begin as JSON does: expected one of them")
}
