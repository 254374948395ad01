// One HTTP exchange: request, redirects, answer. Owns its safety: credentials go only to the host that they are for,
// https is never left for http, and a silent server is given up. Does not know what is requested, and does not retry.

import { abortedError, MixtralError, quoted } from '../../base/errors.js'
import { limits } from '../../base/limits.js'
import { isLoopback } from '../names/modelName.js'
import { send } from './proxy.js'

/** Access to a server. */
export interface Credentials {
  /** The only origin that gets the header. */
  readonly origin: string
  /** The `Authorization` header, if there is one yet. */
  header(): string | undefined
  /** Advice for a refusal in spite of the credentials. */
  readonly hint?: string
  /** After a 401: fetches new credentials as the answer asks. Returns whether another attempt may succeed. */
  renew(response: Response, limits: Limits): Promise<boolean>
}

/** Limits of an exchange. */
export interface Limits {
  readonly signal?: AbortSignal | undefined
  /** Milliseconds of silence that end it; so do those in which only a few bytes come. */
  readonly stallMs?: number
  /** Milliseconds that it may take in all, and more for the bytes that come. Infinite where the user sees them. */
  readonly totalMs?: number
}

export interface Request extends Limits {
  readonly address: string
  readonly headers?: Readonly<Record<string, string>>
  readonly credentials?: Credentials | undefined
}

/** A refusal, or a failed connection. */
export class ExchangeError extends MixtralError {
  /** Status of the answer, 0 if there was none. */
  readonly status: number
  /** Whether the same request may succeed later. */
  readonly transient: boolean
  /** The wait that the server asks for. */
  readonly retryAfterMs: number | undefined

  constructor(
    message: string,
    { status = 0, transient = false, retryAfterMs }: { status?: number; transient?: boolean; retryAfterMs?: number | undefined },
    cause?: unknown,
  ) {
    super('IO', message, { cause })
    this.status = status
    this.transient = transient
    this.retryAfterMs = retryAfterMs
  }
}

export const STALL_MS = limits.stall.most * 1000
const TOTAL_MS = limits.answerTime.most * 1000
/** Bytes for which an answer gets a second more; and fewer in a stall's time are silence. */
const { most: SLOW_BYTES } = limits.slowAnswer
const { most: SILENT_BYTES } = limits.stallBytes
const MOST_REDIRECTS = limits.redirects.most
const TRANSIENT = new Set([408, 425, 429, 500, 502, 503, 504])

/**
 * Sends a GET. If the status is 2xx, `use` gets the answer and the chunks of its body; the body is canceled when `use`
 * returns. Throws ExchangeError, and `ABORTED` if the signal fires.
 */
export async function exchange<T>(
  request: Request,
  use: (response: Response, chunks: AsyncIterable<Uint8Array>) => Promise<T>,
): Promise<T> {
  const { address, signal, stallMs = STALL_MS, totalMs = TOTAL_MS } = request
  if (!URL.canParse(address)) throw new ExchangeError(`${quoted(address)} is no address`, {})
  const host = new URL(address).host
  const watch = new StallWatch(stallMs, totalMs, signal)
  try {
    const response = await follow(request, watch)
    if (!response.ok) throw refusal(host, response, request.credentials?.hint)
    if (!/^(identity)?$/.test(response.headers.get('content-encoding') ?? '')) {
      throw new ExchangeError(`${host} sent its answer compressed, expected it as it is`, {})
    }
    return await use(response, watch.chunks(response))
  } catch (cause) {
    if (signal?.aborted) throw abortedError(signal)
    if (cause instanceof MixtralError) throw cause
    if (watch.end === 'silent') throw new ExchangeError(`${host} sent nothing for ${stallMs / 1000} seconds`, { transient: true }, cause)
    if (watch.end === 'slow') {
      // Who waits for a short answer sees nothing: another attempt would take as long.
      const transient = totalMs === Number.POSITIVE_INFINITY
      throw new ExchangeError(`${host} sent only ${watch.bytes} bytes in ${watch.seconds} seconds`, { transient }, cause)
    }
    // The error of fetch is `fetch failed`; the reason is in its cause.
    const reason = (cause as Error).cause instanceof Error ? ((cause as Error).cause as Error).message : (cause as Error).message
    throw new ExchangeError(
      `the connection to ${host} failed: ${reason || String((cause as NodeJS.ErrnoException).code)}`,
      { transient: true },
      cause,
    )
  } finally {
    watch.stop()
  }
}

/** The whole body as text. Throws ExchangeError if it is larger than `mostBytes`. */
export async function readBody(chunks: AsyncIterable<Uint8Array>, mostBytes: number, where: string): Promise<string> {
  const parts: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of chunks) {
    bytes += chunk.length
    if (bytes > mostBytes) throw new ExchangeError(`${where} is larger than ${mostBytes} bytes`, {})
    parts.push(chunk)
  }
  return Buffer.concat(parts).toString('utf8')
}

async function follow({ address, headers, credentials, stallMs = STALL_MS }: Request, watch: StallWatch): Promise<Response> {
  let url = new URL(address)
  let renewed = false
  for (let hops = 0; hops <= MOST_REDIRECTS; ) {
    const authorization = credentials?.origin === url.origin ? credentials.header() : undefined
    const given = { ...headers, ...(authorization !== undefined && { authorization }) }
    const response = await send(url, {
      headers: { 'accept-encoding': 'identity', 'user-agent': 'mixtral-wasm', ...given },
      signal: watch.signal,
    })
    watch.touch()
    if (response.status === 401 && credentials?.origin === url.origin && !renewed) {
      renewed = true
      const renewing = credentials.renew(response, { signal: watch.signal, stallMs })
      if (!(await watch.leave(renewing))) return response
      await response.body?.cancel()
      continue
    }
    if (![301, 302, 303, 307, 308].includes(response.status)) return response
    await response.body?.cancel()
    url = redirected(url, response.headers.get('location'))
    hops++
  }
  throw new ExchangeError(`${new URL(address).host} redirects more than ${MOST_REDIRECTS} times`, {})
}

function redirected(from: URL, location: string | null): URL {
  const to = location !== null && URL.canParse(location, from) ? new URL(location, from) : undefined
  if (!to) throw new ExchangeError(`${from.host} redirects to ${quoted(location ?? '')}, expected an address`, {})
  const safe =
    to.protocol === 'https:' || (to.protocol === 'http:' && from.protocol === 'http:' && isLoopback(to.host) === isLoopback(from.host))
  if (!safe)
    throw new ExchangeError(`${from.host} redirects to ${quoted(`${to.protocol}//${to.host}`)}, which is not followed: expected https`, {})
  return to
}

function refusal(host: string, response: Response, hint: string | undefined): ExchangeError {
  const { status, statusText } = response
  const advice = hint !== undefined && (status === 401 || status === 403) ? `; ${hint}` : ''
  const after = response.headers.get('retry-after')
  // Seconds, or a date.
  const ms = after === null ? Number.NaN : /^\d+$/.test(after.trim()) ? Number(after) * 1000 : Date.parse(after) - Date.now()
  const retryAfterMs = Number.isNaN(ms) ? undefined : Math.max(0, ms)
  return new ExchangeError(`${host} answered ${status} ${statusText}`.trim() + advice, {
    status,
    transient: TRANSIENT.has(status),
    retryAfterMs,
  })
}

/** Aborts its signal when a server is silent or slow, and when the caller's signal fires. */
class StallWatch {
  readonly #controller = new AbortController()
  readonly #stallMs: number
  readonly #totalMs: number
  readonly #caller: AbortSignal | undefined
  readonly #abort = () => this.#controller.abort(this.#caller?.reason)
  #timer: ReturnType<typeof setTimeout>
  #touched = performance.now()
  #began = this.#touched
  /** When the reader of the chunks got the last one, while it works: that time does not count. */
  #givenAt: number | undefined
  /** Bytes of the body that came. */
  bytes = 0
  /** As many as had come when the watch was last touched. */
  #counted = 0
  end: 'silent' | 'slow' | undefined
  /** Rejects when the signal fires. */
  readonly #aborted: Promise<never>

  constructor(stallMs: number, totalMs: number, caller: AbortSignal | undefined) {
    this.#stallMs = stallMs
    this.#totalMs = totalMs
    this.#caller = caller
    this.#timer = setTimeout(() => this.#check(), Math.min(stallMs, totalMs))
    this.#aborted = new Promise((_, reject) => {
      this.signal.addEventListener('abort', () => reject(new Error('aborted')), { once: true })
    })
    this.#aborted.catch(() => {})
    if (caller?.aborted) this.#abort()
    else caller?.addEventListener('abort', this.#abort)
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  get seconds(): number {
    return Math.round((performance.now() - this.#began) / 1000)
  }

  touch(): void {
    this.#touched = performance.now()
  }

  /** Pauses during another exchange, which has a watch of its own. */
  async leave<T>(other: Promise<T>): Promise<T> {
    clearTimeout(this.#timer)
    const left = performance.now()
    try {
      return await other
    } finally {
      this.#began += performance.now() - left
      this.touch()
      this.#timer = setTimeout(() => this.#check(), this.#stallMs)
    }
  }

  async *chunks(response: Response): AsyncGenerator<Uint8Array> {
    const reader = response.body?.getReader()
    if (!reader) return
    for (;;) {
      // In Node 20, a pending read never settles if the signal fires at the end of the body.
      const { done, value } = await Promise.race([reader.read(), this.#aborted])
      if (done) return
      this.bytes += value.length
      if (this.bytes - this.#counted >= SILENT_BYTES) {
        this.#counted = this.bytes
        this.touch()
      }
      this.#givenAt = performance.now()
      yield value
      const taken = performance.now() - this.#givenAt
      this.#givenAt = undefined
      this.#touched += taken
      this.#began += taken
    }
  }

  stop(): void {
    clearTimeout(this.#timer)
    this.#caller?.removeEventListener('abort', this.#abort)
    this.#controller.abort()
  }

  #check(): void {
    const now = this.#givenAt ?? performance.now()
    const silent = this.#touched + this.#stallMs - now
    const slow = this.#began + this.#totalMs + (this.bytes / SLOW_BYTES) * 1000 - now
    if (silent > 0 && slow > 0) {
      this.#timer = setTimeout(() => this.#check(), Math.min(silent, slow))
      return
    }
    this.end = slow > 0 && this.bytes === this.#counted ? 'silent' : 'slow'
    this.#controller.abort()
  }
}
