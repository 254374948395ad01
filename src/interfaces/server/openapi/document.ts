// GET /openapi.json: the document of all routes, made from the routes that the application has and the schemas that
// bodies are checked with, so that it cannot tell of anything else.

import { z } from 'zod'
import { ApiError, anthropicError, type ErrorShape, llamaError, ollamaError, openaiError } from '../apiError.js'
import { packageVersion } from '../packageVersion.js'
import { type Operation, operations } from './operations.js'
import { optionProperties } from './optionSchemas.js'

/** A route of an application. */
interface Route {
  readonly method: string
  readonly path: string
}

type Schema = Record<string, unknown>

/** What every request may ask. */
const COMMON: Schema = {
  timeout: { description: 'seconds that the request may take', type: ['number', 'null'], exclusiveMinimum: 0 },
  cache_salt: { description: 'requests of another salt share nothing in the cache', type: ['string', 'null'], minLength: 1 },
}

const ERRORS = new Map<ErrorShape, string>([
  [openaiError, 'OpenAIError'],
  [llamaError, 'LlamaError'],
  [ollamaError, 'OllamaError'],
  [anthropicError, 'AnthropicError'],
])

/**
 * @param more operations beside those of the table
 * @param shapeOf which shape the errors of a path have
 */
export function openApiDocument(
  routes: readonly Route[],
  more: Readonly<Record<string, Operation>>,
  shapeOf: (path: string) => ErrorShape,
  needsKey: boolean,
): object {
  const known = { ...operations, ...more }
  const paths: Record<string, Record<string, object>> = {}
  for (const { method, path } of routes) {
    if (method === 'ALL') continue // what happens on the way to all of them, and what is refused by name
    const shown = path.replaceAll(/:(\w+)(\{[^}]*\})?/g, '{$1}')
    const of = known[`${method} ${path}`] ?? known[path] ?? { summary: path }
    paths[shown] = { ...paths[shown], [method.toLowerCase()]: operationOf(shown, of, shapeOf(path)) }
  }
  const schemas = Object.fromEntries([...ERRORS].map(([shape, name]) => [name, schemaLike(shape(new ApiError(400, 'text')))]))
  return {
    openapi: '3.1.0',
    info: { title: 'mixtral-wasm', version: packageVersion(), description: 'Fields that are not named are ignored, or refused by name.' },
    paths,
    components: {
      schemas,
      securitySchemes: { key: { type: 'http', scheme: 'bearer' }, header: { type: 'apiKey', in: 'header', name: 'x-api-key' } },
    },
    ...(needsKey && { security: [{ key: [] }, { header: [] }] }),
  }
}

function operationOf(path: string, operation: Operation, shape: ErrorShape): object {
  const { summary, body, type = 'application/json', stream, query = [], answer = 'application/json' } = operation
  const text = { type: 'string' }
  const parameters = [
    ...[...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({ name, in: 'path', required: true, schema: text })),
    ...query.map((name) => ({ name, in: 'query', required: false, schema: text })),
  ]
  const answers = [answer, ...(stream ? [stream] : [])]
  const error = { $ref: `#/components/schemas/${ERRORS.get(shape)}` }
  return {
    summary,
    ...(parameters.length > 0 && { parameters }),
    // whatever the header of its type says
    ...(body && { requestBody: { required: true, content: { [type]: { schema: bodySchema(operation) } } } }),
    responses: {
      200: { description: 'The answer', content: Object.fromEntries(answers.map((type) => [type, {}])) },
      default: { description: 'What is wrong', content: { 'application/json': { schema: error } } },
    },
  }
}

function bodySchema({ body, options: programs, isAnswer = true }: Operation): Schema {
  const { $schema, ...schema } = z.toJSONSchema(body!, {
    unrepresentable: 'any',
    override: ({ jsonSchema }) => {
      delete jsonSchema.additionalProperties // fields that are not named are ignored
    },
  }) as Schema & { properties: Schema }
  schema.properties = { ...(isAnswer && COMMON), ...schema.properties }
  if (!programs) return schema
  const options = optionProperties(programs)
  if (!programs.includes('ollama')) return { ...schema, properties: { ...options, ...schema.properties } }
  return {
    ...schema,
    properties: { ...schema.properties, options: { anyOf: [{ type: 'object', properties: options }, { type: 'null' }] } },
  }
}

/** The schema of values like this one: every property is required. */
function schemaLike(value: unknown): Schema {
  if (value === null) return { type: ['string', 'null'] }
  if (typeof value !== 'object') return { type: typeof value }
  const properties = Object.entries(value as object).map(([name, inner]) => [name, schemaLike(inner)])
  return { type: 'object', properties: Object.fromEntries(properties), required: Object.keys(value as object) }
}
