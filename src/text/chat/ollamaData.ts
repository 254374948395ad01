// Turns and tools as Ollama's template package has them: structures with fields, which print as JSON. Texts and keys
// that a caller has chosen are covered.

import type { CheckedTool } from '../tools/toolDefinitions.js'
import type { Turn, TurnCall } from './chatMessages.js'
import type { Disguise } from './disguise.js'
import type { GoValue } from './goTemplate.js'
import { functionOf } from './templateInput.js'

type GoMap = { readonly [key: string]: GoValue }

/** A structure, with the JSON that it prints as. Templates do not see the method: it is on the prototype. */
class Printed {
  readonly #json: GoValue

  constructor(fields: GoMap, json: GoValue) {
    Object.assign(this, fields)
    this.#json = json
  }

  toJSON(): GoValue {
    return this.#json
  }
}

function printed(fields: GoMap, json: GoValue): GoValue {
  return new Printed(fields, json) as unknown as GoMap
}

/** @param turn its content is covered already */
export function messageData({ role, content, calls, answers }: Turn, disguise: Disguise): GoValue {
  return {
    Role: role,
    Content: content,
    ...(calls.length > 0 && { ToolCalls: calls.map((call, index) => callData(call, index, disguise)) }),
    ...(answers && { ToolName: disguise.cover(answers.name), ToolCallID: disguise.cover(answers.id) }),
  }
}

function callData({ id, name, arguments: given }: TurnCall, index: number, disguise: Disguise): GoValue {
  const json = { name: disguise.cover(name), arguments: covered(given as GoMap, disguise) }
  const called = printed({ Index: index, Name: json.name, Arguments: json.arguments }, json)
  return printed({ ID: disguise.cover(id), Function: called }, { function: called })
}

export function toolData(tool: CheckedTool, disguise: Disguise): GoValue {
  const { name, description = '', parameters } = tool
  const schema = schemaData(parameters as GoMap, disguise)
  const fields = { Name: disguise.cover(name), Description: disguise.cover(description), Parameters: schema }
  const json = covered(functionOf(tool) as GoMap, disguise) as GoMap
  return printed({ Type: 'function', Function: printed(fields, json.function) }, json)
}

/** A schema with the fields that Ollama's structure has; properties are schemas by name. */
function schemaData(schema: GoMap, disguise: Disguise): GoValue {
  const { type, description, enum: values, items, required, properties } = schema
  const fields = { Type: type, Description: description, Enum: values, Items: items, Required: required }
  const named = isMap(properties)
    ? Object.entries(properties).map(([name, part]) => [disguise.cover(name), isMap(part) ? schemaData(part, disguise) : part])
    : []
  return printed({ ...(covered(fields, disguise) as GoMap), Properties: Object.fromEntries(named) }, covered(schema, disguise))
}

function covered(data: GoValue, disguise: Disguise): GoValue {
  if (typeof data === 'string') return disguise.cover(data)
  if (Array.isArray(data)) return data.map((item: GoValue) => covered(item, disguise))
  if (!isMap(data)) return data
  return Object.fromEntries(Object.entries(data).map(([key, item]) => [disguise.cover(key), covered(item, disguise)]))
}

function isMap(value: GoValue): value is GoMap {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
