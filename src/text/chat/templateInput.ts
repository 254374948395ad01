// What a chat template is given: turns, tools, and whether an answer is asked for. Owns the names and shapes that Jinja
// templates expect, which are those of Hugging Face's, and the origin of every text and key that a caller has chosen.

import { Dict, Float, List, type Value } from '../jinja/values.js'
import { DATA_ORIGIN, Text } from '../templates/markedText.js'
import type { CheckedTool } from '../tools/toolDefinitions.js'
import type { Turn, TurnCall } from './chatMessages.js'

export interface TemplateInput {
  readonly turns: readonly Turn[]
  /** Undefined for none. */
  readonly tools: readonly CheckedTool[] | undefined
  readonly addGenerationPrompt: boolean
  readonly bos: string
  readonly eos: string
}

/** The origin of a turn's content, by the index of the turn. */
export function turnOrigin(index: number): number {
  return index + 2
}

/** The length of all texts that a caller has chosen. */
export function charactersOf({ turns, tools = [] }: TemplateInput): number {
  const data = [...turns.flatMap(({ calls, answers }) => [...calls, ...(answers ? [answers] : [])]), ...tools]
  return [...turns.map(({ content }) => content), ...data.map((each) => JSON.stringify(each))].join('').length
}

/** The variables of a Jinja template. Roles are the template's own: they are ours. */
export function jinjaVariables({ turns, tools, addGenerationPrompt, bos, eos }: TemplateInput): Map<string, Value> {
  return new Map<string, Value>([
    ['messages', new List(turns.map(messageValue))],
    ['tools', tools ? new List(tools.map((tool) => dataValue(functionOf(tool)))) : null],
    ['documents', null],
    ['bos_token', new Text(bos)],
    ['eos_token', new Text(eos)],
    ['add_generation_prompt', addGenerationPrompt],
  ])
}

/** A tool as the OpenAI API has it. */
export function functionOf({ name, description, parameters }: CheckedTool) {
  return { type: 'function', function: { name, ...(description !== undefined && { description }), parameters } }
}

function messageValue({ role, content, calls, answers }: Turn, index: number): Value {
  const entries: [string, Value][] = [
    ['role', new Text(role)],
    ['content', Text.of(content, turnOrigin(index))],
  ]
  if (calls.length > 0) entries.push(['tool_calls', dataValue(calls.map(callOf))])
  if (answers) entries.push(['tool_call_id', dataValue(answers.id)], ['name', dataValue(answers.name)])
  return Dict.of(entries.map(([key, value]) => [new Text(key), value] as const))
}

/** A call, its arguments an object as templates expect them. */
function callOf({ id, name, arguments: given }: TurnCall) {
  return { id, type: 'function', function: { name, arguments: given } }
}

/** Plain data as a value of the template language. */
function dataValue(data: unknown): Value {
  if (typeof data === 'string') return Text.of(data, DATA_ORIGIN)
  if (typeof data === 'number') return Number.isSafeInteger(data) ? data : new Float(data)
  if (typeof data === 'boolean') return data
  if (Array.isArray(data)) return new List(data.map(dataValue))
  if (typeof data !== 'object' || data === null) return null
  return Dict.of(Object.entries(data).map(([key, item]) => [Text.of(key, DATA_ORIGIN), dataValue(item)] as const))
}
