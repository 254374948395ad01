// The functions that a model may call, as a caller defines them, in the shape of the OpenAI API. Owns their check and
// the choice among them. Whether a schema of arguments is supported is known when its grammar is made.

import { MixtralError, shown } from '../../base/errors.js'
import { plainJson } from './plainJson.js'

/** A function that the model may call. */
export interface ToolDefinition {
  readonly type: 'function'
  readonly function: {
    /** 1 to 64 letters, digits, `_` and `-`. */
    readonly name: string
    /** What it does and when to call it, for the model. */
    readonly description?: string
    /** JSON Schema of the object of arguments, see docs/constraints.md. Default: no arguments. */
    readonly parameters?: object
    /**
     * Whether all keywords of the schema must be supported, so that arguments satisfy it in any case. Default true.
     * False: a keyword that is unknown or not supported is left out, and arguments may break it.
     */
    readonly strict?: boolean
  }
}

/** Whether the model calls functions: if it wants to, never, in any case, or the one of this name. */
export type ToolChoice = 'auto' | 'none' | 'required' | { readonly type: 'function'; readonly function: { readonly name: string } }

export interface ToolOptions {
  /** Functions that the model may call. The caller runs them, and sends back what they return. */
  readonly tools?: readonly ToolDefinition[]
  /** Default `auto`. */
  readonly toolChoice?: ToolChoice
  /** Whether one answer may have several calls. Default true. */
  readonly parallelToolCalls?: boolean
}

export interface CheckedTool {
  readonly name: string
  readonly description: string | undefined
  readonly parameters: Readonly<Record<string, unknown>>
  readonly strict: boolean
}

export interface CheckedTools {
  /** All of them: what the template shows to the model. */
  readonly tools: readonly CheckedTool[]
  /** Those that it may call now. */
  readonly callable: readonly CheckedTool[]
  readonly mustCall: boolean
  /** Most calls in one answer. */
  readonly mostCalls: number
}

/** As many as the OpenAI API takes. More are no use to a model, and each costs a little at every byte of a name. */
const MOST_TOOLS = 128
/** Calls in one answer. Models that go round in circles call without end. */
const MOST_CALLS = 32
const NAME = /^[a-zA-Z0-9_-]{1,64}$/
type Given = { readonly [Name in keyof ToolOptions]?: ToolOptions[Name] | undefined }

/**
 * Undefined for no tools, an empty list too. Throws a MixtralError `OPTION` that names what is wrong: a malformed
 * definition, two of one name, too many, a choice that is none.
 */
export function checkTools({ tools = [], toolChoice = 'auto', parallelToolCalls = true }: Given): CheckedTools | undefined {
  if (!Array.isArray(tools)) throw new MixtralError('OPTION', `tools is ${shown(tools)}, expected a list of functions`)
  if (tools.length > MOST_TOOLS) throw new MixtralError('OPTION', `tools has ${tools.length} functions, expected at most ${MOST_TOOLS}`)
  if (typeof parallelToolCalls !== 'boolean') {
    throw new MixtralError('OPTION', `parallelToolCalls is ${shown(parallelToolCalls)}, expected true or false`)
  }
  const plain = plainJson(tools, 'tools', 'OPTION') as unknown[]
  const checked = plain.map(checkTool)
  const names = checked.map(({ name }) => name)
  const twice = names.find((name, i) => names.indexOf(name) !== i)
  if (twice !== undefined) throw new MixtralError('OPTION', `tools has two functions ${shown(twice)}, expected names that differ`)
  const wanted = nameOf(toolChoice)
  const mustCall = wanted !== undefined || toolChoice === 'required'
  const callable = toolChoice === 'none' ? [] : checked.filter(({ name }) => wanted === undefined || name === wanted)
  if (mustCall && callable.length === 0) {
    const asked = wanted === undefined ? 'required' : `the function ${shown(wanted)}`
    throw new MixtralError('OPTION', `toolChoice is ${asked}, but tools has ${wanted === undefined ? 'no function' : 'none of this name'}`)
  }
  if (checked.length === 0) return undefined
  return { tools: checked, callable, mustCall, mostCalls: parallelToolCalls && wanted === undefined ? MOST_CALLS : 1 }
}

/** The name in a choice of one function. */
function nameOf(choice: unknown): string | undefined {
  if (choice === 'auto' || choice === 'none' || choice === 'required') return undefined
  const { type, function: named } = (choice ?? {}) as { type?: unknown; function?: { name?: unknown } }
  if (type === 'function' && typeof named?.name === 'string') return named.name
  const expected = "auto, none, required, or { type: 'function', function: { name } }"
  throw new MixtralError('OPTION', `toolChoice is ${shown(choice)}, expected ${expected}`)
}

function checkTool(tool: unknown, index: number): CheckedTool {
  const at = `tools[${index}]`
  const { type, function: given } = (tool ?? {}) as { type?: unknown; function?: unknown }
  if (type !== 'function') {
    const found = isRecord(tool) ? `has ${type === undefined ? 'no type' : `the type ${shown(type)}`}` : `is ${shown(tool)}`
    throw new MixtralError('OPTION', `${at} ${found}, expected { type: 'function', function: { name, description, parameters } }`)
  }
  if (!isRecord(given)) throw new MixtralError('OPTION', `${at}.function is ${shown(given)}, expected { name, description, parameters }`)
  const { name, description, parameters, strict } = given
  if (typeof name !== 'string' || !NAME.test(name)) {
    throw new MixtralError('OPTION', `${at} has the name ${shown(name)}, expected 1 to 64 letters, digits, _ and -`)
  }
  if (description !== undefined && description !== null && typeof description !== 'string') {
    throw new MixtralError('OPTION', `the description of the tool ${name} is ${shown(description)}, expected a string`)
  }
  if (strict !== undefined && strict !== null && typeof strict !== 'boolean') {
    throw new MixtralError('OPTION', `strict of the tool ${name} is ${shown(strict)}, expected true or false`)
  }
  return {
    name,
    description: description ?? undefined,
    parameters: checkParameters(name, parameters ?? undefined),
    strict: strict ?? true,
  }
}

function checkParameters(name: string, parameters: unknown): Readonly<Record<string, unknown>> {
  if (parameters === undefined) return { type: 'object', properties: {} }
  if (!isRecord(parameters)) {
    throw new MixtralError('OPTION', `the parameters of the tool ${name} are ${shown(parameters)}, expected a JSON Schema of an object`)
  }
  const types: readonly unknown[] = Array.isArray(parameters.type) ? parameters.type : [parameters.type ?? 'object']
  if (!types.includes('object')) {
    const found = `the parameters of the tool ${name} have the type ${shown(parameters.type)}`
    throw new MixtralError('OPTION', `${found}, expected "object": arguments have names`)
  }
  return parameters
}

/** Keywords that say which other properties there may be, or may bring some. */
const OPEN = [
  ...['additionalProperties', 'unevaluatedProperties', 'patternProperties', 'propertyNames', 'minProperties', '$ref'],
  ...['allOf', 'anyOf', 'oneOf', 'not', 'if', 'dependentSchemas'],
]

/** The schema that arguments follow: always an object. */
export function argumentsSchema({ parameters }: CheckedTool): object {
  const schema = { ...parameters, type: 'object', ...(parameters.properties === undefined && { properties: {} }) }
  return closedSchema(schema) as object
}

/** A schema whose objects, where they are not put together of several schemas, have named properties alone. */
export function closedSchema(schema: unknown): unknown {
  return closed(schema, !putsTogether(schema))
}

/** Keywords whose value is a schema, a list of schemas, or schemas by name. */
const OF_PARTS = ['items', 'prefixItems', 'contains', 'properties', 'patternProperties', 'additionalProperties']
/** Those whose schemas speak of the same value, or of one that another schema may speak of, too. */
const OF_WHOLES = ['anyOf', 'oneOf', '$defs', 'definitions']
const BY_NAME = ['properties', 'patternProperties', '$defs', 'definitions']

/**
 * A schema whose objects have no properties that nobody named, unless it speaks of them: models would invent some.
 * Objects in its parts are closed as well; those in alternatives and definitions only if `wholes`.
 */
function closed(schema: unknown, wholes: boolean): unknown {
  if (!isRecord(schema)) return schema
  const keywords = [...OF_PARTS, ...(wholes ? OF_WHOLES : [])]
  const parts = keywords.flatMap((keyword) => {
    const { [keyword]: value } = schema
    if (Array.isArray(value)) return [[keyword, value.map((one) => closed(one, wholes))]]
    if (!BY_NAME.includes(keyword)) return value === undefined ? [] : [[keyword, closed(value, wholes)]]
    return isRecord(value) ? [[keyword, Object.fromEntries(Object.entries(value).map(([name, one]) => [name, closed(one, wholes)]))]] : []
  })
  const closes = isRecord(schema.properties) && !OPEN.some((keyword) => Object.hasOwn(schema, keyword))
  return { ...schema, ...Object.fromEntries(parts), ...(closes && { additionalProperties: false }) }
}

/**
 * Whether a schema has objects that are put together of several schemas. If one of those were closed, it would forbid
 * what the others name.
 */
function putsTogether(schema: unknown): boolean {
  if (Array.isArray(schema)) return schema.some(putsTogether)
  if (!isRecord(schema)) return false
  const together = ['$ref', 'anyOf', 'oneOf'].filter((keyword) => Object.hasOwn(schema, keyword)).length
  const named = ['properties', 'patternProperties', 'required'].some((keyword) => Object.hasOwn(schema, keyword))
  const isOne = ['allOf', 'if', 'dependentSchemas', '$dynamicRef'].some((keyword) => Object.hasOwn(schema, keyword))
  return isOne || together + Number(named) > 1 || Object.values(schema).some(putsTogether)
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
