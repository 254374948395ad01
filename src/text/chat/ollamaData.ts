// Turns and tools as Ollama's template package has them: structures with fields, which print as JSON. Texts and keys
// that a caller has chosen keep their origin.

import { type GoMap, GoStructure, type GoValue, isMap, KEYS } from '../templates/goValues.js'
import { DATA_ORIGIN, Text } from '../templates/markedText.js'
import type { CheckedTool } from '../tools/toolDefinitions.js'
import type { Turn, TurnCall } from './chatMessages.js'
import { functionOf } from './templateInput.js'

/** A turn with the text that templates are given. */
export interface MarkedTurn extends Omit<Turn, 'content'> {
  readonly content: Text
}

export function messageData({ role, content, calls, answers }: MarkedTurn): GoValue {
  return {
    Role: role,
    Content: content,
    ...(calls.length > 0 && { ToolCalls: calls.map(callData) }),
    ...(answers && { ToolName: marked(answers.name), ToolCallID: marked(answers.id) }),
  }
}

function callData({ id, name, arguments: given }: TurnCall, index: number): GoValue {
  const json = { name: marked(name), arguments: marked(given as GoMap) }
  const called = new GoStructure({ Index: index, Name: json.name, Arguments: json.arguments }, json)
  return new GoStructure({ ID: marked(id), Function: called }, { function: called })
}

export function toolData(tool: CheckedTool): GoValue {
  const { name, description = '', parameters } = tool
  const fields = { Name: marked(name), Description: marked(description), Parameters: schemaData(parameters as GoMap) }
  const json = marked(functionOf(tool) as GoMap) as GoMap
  return new GoStructure({ Type: 'function', Function: new GoStructure(fields, json.function) }, json)
}

/** A schema with the fields that Ollama's structure has; properties are schemas by name. */
function schemaData(schema: GoMap): GoValue {
  const { type, description, enum: values, items, required, properties } = schema
  const fields = { Type: type, Description: description, Enum: values, Items: items, Required: required }
  const named = isMap(properties)
    ? Object.entries(properties).map(([name, part]) => [name, isMap(part) ? schemaData(part) : marked(part as GoValue)] as const)
    : []
  return new GoStructure({ ...(marked(fields) as GoMap), Properties: withKeys(named) }, marked(schema))
}

/** Plain data with its origin. */
function marked(data: GoValue): GoValue {
  if (typeof data === 'string') return Text.of(data, DATA_ORIGIN)
  if (Array.isArray(data)) return data.map((item: GoValue) => marked(item))
  if (!isMap(data)) return data
  return withKeys(Object.entries(data).map(([key, item]) => [key, marked(item)] as const))
}

function withKeys(entries: readonly (readonly [string, GoValue])[]): GoMap {
  return Object.assign(Object.fromEntries(entries), { [KEYS]: DATA_ORIGIN })
}
