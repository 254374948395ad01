// What can go wrong between the page and its server, in words for a person. Knows no view.

export class Failure extends Error {
  /** Of HTTP; 0 where no answer came. */
  readonly status: number
  /** After how many seconds it makes sense to ask again. */
  readonly retrySeconds: number | undefined

  constructor(message: string, status = 0, retrySeconds?: number) {
    super(message)
    this.status = status
    this.retrySeconds = retrySeconds
  }
}

export const GONE = 'The server does not answer. It may have ended, or the network is down.'
export const BROKEN = 'The connection broke before the answer was complete.'

interface ErrorBody {
  readonly message?: unknown
  readonly n_prompt_tokens?: unknown
  readonly n_ctx?: unknown
}

/** The failure that a response is. */
export async function failureOf(response: Response): Promise<Failure> {
  const after = Number(response.headers.get('retry-after') ?? Number.NaN)
  let body: { error?: ErrorBody | string } = {}
  try {
    body = await response.json()
  } catch {
    // a proxy in between answers with its own page
  }
  const error: ErrorBody = typeof body?.error === 'object' && body.error ? body.error : { message: body?.error }
  const told = typeof error.message === 'string' ? error.message : `HTTP status ${response.status}`
  return new Failure(words(response.status, told, error), response.status, Number.isFinite(after) ? after : undefined)
}

function words(status: number, told: string, { n_prompt_tokens: tokens, n_ctx: room }: ErrorBody): string {
  if (typeof tokens === 'number' && typeof room === 'number') {
    return `The conversation has ${tokens} tokens, and the context has room for ${room} including the answer. Branch off earlier, or begin a new one.`
  }
  if (status === 401) return 'The server wants an API key.'
  if (status === 403) return `The server refuses this page: ${told}.`
  if (status === 404) return `The server does not know that: ${told}.`
  if (status === 503) return `The server takes no request at the moment: ${told}.`
  if (status >= 500) return `The server has failed: ${told}.`
  return `The server refuses the request: ${told}.`
}
