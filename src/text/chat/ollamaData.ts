// Turns and tools as Ollama's templates see them: structures with fields. In JSON they have the members and the order
// of Ollama's structures (`templateTool` of template/template.go, `ToolProperty` of api/types.go), and maps the order
// of their keys, as Go writes them. Texts and keys that a caller has chosen keep their origin.

import { GoFloat, type GoMap, type GoMembers, GoStructure, type GoValue, KEYS } from '../templates/goValues.js'
import { DATA_ORIGIN, Text } from '../templates/markedText.js'
import { JsonNumber, type JsonTree } from '../tools/jsonTree.js'
import type { CheckedTool } from '../tools/toolDefinitions.js'
import type { Turn } from './chatMessages.js'
import type { TurnCall } from './openCalls.js'

/** A turn with the text that templates are given. */
export interface MarkedTurn extends Omit<Turn, 'content'> {
  readonly content: Text
}

export function messageData({ role, content, calls, answers }: MarkedTurn): GoValue {
  const fields = {
    Role: role,
    Content: content,
    ...(calls.length > 0 && { ToolCalls: calls.map(callData) }),
    ...(answers && { ToolName: marked(answers.name), ToolCallID: marked(answers.id) }),
  }
  return new GoStructure(fields, Object.entries(fields))
}

function callData({ id, name, arguments: given }: TurnCall, index: number): GoValue {
  const [called, values] = [marked(name), marked(given)]
  const json: GoMembers = [
    ['name', called],
    ['arguments', values],
  ]
  const function_ = new GoStructure({ Index: index, Name: called, Arguments: values }, json)
  return new GoStructure({ ID: marked(id), Function: function_ }, [['function', function_]])
}

export function toolData({ name: plainName, description: about = '', parameters: schema }: CheckedTool): GoValue {
  const [name, description, parameters] = [marked(plainName), marked(about), parametersData(schema)]
  const json: GoMembers = [
    ['name', name],
    ['description', description],
    ['parameters', parameters],
  ]
  const function_ = new GoStructure({ Name: name, Description: description, Parameters: parameters }, json)
  return new GoStructure({ Type: 'function', Function: function_ }, [
    ['type', 'function'],
    ['function', function_],
  ])
}

/** The schema of arguments. Keywords that Ollama's structure has not are left out. */
function parametersData({ type = '', $defs, items, required, properties }: Data): GoValue {
  const fields = {
    ...{ Type: marked(type), Defs: marked($defs), Items: marked(items), Required: marked(required) },
    Properties: isRecord(properties) ? withKeys(propertiesOf(properties)) : null,
  }
  return new GoStructure(fields, [
    ['type', fields.Type],
    ...present('$defs', fields.Defs),
    ...present('items', fields.Items),
    ...present('required', fields.Required),
    ['properties', fields.Properties],
  ])
}

/** The schema of a property. Its own properties stay in the caller's order. */
function propertyData(schema: unknown): GoValue {
  if (!isRecord(schema)) return marked(schema)
  const { anyOf, type, items, description, enum: values, properties } = schema
  const inner = isRecord(properties) ? propertiesOf(properties) : undefined
  const fields = {
    AnyOf: Array.isArray(anyOf) ? anyOf.map(propertyData) : undefined,
    Type: marked(Array.isArray(type) && type.length === 1 ? type[0] : type),
    ...{ Items: marked(items), Description: marked(description), Enum: marked(values) },
    Properties: inner && withKeys(inner),
  }
  return new GoStructure(fields, [
    ...present('anyOf', fields.AnyOf),
    ...present('type', fields.Type),
    ...present('items', fields.Items),
    ...present('description', fields.Description),
    ...present('enum', fields.Enum),
    ...present(
      'properties',
      inner &&
        new GoStructure(
          {},
          inner.map(([key, part]) => [Text.of(key, DATA_ORIGIN), part] as const),
        ),
    ),
  ])
}

type Data = { readonly [key: string]: unknown }

function isRecord(value: unknown): value is Data {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function propertiesOf(properties: Data): (readonly [string, GoValue])[] {
  return Object.entries(properties).map(([name, part]) => [name, propertyData(part)] as const)
}

/** A member that is left out where it is empty, as Go does with `omitempty`. */
function present(name: string, value: GoValue): GoMembers {
  const isEmpty = value === undefined || value === null || ((value instanceof Text || Array.isArray(value)) && value.length === 0)
  return isEmpty ? [] : [[name, value]]
}

/** Plain data, or a tree of JSON, with its origin. Numbers are floats, as Go reads them. */
function marked(data: unknown): GoValue {
  if (typeof data === 'string') return Text.of(data, DATA_ORIGIN)
  if (typeof data === 'number') return new GoFloat(data)
  if (data instanceof JsonNumber) return new GoFloat(Number(data.text))
  if (Array.isArray(data)) return data.map(marked)
  if (data instanceof Map) return withKeys([...(data as ReadonlyMap<string, JsonTree>)].map(([key, item]) => [key, marked(item)] as const))
  if (isRecord(data)) return withKeys(Object.entries(data).map(([key, item]) => [key, marked(item)] as const))
  return data as boolean | null | undefined
}

function withKeys(entries: readonly (readonly [string, GoValue])[]): GoMap {
  return Object.assign(Object.fromEntries(entries), { [KEYS]: DATA_ORIGIN })
}
