// What a chat template is given: turns, tools, and whether an answer is asked for. Owns the names and shapes that Jinja
// templates expect, which are those of Hugging Face's, and the origin of every text and key that a caller has chosen.

import { Dict, Float, List, type Value, wholeOf } from '../jinja/values.js'
import { DATA_ORIGIN, Text } from '../templates/markedText.js'
import type { Tokenizer } from '../tokenizer/tokenizer.js'
import { JsonNumber, treeLength } from '../tools/jsonTree.js'
import type { CheckedTool } from '../tools/toolDefinitions.js'
import type { Turn } from './chatMessages.js'
import type { TurnCall } from './openCalls.js'

export interface TemplateInput {
  readonly turns: readonly Turn[]
  /** Undefined for none. */
  readonly tools: readonly CheckedTool[] | undefined
  readonly addGenerationPrompt: boolean
  /** Whether contents are lists of parts, as templates of models that also see images expect them. */
  readonly asParts: boolean
  readonly bos: string
  readonly eos: string
  /** Other special tokens by the names of their variables, such as `unk_token`. */
  readonly specials: Readonly<Record<string, string>>
}

/** The origin of a turn's content, by the index of the turn. */
export function turnOrigin(index: number): number {
  return index + 2
}

/** The length of all texts that a caller has chosen. */
export function charactersOf({ turns, tools = [] }: TemplateInput): number {
  const calls = turns.flatMap(({ calls, answers }) => [...calls, ...(answers ? [answers] : [])])
  return [
    ...turns.map(({ content }) => content.length),
    ...calls.map(({ id, name, arguments: given }) => id.length + name.length + treeLength(given)),
    ...tools.map((tool) => JSON.stringify(tool).length),
  ].reduce((sum, length) => sum + length, 0)
}

/** The variables of a Jinja template. Roles are the template's own: they are ours. */
export function jinjaVariables({ turns, tools, addGenerationPrompt, asParts, bos, eos, specials }: TemplateInput): Map<string, Value> {
  return new Map<string, Value>([
    ['messages', new List(turns.map((turn, index) => messageValue(turn, index, asParts)))],
    ['tools', tools ? new List(tools.map((tool) => dataValue(functionOf(tool)))) : null],
    ['documents', null],
    ...Object.entries(specials).map(([name, piece]) => [name, new Text(piece)] as const),
    ['bos_token', new Text(bos)],
    ['eos_token', new Text(eos)],
    ['add_generation_prompt', addGenerationPrompt],
  ])
}

/** The keys of a file that name the tokens of variables. The third is spelled as llama.cpp spells it. */
const SPECIALS = [
  ['unk_token', 'unknown_token_id'],
  ['pad_token', 'padding_token_id'],
  ['sep_token', 'seperator_token_id'],
  ['cls_token', 'cls_token_id'],
  ['mask_token', 'mask_token_id'],
] as const

/** The special tokens of a file beyond BOS and EOS. An id of no token is none. */
export function specialVariables(metadata: ReadonlyMap<string, unknown>, tokenizer: Tokenizer): TemplateInput['specials'] {
  return Object.fromEntries(
    SPECIALS.flatMap(([name, key]) => {
      const id = metadata.get(`tokenizer.ggml.${key}`)
      const isToken = typeof id === 'number' && Number.isInteger(id) && id >= 0 && id < tokenizer.vocabSize
      return isToken ? [[name, tokenizer.token(id).piece]] : []
    }),
  )
}

/** A tool as the OpenAI API has it. */
function functionOf({ name, description, parameters }: CheckedTool) {
  return { type: 'function', function: { name, ...(description !== undefined && { description }), parameters } }
}

function messageValue({ role, content, calls, answers }: Turn, index: number, asParts: boolean): Value {
  const text = Text.of(content, turnOrigin(index))
  const part = () => Dict.of([[new Text('type'), new Text('text')] as const, [new Text('text'), text] as const])
  const entries: [string, Value][] = [
    ['role', new Text(role)],
    ['content', asParts ? new List([part()]) : text],
  ]
  if (calls.length > 0) entries.push(['tool_calls', dataValue(calls.map(callOf))])
  if (answers) entries.push(['tool_call_id', dataValue(answers.id)], ['name', dataValue(answers.name)])
  return Dict.of(entries.map(([key, value]) => [new Text(key), value] as const))
}

/** A call, its arguments an object as templates expect them, written as they came. */
function callOf({ id, name, arguments: given }: TurnCall) {
  return { id, type: 'function', function: { name, arguments: given } }
}

/** Plain data, or a tree of JSON, as a value of the template language. */
function dataValue(data: unknown): Value {
  if (typeof data === 'string') return Text.of(data, DATA_ORIGIN)
  if (typeof data === 'number') return Number.isSafeInteger(data) ? data : new Float(data)
  if (typeof data === 'boolean') return data
  if (Array.isArray(data)) return new List(data.map(dataValue))
  if (data instanceof JsonNumber) return data.isWhole ? wholeOf(data.text) : new Float(Number(data.text))
  if (typeof data !== 'object' || data === null) return null
  return Dict.of(
    (data instanceof Map ? [...(data as Map<string, unknown>)] : Object.entries(data)).map(
      ([key, item]) => [Text.of(key, DATA_ORIGIN), dataValue(item)] as const,
    ),
  )
}
