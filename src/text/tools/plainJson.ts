// JSON that comes from outside, as plain data or a tree within bounds, and as text in Python's spacing, which is how
// the templates of models write it.

import { MixtralError, type MixtralErrorCode } from '../../base/errors.js'
import { JsonNumber, type JsonTree, jsonTree } from './jsonTree.js'

/** Longest JSON, in characters: several times what fits the longest context. */
const LONGEST_JSON = 1_000_000
/** Deepest nesting; templates walk it by recursion. Real schemas nest less than 20 levels. */
const DEEPEST_JSON = 60

/**
 * A copy of a value as JSON has it: no getters, no functions, no cycles. Throws a MixtralError of this code, with
 * `what` as its subject, for what is no JSON, too long or too deep.
 */
export function plainJson(value: unknown, what: string, code: MixtralErrorCode): unknown {
  return parseJson(jsonText(value, what, code), what, code)
}

/** The same as a tree. */
export function plainTree(value: unknown, what: string, code: MixtralErrorCode): JsonTree {
  return parseTree(jsonText(value, what, code), what, code)
}

/** A copy of a value as JSON has it, of any length and depth. Throws as `plainJson` does for what is no JSON. */
export function jsonCopy(value: unknown, what: string, code: MixtralErrorCode): unknown {
  return JSON.parse(jsonText(value, what, code))
}

function jsonText(value: unknown, what: string, code: MixtralErrorCode): string {
  let text: string | undefined
  try {
    text = JSON.stringify(value)
  } catch (error) {
    const reason = error instanceof RangeError ? 'it nests too deeply' : (error as Error).message.split('\n')[0]
    throw new MixtralError(code, `${what} is not plain JSON: ${reason}`, { cause: error })
  }
  if (text === undefined) throw new MixtralError(code, `${what} is not plain JSON: it has no value`)
  return text
}

/** The value of a JSON text, its strings well-formed. Throws as `plainJson` does. */
function parseJson(text: string, what: string, code: MixtralErrorCode): unknown {
  return parsed(text, what, code, () =>
    JSON.parse(text.toWellFormed(), (_key, value) => (typeof value === 'string' ? value.toWellFormed() : value)),
  )
}

/** The value of a JSON text as a tree. Throws as `plainJson` does. */
export function parseTree(text: string, what: string, code: MixtralErrorCode): JsonTree {
  return parsed(text, what, code, () => {
    JSON.parse(text)
    return jsonTree(text)
  })
}

/** What is read of a JSON text within its bounds. */
function parsed<T>(text: string, what: string, code: MixtralErrorCode, read: () => T): T {
  if (text.length > LONGEST_JSON) {
    throw new MixtralError(code, `${what} has ${text.length} characters of JSON, expected at most ${LONGEST_JSON}`)
  }
  if (depthOf(text) > DEEPEST_JSON) throw new MixtralError(code, `${what} nests more than ${DEEPEST_JSON} levels deep`)
  try {
    return read()
  } catch (error) {
    throw new MixtralError(code, `${what} is not JSON: ${(error as Error).message}`, { cause: error })
  }
}

/** The deepest nesting of brackets outside of strings. */
function depthOf(text: string): number {
  let depth = 0
  let deepest = 0
  let inString = false
  for (let i = 0; i < text.length; i++) {
    const unit = text[i]!
    if (inString && unit === '\\') i++
    else if (unit === '"') inString = !inString
    else if (inString) continue
    else if (unit === '[' || unit === '{') deepest = Math.max(deepest, ++depth)
    else if (unit === ']' || unit === '}') depth--
  }
  return deepest
}

/**
 * JSON with a space after each comma and colon, as Python writes it. The value comes from `plainJson`, or is a tree or
 * has some in it, whose numbers stay as they are.
 */
export function spacedJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(spacedJson).join(', ')}]`
  if (value instanceof JsonNumber) return value.text
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  return `{${(value instanceof Map ? [...(value as Map<string, unknown>)] : Object.entries(value))
    .map(([key, item]) => `${JSON.stringify(key)}: ${spacedJson(item)}`)
    .join(', ')}}`
}

/** A text as JSON: itself if it is JSON already, else a JSON string. */
export function asJson(text: string): string {
  try {
    JSON.parse(text)
    return text
  } catch {
    return JSON.stringify(text)
  }
}
