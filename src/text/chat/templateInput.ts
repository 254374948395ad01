// What a chat template is given: turns, tools, and whether an answer is asked for. Owns the names and shapes that Jinja
// templates expect, which are those of Hugging Face's, and the covering of every text and key that a caller has chosen.

import type { CheckedTool } from '../tools/toolDefinitions.js'
import type { Turn, TurnCall } from './chatMessages.js'
import type { Disguise } from './disguise.js'
import { arrayValue, objectValue, plainValue, stringValue, type Value } from './jinja.js'

export interface TemplateInput {
  readonly turns: readonly Turn[]
  /** Undefined for none. */
  readonly tools: readonly CheckedTool[] | undefined
  readonly addGenerationPrompt: boolean
  readonly bos: string
  readonly eos: string
}

/** All texts that a caller has chosen. */
export function textsOf({ turns, tools = [] }: TemplateInput): string[] {
  return [
    ...turns.flatMap(({ content, calls, answers }) => [
      content,
      ...[...calls, ...(answers ? [answers] : [])].map((call) => JSON.stringify(call)),
    ]),
    ...tools.map((tool) => JSON.stringify(tool)),
  ]
}

/** The variables of a Jinja template. Roles are plain: they are ours. */
export function jinjaVariables(input: TemplateInput, disguise: Disguise): Record<string, unknown> {
  const { turns, tools, addGenerationPrompt, bos, eos } = input
  return {
    messages: arrayValue(turns.map((turn) => messageValue(turn, disguise))),
    tools: tools ? arrayValue(tools.map((tool) => coveredValue(functionOf(tool), disguise))) : null,
    documents: null,
    bos_token: bos,
    eos_token: eos,
    add_generation_prompt: addGenerationPrompt,
  }
}

/** A tool as the OpenAI API has it. */
export function functionOf({ name, description, parameters }: CheckedTool) {
  return { type: 'function', function: { name, ...(description !== undefined && { description }), parameters } }
}

function messageValue({ role, content, calls, answers }: Turn, disguise: Disguise): Value {
  const message = new Map<string, Value>([
    ['role', stringValue(role)],
    ['content', stringValue(disguise.cover(content))],
  ])
  if (calls.length > 0) message.set('tool_calls', coveredValue(calls.map(callOf), disguise))
  if (answers) message.set('tool_call_id', coveredValue(answers.id, disguise)).set('name', coveredValue(answers.name, disguise))
  return objectValue(message)
}

/** A call, its arguments an object as templates expect them. */
function callOf({ id, name, arguments: given }: TurnCall) {
  return { id, type: 'function', function: { name, arguments: given } }
}

/** Plain data as a value of the template language, its texts and keys covered. A plain key still finds its entry. */
function coveredValue(data: unknown, disguise: Disguise): Value {
  if (typeof data === 'string') return stringValue(disguise.cover(data))
  if (Array.isArray(data)) return arrayValue(data.map((item) => coveredValue(item, disguise)))
  if (typeof data !== 'object' || data === null) return plainValue(data)
  const entries = Object.entries(data).map(([key, item]): [string, Value] => [disguise.cover(key), coveredValue(item, disguise)])
  return objectValue(new CoveredMap(entries, disguise))
}

/** Entries with covered keys, which are found under their plain keys too. */
class CoveredMap extends Map<string, Value> {
  readonly #disguise: Disguise

  constructor(entries: readonly [string, Value][], disguise: Disguise) {
    super()
    this.#disguise = disguise
    for (const [key, value] of entries) this.set(key, value)
  }

  override get(key: string): Value | undefined {
    return super.get(this.#disguise.cover(key))
  }

  override has(key: string): boolean {
    return super.has(this.#disguise.cover(key))
  }
}
