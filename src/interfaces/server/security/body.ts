// The body of a request: read up to a bound, whatever its headers say of type and length, and checked against a schema.
// Fields that are not in the schema are left out.

import type { z } from 'zod'
import { ApiError, badRequest } from '../apiError.js'
import { ownTurn } from '../streams/turn.js'

/** What a body may take. */
export interface BodyLimits {
  readonly bodyBytes: number
  readonly bodySeconds: number
}

/** Deepest nesting of a body: what reads and writes values goes down by recursion. Schemas nest less than 20 levels. */
const DEEPEST_BODY = 256

/** A body that is a JSON object. Throws an ApiError 400, 408, 413 or 415. */
export async function readBody(request: Request, limits: BodyLimits): Promise<Record<string, unknown>> {
  const bytes = await readBytes(request, limits)
  await ownTurn() // bodies of many requests may be there together
  return parsedBody(bytes)
}

/** The JSON object that some bytes are. Throws an ApiError 400. */
export function parsedBody(bytes: Uint8Array): Record<string, unknown> {
  if (depthOf(bytes) > DEEPEST_BODY) throw badRequest(`the body nests more than ${DEEPEST_BODY} levels deep`)
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (error) {
    const why = error instanceof SyntaxError ? error.message.slice(0, 100) : 'it is not UTF-8'
    throw badRequest(bytes.length === 0 ? 'the body is empty, expected a JSON object' : `the body is no JSON: ${why}`)
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  throw badRequest('the body is no JSON object')
}

/** The fields of a body that a schema names. Throws an ApiError 400 that names the first that is wrong. */
export function checked<T>(schema: z.ZodType<T>, body: Record<string, unknown>): T {
  const { success, data, error } = schema.safeParse(body)
  if (success) return data
  const { path, message } = error.issues[0]!
  const param = path.map(String).join('.').slice(0, 100)
  throw badRequest(param ? `${param}: ${message}` : message, param || undefined)
}

async function readBytes(request: Request, { bodyBytes: mostBytes, bodySeconds }: BodyLimits): Promise<Uint8Array> {
  const tooLarge = new ApiError(413, `the body is too large, expected at most ${mostBytes} bytes`)
  if (Number(request.headers.get('content-length') ?? 0) > mostBytes) throw tooLarge
  const encoding = request.headers.get('content-encoding') ?? 'identity'
  if (encoding !== 'identity') throw new ApiError(415, 'the body is compressed, expected plain JSON') // a small one may inflate to gigabytes
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of chunksOf(request, bodySeconds)) {
    length += chunk.length
    if (length > mostBytes) throw tooLarge
    chunks.push(chunk)
  }
  const all = new Uint8Array(length)
  let at = 0
  for (const chunk of chunks) {
    all.set(chunk, at)
    at += chunk.length
  }
  return all
}

/** The body as it comes. Throws an ApiError 400 or 408. */
export async function* chunksOf({ body }: Request, seconds: number): AsyncGenerator<Uint8Array> {
  if (!body) return
  const reader = body.getReader()
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new ApiError(408, `the body took longer than ${seconds} seconds`)), seconds * 1000)
  })
  try {
    for (;;) {
      const { done, value } = await Promise.race([reader.read(), late])
      if (done) return
      yield value
    }
  } catch (error) {
    if (error instanceof ApiError) throw error
    throw badRequest('the body ended before it was complete')
  } finally {
    clearTimeout(timer)
    reader.releaseLock() // a read that still waits fails
  }
}

/** The deepest nesting of brackets outside of strings. */
function depthOf(bytes: Uint8Array): number {
  let depth = 0
  let deepest = 0
  let inString = false
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]!
    if (inString && byte === 0x5c) i++
    else if (byte === 0x22) inString = !inString
    else if (inString) continue
    else if (byte === 0x5b || byte === 0x7b) deepest = Math.max(deepest, ++depth)
    else if (byte === 0x5d || byte === 0x7d) depth--
  }
  return deepest
}
