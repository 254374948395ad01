// What is known of a request while it is answered, and what is written about it when it is over: one line, without a
// word of prompt or answer. Owns the request's id.

import { randomUUID } from 'node:crypto'
import { onRejection } from '../../base/onAbort.js'
import { ApiError } from './apiError.js'

/** A request that is over. */
export interface RequestLog {
  /** When it came, in ISO 8601. */
  readonly time: string
  /** The header `x-request-id` of request and answer. */
  readonly id: string
  readonly method: string
  /** The route that answered, such as `/v1/models/{id}`; never what a client has made up. */
  readonly route: string
  /** The status of HTTP; 499 if the client left before there was one. */
  readonly status: number
  readonly milliseconds: number
  /** How an answer ended; undefined where nothing was generated. */
  readonly outcome?: 'done' | 'left' | 'stalled' | 'timeout' | 'failed'
  /** Whether the answer went on from where a stream of another replica, or an earlier one, had ended. */
  readonly resumed?: true
  /** The code of the library's error. */
  readonly error?: string
  /** Ollama's `num_ctx`, where a request has asked for more than the context that there is. */
  readonly contextAsked?: number
  readonly promptTokens?: number
  /** Tokens of the prompt that were in the KV cache. */
  readonly cachedTokens?: number
  readonly completionTokens?: number
  /** How each answer ended: `stop`, `length`, `context` or `tool_calls`. */
  readonly finishReasons?: readonly string[]
  /** From the request to the first piece of text. */
  readonly firstTokenMilliseconds?: number
}

type Learned = { -readonly [Name in keyof RequestLog]?: RequestLog[Name] }

/** One request and its answer. */
export class Exchange {
  readonly id: string
  readonly signal: AbortSignal
  readonly #started = performance.now()
  readonly #time = new Date().toISOString()
  readonly #write: (entry: RequestLog) => void
  readonly #method: string
  readonly #learned: Learned = {}
  readonly #controller = new AbortController()
  #drop: (() => void) | undefined
  #over = false
  #tellEnd: () => void = () => {}
  /** Resolves when the answer has ended. */
  readonly ended = new Promise<void>((resolve) => {
    this.#tellEnd = resolve
  })
  #endedBy: ApiError | undefined
  readonly #forget: () => void
  #seconds = Infinity
  #timer: NodeJS.Timeout | undefined
  /** Whether the answer goes on after its headers. */
  streams = false

  /** @param drop cuts the connection, where the runtime can */
  constructor(request: Request, write: (entry: RequestLog) => void, drop?: () => void) {
    const asked = request.headers.get('x-request-id') ?? ''
    this.id = /^[\w.-]{1,64}$/.test(asked) ? asked : randomUUID()
    this.#method = request.method
    this.#write = write
    this.#drop = drop
    this.signal = this.#controller.signal
    const left = () => this.leave('left')
    const { signal } = request
    signal.addEventListener('abort', left, { once: true })
    // undici keeps the signal until the request is collected, which a listener that stayed would prevent for ever
    this.#forget = () => signal.removeEventListener('abort', left)
    if (request.signal.aborted) left()
  }

  /** Milliseconds since the request came. */
  get milliseconds(): number {
    return performance.now() - this.#started
  }

  get over(): boolean {
    return this.#over
  }

  note(learned: Learned): void {
    Object.assign(this.#learned, learned)
  }

  /** Why the server itself has ended the work, for the client. */
  get endedBy(): ApiError | undefined {
    return this.#endedBy
  }

  /** Ends the work when the request is that old. Of several limits, the shortest counts. */
  limit(seconds: number): void {
    if (seconds >= this.#seconds) return
    this.#seconds = seconds
    const end = () => {
      const message = `the request took longer than ${seconds} ${seconds === 1 ? 'second' : 'seconds'}`
      this.#endedBy ??= new ApiError(504, message, { code: 'timeout', origin: 'timeout' })
      this.leave('timeout')
    }
    clearTimeout(this.#timer)
    this.#timer = setTimeout(end, Math.max(0, seconds * 1000 - this.milliseconds))
  }

  /** Ends the work: nobody waits for the answer. After the end, nothing happens: some runtimes tell it then, too. */
  leave(outcome: 'left' | 'stalled' | 'timeout' | 'failed'): void {
    if (this.#over) return
    if (outcome === 'failed') this.#endedBy ??= new ApiError(503, 'the server is shutting down')
    this.#learned.outcome ??= outcome
    this.#controller.abort()
  }

  /** The client does not read: its connection is cut. `breakOff` ends the body early, where nothing else can cut it. */
  drop(breakOff: () => void): void {
    this.leave('stalled')
    this.#drop?.()
    if (this.#over) return
    this.end() // an answer behind another one learns nothing of the cut
    if (!this.#drop) breakOff()
  }

  /** The answer has ended. Called more than once, it writes once. */
  end(learned: Learned = {}): void {
    if (this.#over) return
    this.note(learned)
    this.#over = true
    this.#tellEnd()
    this.#forget()
    clearTimeout(this.#timer)
    const { status = 499, route = 'unknown', outcome, error, ...tokens } = this.#learned
    this.#write({
      time: this.#time,
      id: this.id,
      method: this.#method,
      route,
      status,
      milliseconds: rounded(this.milliseconds),
      ...(outcome && { outcome }),
      ...(error && { error }),
      ...tokens,
    })
  }
}

function rounded(milliseconds: number): number {
  return Math.round(milliseconds * 10) / 10
}

/** A listener that may throw: it is not called again then, and a warning says so. */
export function guarded(log: (entry: RequestLog) => unknown): (entry: RequestLog) => void {
  let failed = false
  const fail = (error: unknown) => {
    if (failed) return
    failed = true
    process.emitWarning(`the log of a server threw, and is not called again: ${(error as Error)?.message ?? error}`)
  }
  return (entry) => {
    if (failed) return
    try {
      onRejection(log(entry), fail)
    } catch (error) {
      fail(error)
    }
  }
}
