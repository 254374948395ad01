// What an answer is to follow, by all the names that clients have for it: OpenAI's response_format, llama-server's
// fields, and vLLM's older and newer ones. One of them at most.

import type { GenerationOptions } from '../../../text/generate/generationOptions.js'
import { badRequest, unsupported } from '../apiError.js'

type Body = Readonly<Record<string, unknown>>
type Constraint = Pick<GenerationOptions, 'jsonSchema' | 'grammar' | 'regex'>
/** A field that a request gives, and what it asks for. */
type Asked = readonly [name: string, constraint: Constraint]

/** Texts of a choice, of all of them together at most as long as a pattern. */
const LONGEST_CHOICES = 10_000

const READERS: Readonly<Record<string, (value: unknown, name: string) => Constraint | undefined>> = {
  response_format: (value) => ofSchema(formatSchema(value)),
  json_schema: ofSchema,
  guided_json: ofJson,
  grammar: (value) => ({ grammar: value as string }), // the library checks it
  guided_grammar: (value, name) => ({ grammar: textOf(value, name) }),
  regex: (value, name) => ({ regex: textOf(value, name) }),
  guided_regex: (value, name) => ({ regex: textOf(value, name) }),
  guided_choice: choice,
}

/** The members of `structured_outputs` that say what the answer is. */
const MEMBERS: typeof READERS = {
  json: ofJson,
  json_object: (value) => (value === true ? { jsonSchema: { type: 'object' } } : undefined),
  grammar: (value, name) => ({ grammar: textOf(value, name) }),
  regex: (value, name) => ({ regex: textOf(value, name) }),
  choice,
}
/** Those that say how, unless they ask for nothing. */
const WAYS = ['structural_tag', 'whitespace_pattern', 'disable_any_whitespace', 'disable_additional_properties']

/** Throws an ApiError 400 for a field that is malformed, and for two of them. */
export function constraintOf(body: Body): Constraint {
  const asked = [...read(body, READERS, ''), ...structured(body.structured_outputs)]
  if (asked.length > 1) {
    const names = asked.map(([name]) => name)
    throw badRequest(`${names.join(' and ')} are given, expected at most one of them`, names[1])
  }
  return asked[0]?.[1] ?? {}
}

/** The names, by ours, that the fields of a body have. */
export function constraintNames(body: Body): [own: string, wire: string][] {
  return constraintFields(body).flatMap((name) => {
    if (name === 'structured_outputs') return ['jsonSchema', 'grammar', 'regex'].map((own): [string, string] => [own, name])
    const own = name.endsWith('grammar') ? 'grammar' : name.endsWith('regex') || name === 'guided_choice' ? 'regex' : 'jsonSchema'
    return [[own, name] as [string, string]]
  })
}

/**
 * A schema whose root says what properties or items are like, but no type, is one of objects or lists, as llama.cpp and
 * xgrammar read it. By the letter of the draft any other value would satisfy it.
 */
export function rootedSchema(schema: object): object {
  const has = (name: string) => Object.hasOwn(schema, name)
  if (['type', 'enum', 'const', '$ref', 'anyOf', 'oneOf', 'allOf', 'not', 'if'].some(has)) return schema
  if (has('properties')) return { type: 'object', ...schema }
  return has('items') || has('prefixItems') ? { type: 'array', ...schema } : schema
}

function constraintFields(body: Body): string[] {
  return [...Object.keys(READERS), 'structured_outputs'].filter((name) => !asksNothing(body[name]))
}

function read(body: Body, readers: typeof READERS, prefix: string): Asked[] {
  return Object.entries(readers).flatMap(([name, reader]): Asked[] => {
    const value = body[name]
    const constraint = asksNothing(value) ? undefined : reader(value, prefix + name)
    return constraint && Object.keys(constraint).length > 0 ? [[prefix + name, constraint]] : []
  })
}

function structured(value: unknown): Asked[] {
  if (isNothing(value)) return []
  if (typeof value !== 'object' || Array.isArray(value)) throw badRequest('structured_outputs: expected an object', 'structured_outputs')
  const members = value as Body
  const way = WAYS.find((name) => !isNothing(members[name]) && members[name] !== false)
  if (way !== undefined) throw unsupported(`structured_outputs.${way} is not supported`, `structured_outputs.${way}`)
  return read(members, MEMBERS, 'structured_outputs.')
}

function ofSchema(schema: unknown): Constraint | undefined {
  if (isNothing(schema)) return undefined
  return { jsonSchema: typeof schema === 'object' ? rootedSchema(schema) : (schema as boolean) } // the library checks it
}

/** A schema, or its text. */
function ofJson(value: unknown, name: string): Constraint | undefined {
  if (typeof value !== 'string') return ofSchema(value)
  try {
    return ofSchema(JSON.parse(value))
  } catch {
    throw badRequest(`${name}: expected a JSON Schema, or its text`, name)
  }
}

/** One of several texts, as a pattern. */
function choice(value: unknown, name: string): Constraint {
  const texts: unknown = value
  const isList = Array.isArray(texts) && texts.length > 0 && texts.every((one) => typeof one === 'string')
  if (!isList || texts.join('').length > LONGEST_CHOICES) {
    throw badRequest(`${name}: expected a list of texts of ${LONGEST_CHOICES} characters at most in all`, name)
  }
  return { regex: `(?:${texts.map((text) => text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')).join('|')})` }
}

function formatSchema(format: unknown): unknown {
  const { type, schema, json_schema: named } = format as { type?: unknown; schema?: unknown; json_schema?: unknown }
  if (type === 'text') return undefined
  if (type === 'json_object') return schema ?? { type: 'object' }
  if (type === 'json_schema') {
    const { schema: inner } = (named ?? {}) as { schema?: unknown }
    const found = inner ?? schema
    if (!isNothing(found)) return found
    throw badRequest('response_format has no json_schema.schema', 'response_format')
  }
  throw badRequest('response_format.type: expected text, json_object or json_schema', 'response_format')
}

function textOf(value: unknown, name: string): string {
  if (typeof value === 'string') return value
  throw badRequest(`${name}: expected a string`, name)
}

/** Clients with a field for a grammar or a schema send an empty text where nothing is in it. */
function asksNothing(value: unknown): boolean {
  return isNothing(value) || (typeof value === 'string' && value.trim() === '')
}

function isNothing(value: unknown): value is null | undefined {
  return value === undefined || value === null
}
