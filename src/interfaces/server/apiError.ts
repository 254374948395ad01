// Errors as clients get them: the one place where codes of the library become statuses of HTTP, and where an error gets
// the shape of an API. What is not on purpose is told as an internal error, without its message: it could name a path.

import { MixtralError, type MixtralErrorCode } from '../../base/errors.js'

/** The kinds of the OpenAI API and llama-server, by status. */
const TYPES: Readonly<Record<number, string>> = {
  400: 'invalid_request_error',
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  405: 'invalid_request_error',
  408: 'timeout_error',
  413: 'invalid_request_error',
  415: 'invalid_request_error',
  429: 'rate_limit_error',
  499: 'aborted_error',
  500: 'server_error',
  501: 'not_supported_error',
  503: 'unavailable_error',
  504: 'timeout_error',
  507: 'server_error',
}

const STATUSES: Readonly<Partial<Record<MixtralErrorCode, number>>> = {
  OPTION: 400,
  TEMPLATE: 400,
  TOKENIZER: 400,
  CONTEXT: 400,
  UNSUPPORTED: 400, // by the caller's choice: clients try 5xx again, and LangChain does whatever a header says
  MEMORY: 503,
  CLOSED: 503,
  ABORTED: 499,
}

export class ApiError extends Error {
  readonly status: number
  /** The field of the request that is wrong. */
  readonly param: string | undefined
  /** OpenAI's code. */
  readonly code: string | undefined
  /** The code of the library, for the log. */
  readonly origin: string | undefined
  /** Counts of a prompt that is too long. */
  readonly counts: { readonly n_prompt_tokens: number; readonly n_ctx: number } | undefined
  /** Methods that a path has. */
  readonly allow: string | undefined

  constructor(status: number, message: string, more: Partial<Pick<ApiError, 'param' | 'code' | 'origin' | 'counts' | 'allow'>> = {}) {
    super(message)
    this.status = status
    this.param = more.param
    this.code = more.code
    this.origin = more.origin
    this.counts = more.counts
    this.allow = more.allow
  }

  /** Headers beside the body: how to go on. */
  get headers(): Record<string, string> {
    if (this.status === 401) return { 'www-authenticate': 'Bearer' }
    if (this.allow !== undefined) return { allow: this.allow }
    if (this.status === 503) return { 'retry-after': '2' }
    // a client's second attempt would fail as the first, after as long a time
    if ([409, 500, 501, 504, 507].includes(this.status)) return { 'x-should-retry': 'false' }
    return this.status === 408 || this.status === 413 ? { connection: 'close' } : {}
  }
}

export function badRequest(message: string, param?: string): ApiError {
  return new ApiError(400, message, { param })
}

/** A field that is known and cannot be honored. 501 is for routes: clients take a 4xx for final. */
export function unsupported(message: string, param?: string): ApiError {
  return new ApiError(400, message, { param, code: 'unsupported_parameter' })
}

/** A model that is there and cannot run here, or cannot be pulled: that is final, and clients try 5xx again. */
export function cannotRun(message: string, origin: MixtralErrorCode): ApiError {
  return new ApiError(400, message, { param: 'model', code: 'model_not_supported', origin })
}

/** Any error, for a client. `wireNames` has the names that options have in the request, by ours. */
export function toApiError(error: unknown, wireNames: ReadonlyMap<string, string> = new Map()): ApiError {
  if (error instanceof ApiError) return error
  if (!(error instanceof MixtralError)) return new ApiError(500, 'internal error', { origin: 'internal' })
  const { code: origin, message } = error
  const status = STATUSES[origin] ?? 500
  if (status === 500) return new ApiError(500, `internal error (${origin})`, { origin })
  const [own = ''] = /^\w+/.exec(message) ?? []
  const param = wireNames.get(own)
  const told = param === undefined ? message : param + message.slice(own.length)
  if (origin !== 'CONTEXT') return new ApiError(status, told, { param, origin })
  const { promptTokens, contextLength } = error
  const counts =
    promptTokens === undefined || contextLength === undefined ? undefined : { n_prompt_tokens: promptTokens, n_ctx: contextLength }
  return new ApiError(status, told, { origin, code: 'context_length_exceeded', counts })
}

/** An error in the shape of an API. */
export type ErrorShape = (error: ApiError, requestId?: string) => object

export const openaiError: ErrorShape = ({ status, message, param, code, counts }) => ({
  error: { message, type: TYPES[status] ?? 'server_error', param: param ?? null, code: code ?? null, ...counts },
})

/** llama-server's own routes have the status as the code. */
export const llamaError: ErrorShape = ({ status, message, counts }) => ({
  error: { code: status, message, type: counts ? 'exceed_context_size_error' : (TYPES[status] ?? 'server_error'), ...counts },
})

export const ollamaError: ErrorShape = ({ message }) => ({ error: message })

/** Anthropic's words for some of the kinds. */
const ANTHROPIC_TYPES: Readonly<Record<number, string>> = { 413: 'request_too_large', 500: 'api_error', 503: 'overloaded_error' }

export const anthropicError: ErrorShape = ({ status, message }, requestId) => ({
  type: 'error',
  error: { type: ANTHROPIC_TYPES[status] ?? TYPES[status] ?? 'api_error', message },
  request_id: requestId ?? null,
})

export function errorResponse(error: ApiError, shape: ErrorShape, requestId?: string): Response {
  return Response.json(shape(error, requestId), { status: error.status, headers: error.headers })
}
